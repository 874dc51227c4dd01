//! CPU, memory, threads and descriptors of this process, read at each collection.

use crate::{catalog::process, pipeline::Pipeline};

/// Registers the process metrics. Where the operating system is not Linux they are absent.
#[cfg(target_os = "linux")]
pub(crate) fn watch(pipeline: &'static Pipeline) {
    use crate::semconv::CPU_MODE;
    use procfs::{Current as _, WithCurrentSystemInfo as _, process::Process};

    let registry = &pipeline.registry;
    let cpu = registry.observed_counter(&process::CPU_TIME);
    let memory = registry.gauge(&process::MEMORY_USAGE);
    let virtual_memory = registry.gauge(&process::MEMORY_VIRTUAL);
    let threads = registry.gauge(&process::THREAD_COUNT);
    let descriptors = registry.gauge(&process::FILE_DESCRIPTOR_COUNT);
    let uptime = registry.gauge(&process::UPTIME);

    // Both clocks that a start time can be compared with count from the machine's boot.
    let started = Process::myself()
        .and_then(|process| process.stat())
        .map(|stat| stat.starttime as f64 / procfs::ticks_per_second() as f64);
    registry.observe(move || {
        // A series is made by the first reading of it: what cannot be read is absent, not 0.
        let Ok(process) = Process::myself() else {
            return;
        };
        if let Ok(stat) = process.stat() {
            let ticks = procfs::ticks_per_second() as f64;
            let [user, system] = ["user", "system"].map(|mode| cpu.kept(&[(CPU_MODE, mode)]));
            user.set(stat.utime as f64 / ticks);
            system.set(stat.stime as f64 / ticks);
            memory.kept(&[]).set(stat.rss_bytes().get() as f64);
            virtual_memory.kept(&[]).set(stat.vsize as f64);
            threads.kept(&[]).set(stat.num_threads as f64);
        }
        if let Ok(count) = process.fd_count() {
            descriptors.kept(&[]).set(count as f64);
        }
        if let (Ok(started), Ok(now)) = (&started, procfs::Uptime::current()) {
            uptime.kept(&[]).set((now.uptime - started).max(0.0));
        }
    });
}

/// Registers nothing: this system is not asked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn watch(_: &'static Pipeline) {}
