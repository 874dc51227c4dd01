/* A wall clock that a test sets: preloaded into the process of a case by clock.rs, which compiles
 * this. The hands stand in the file that WALL_CLOCK names, so that they can be moved while the
 * process runs. The monotonic clock is left alone. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct hands {
    /* 0: `seconds` are added to the system's time; else it is always `seconds` since 1970. */
    int64_t stand_still;
    int64_t seconds;
};

static const volatile struct hands *hands;

__attribute__((constructor)) static void look(void)
{
    const char *path = getenv("WALL_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *seen = mmap(NULL, sizeof *hands, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (seen != MAP_FAILED)
        hands = seen;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (syscall(SYS_clock_gettime, clock, now) != 0)
        return -1;
    if (hands && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        if (hands->stand_still) {
            now->tv_sec = hands->seconds;
            now->tv_nsec = 0;
        } else {
            now->tv_sec += hands->seconds;
        }
    }
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return -1;
    if (seconds)
        *seconds = precise.tv_sec;
    return precise.tv_sec;
}
