//! What the process says of itself, against what the kernel says of it.

use std::fs::File;
use std::thread;
use std::time::Duration;

use crate::descriptors::{self, Descriptors};

use orderscope::Telemetry;
use procfs::process::Process;
use tokio::time::Instant;

/// One look of a page, a push, or a snapshot; on a machine that does other things.
const A_LOOK: Duration = Duration::from_millis(1);

/// CPU time of all threads, in seconds.
fn taken() -> f64 {
    let stat = Process::myself().unwrap().stat().unwrap();
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}

fn utilization(telemetry: &Telemetry) -> f64 {
    let name = "process.cpu.utilization";
    let numbers = telemetry.snapshot();
    assert_eq!(numbers.metric(name).unwrap().series().len(), 2);
    numbers.gauge(name, &[])
}

#[test]
fn cpu_utilization_is_what_was_burned_of_what_may_be() {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let _ = utilization(&telemetry);
    thread::sleep(Duration::from_millis(1_100));
    let _ = utilization(&telemetry);
    let (began, before) = (Instant::now(), taken());
    // 85 % of the time.
    while began.elapsed() < Duration::from_secs(3) {
        let turn = Instant::now();
        while turn.elapsed() < Duration::from_millis(85) {
            std::hint::black_box((0..1_000_u64).sum::<u64>());
        }
        thread::sleep(Duration::from_millis(15));
    }
    let told = utilization(&telemetry);
    let cpus = (taken() - before) / began.elapsed().as_secs_f64() / told;
    // Whole CPUs: the library rounds a quota down, and up to one.
    let usable = thread::available_parallelism().unwrap().get() as f64;
    let at_least = if usable > 1.0 { usable } else { 0.0 };
    assert!(
        at_least * 0.95 < cpus && cpus < (usable + 1.0) * 1.05,
        "{told} would be of {cpus} CPUs, of which there are {usable}"
    );
}

#[test]
fn a_look_at_the_process_takes_less_than_a_millisecond() {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let median = || {
        let mut looks: Vec<Duration> = (0..200)
            .map(|_| {
                let began = Instant::now();
                let _ = telemetry.snapshot();
                began.elapsed()
            })
            .collect();
        looks.sort_unstable();
        looks[looks.len() / 2]
    };
    let (began, mut least) = (Instant::now(), median());
    // Others use the machine as well.
    while least >= A_LOOK && began.elapsed() < Duration::from_secs(60) {
        least = least.min(median());
    }
    println!("all instruments, the process's among them: {least:?}");
    assert!(least < A_LOOK, "{least:?}");
}

#[test]
fn what_no_descriptor_is_left_to_read_is_absent_and_not_what_it_was() {
    descriptors::with(Descriptors::Only(32), || {
        let telemetry = Telemetry::builder("orders").build().unwrap();
        let told = |name: &str| {
            let snapshot = telemetry.snapshot();
            let series = snapshot.metric(name).map(|metric| metric.series().len());
            series.unwrap_or_default()
        };
        let read = ["process.memory.usage", "process.thread.count"];
        let asked = ["process.cpu.time", "process.uptime"];
        assert_eq!(read.map(told), [1, 1]);
        assert_eq!(asked.map(told), [2, 1]);
        let taken: Vec<_> = (0..32)
            .map_while(|_| File::open("/dev/null").ok())
            .collect();
        assert_eq!(read.map(told), [0, 0]);
        assert_eq!(asked.map(told), [2, 1]);
        drop(taken);
        assert_eq!(read.map(told), [1, 1]);
    });
}
