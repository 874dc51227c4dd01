//! What Linux tells of the process: by `getrusage`, by `/proc`, by the files of control groups.

use super::{cgroup::Groups, cpu::Utilization};
use crate::{
    catalog::process,
    fork::Lock,
    metrics::{Family, Gauge},
    pipeline::Pipeline,
    semconv::{CPU_MODE, PROCESS_CONTEXT_SWITCH_TYPE},
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use procfs::{Current as _, WithCurrentSystemInfo as _, process::Process};
use rustix::time::{ClockId, clock_gettime};
use std::{path::Path, time::Duration};

/// By user code, by the kernel for it.
const MODES: [&str; 2] = ["user", "system"];
const SWITCHES: [&str; 2] = ["voluntary", "involuntary"];

/// Registers the process metrics.
pub(crate) fn watch(pipeline: &'static Pipeline) {
    watch_under(pipeline, Path::new("/"));
}

/// The files of control groups are those under `root`.
fn watch_under(pipeline: &'static Pipeline, root: &Path) {
    let registry = &pipeline.registry;
    let cpu = registry.observed_counter(&process::CPU_TIME);
    let shares = registry.gauge(&process::CPU_UTILIZATION);
    let switches = registry.observed_counter(&process::CONTEXT_SWITCHES);
    let memory = registry.gauge(&process::MEMORY_USAGE);
    let memory_share = registry.gauge(&process::MEMORY_UTILIZATION);
    let virtual_memory = registry.gauge(&process::MEMORY_VIRTUAL);
    let threads = registry.gauge(&process::THREAD_COUNT);
    let descriptors = registry.gauge(&process::FILE_DESCRIPTOR_COUNT);
    let uptime = registry.gauge(&process::UPTIME);

    // Since the machine's boot.
    let started = Process::myself()
        .and_then(|process| process.stat())
        .map(|stat| stat.starttime as f64 / procfs::ticks_per_second() as f64);
    // It does not change while the machine runs.
    let machine = procfs::Meminfo::current().map(|memory| memory.mem_total);
    let state = Lock::new((Groups::under(root), Utilization::default()));
    // What cannot be read, as where no descriptor is left, is absent: neither 0 nor what it was.
    registry.observe(move || {
        let age = started.as_ref().ok().and_then(age);
        tell(&uptime, &[], age.map(|age| age.as_secs_f64()));
        let now = pipeline.clock.now();
        let taken = getrusage(UsageWho::RUSAGE_SELF).ok().map(|usage| {
            let taken = [usage.user_time(), usage.system_time()].map(duration);
            for (mode, taken) in MODES.into_iter().zip(taken) {
                cpu.kept(&[(CPU_MODE, mode)]).set(taken.as_secs_f64());
            }
            let counts = [
                usage.voluntary_context_switches(),
                usage.involuntary_context_switches(),
            ];
            for (kind, count) in SWITCHES.into_iter().zip(counts) {
                let switches = switches.kept(&[(PROCESS_CONTEXT_SWITCH_TYPE, kind)]);
                switches.set(count as f64);
            }
            taken
        });
        let process = Process::myself().ok();
        let stat = process.as_ref().and_then(|process| process.stat().ok());
        let resident = stat.as_ref().map(|stat| stat.rss_bytes().get());
        tell(&memory, &[], resident.map(|bytes| bytes as f64));
        tell(
            &virtual_memory,
            &[],
            stat.as_ref().map(|stat| stat.vsize as f64),
        );
        tell(
            &threads,
            &[],
            stat.as_ref().map(|stat| stat.num_threads as f64),
        );
        let open = process.and_then(|process| process.fd_count().ok());
        tell(&descriptors, &[], open.map(|count| count as f64));
        let Some(mut state) = state.hold() else {
            return;
        };
        let (groups, utilization) = &mut *state;
        let share = match (resident, &machine) {
            (Some(resident), Ok(machine)) => groups.memory(resident, *machine),
            _ => None,
        };
        tell(&memory_share, &[], share);
        let used = taken.and_then(|taken| utilization.cpus_used(now, age, taken));
        if let Some(used) = used {
            let cpus = usable().and_then(|usable| groups.cpus(usable));
            for (mode, used) in MODES.into_iter().zip(used) {
                tell(&shares, &[(CPU_MODE, mode)], cpus.map(|cpus| used / cpus));
            }
        }
    });
}

/// How long ago `started` is, in seconds since the machine's boot, whatever a container is told of that.
/// `None`: that cannot be.
fn age(started: &f64) -> Option<Duration> {
    let now = clock_gettime(ClockId::Boottime);
    let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    Duration::try_from_secs_f64(now - started).ok()
}

/// What is not known is left out, also where it was known before.
fn tell(gauges: &Family<Gauge>, attributes: &[(&str, &str)], value: Option<f64>) {
    let gauge = || gauges.kept(attributes);
    match value {
        Some(value) => gauge().set(value),
        None => gauge().withhold(),
    }
}

/// The CPUs that the process's first thread may run on and that are there.
fn usable() -> Option<f64> {
    let process = rustix::process::getpid();
    let cpus = rustix::thread::sched_getaffinity(Some(process)).ok()?;
    Some(f64::from(cpus.count())).filter(|count| *count > 0.0)
}

fn duration(time: TimeVal) -> Duration {
    let micros = i128::from(time.tv_sec()) * 1_000_000 + i128::from(time.tv_usec());
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, snapshot::Snapshot};
    use std::time::SystemTime;

    fn told(pipeline: &'static Pipeline) -> [Option<f64>; 2] {
        let snapshot = Snapshot::of(&pipeline.registry);
        let series = snapshot.metric("process.cpu.utilization").unwrap().series();
        MODES.map(|mode| {
            let mut series = series.iter();
            series
                .find(|series| series.attribute(CPU_MODE) == Some(mode))?
                .number()
        })
    }

    #[test]
    fn readings_within_a_second_are_the_same_and_a_later_one_is_not() {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
        let pipeline = Pipeline::for_tests_by(hands.clock(), &[]);
        watch(pipeline);
        let first = told(pipeline);
        assert!(first[0].is_some_and(|share| share >= 0.0), "{first:?}");
        hands.advance(Duration::from_millis(999));
        assert_eq!(told(pipeline), first);
        // So long that hardly any CPU time was taken of it.
        hands.advance(Duration::from_secs(1_000_000));
        let later = told(pipeline);
        assert!(later[0].is_some_and(|share| share < 1e-3), "{later:?}");
    }

    /// Takes CPU time on a thread of its own, whatever the machine gives it.
    fn burn(most: Duration) {
        let burning = std::thread::spawn(move || {
            let before = taken();
            while taken() - before < most {
                std::hint::black_box((0..10_000_u64).sum::<u64>());
            }
        });
        burning.join().unwrap();
    }

    /// Of this process, all its threads.
    fn taken() -> Duration {
        let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
        duration(usage.user_time()) + duration(usage.system_time())
    }

    #[test]
    fn a_process_that_burns_85_percent_of_its_quota_is_told_to() {
        let root = std::env::temp_dir().join(format!("orderscope-quota-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/self/cgroup", "0::/");
        let mount = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        write("proc/self/mountinfo", mount);
        // Half of a CPU.
        write("sys/fs/cgroup/cpu.max", "50000 100000");
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
        let pipeline = Pipeline::for_tests_by(hands.clock(), &[]);
        watch_under(pipeline, &root);
        // What other tests of this process take while it is told may be in it or not.
        let before = taken();
        let _ = told(pipeline);
        let began = taken();
        burn(Duration::from_millis(500));
        let ended = taken();
        let allowed = (ended - began).div_f64(0.85);
        hands.advance(allowed.div_f64(0.5));
        let share: f64 = told(pipeline).iter().flatten().sum();
        let after = taken();
        std::fs::remove_dir_all(&root).unwrap();
        let least = (ended - began).div_duration_f64(allowed) - 1e-3;
        let most = (after - before).div_duration_f64(allowed) + 1e-3;
        assert!(
            (least..most).contains(&share),
            "{share} of {least} to {most}"
        );
    }

    #[test]
    fn context_switches_of_threads_that_ended_are_counted_on() {
        let pipeline = Pipeline::for_tests(&[]);
        watch(pipeline);
        let told = || {
            let of = [(PROCESS_CONTEXT_SWITCH_TYPE, "voluntary")];
            Snapshot::of(&pipeline.registry).counter("process.context_switches", &of)
        };
        let before = told();
        let naps = || (0..20).for_each(|_| std::thread::sleep(Duration::from_millis(1)));
        std::thread::spawn(naps).join().unwrap();
        assert!(told() >= before + 20, "{before:?}");
    }
}
