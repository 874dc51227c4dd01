//! F22: records come five times as fast as in L2, and nothing takes them.

use std::time::Duration;

use super::collector::{Behaviour, Collector, Kind};
use super::host::{Account, Host, Sealed, Thread, is_long};
use super::load::Wire;

const FAULT: &str = "F22";
const THREADS: u64 = 2;
/// The best of these counts: on a machine that does more than this, the others measure it.
const ROUNDS: usize = 3;
const EVENTS: u64 = 1_000_000;

#[test]
fn overflow_never_makes_who_records_wait() {
    let most = match is_long() {
        true => Duration::from_micros(2),
        // Beside other tests, two threads that never rest share two processors with them.
        false => Duration::from_micros(20),
    };
    let rounds: Vec<_> = (0..ROUNDS).map(|_| overflown()).collect();
    let slowest = |threads: &[Thread]| threads.iter().map(|of| of.enqueue.p999).max().unwrap();
    let best = rounds
        .iter()
        .min_by_key(|threads| slowest(threads))
        .unwrap();
    let p999 = Duration::from_nanos(slowest(best));
    let voluntary: Vec<u64> = rounds
        .iter()
        .map(|threads| threads.iter().map(|of| of.voluntary).sum())
        .collect();
    for threads in &rounds {
        for of in threads {
            println!("{FAULT}: {of}");
        }
    }
    println!("{FAULT}: p99.9 of the best round {p999:?}; voluntary switches {voluntary:?}");
    assert!(
        p999 <= most,
        "{FAULT}: recording took {p999:?} at the 99.9th percentile, which may be {most:?}"
    );
    // A page that has to be brought in is a switch too; a wait for room would be thousands.
    let fewest = *voluntary.iter().min().unwrap();
    assert!(
        fewest <= 20,
        "{FAULT}: who records gave the processor up {fewest} times"
    );
}

/// The threads that record events, of one round.
fn overflown() -> Vec<Thread> {
    let collector = Collector::start(22);
    collector.behave(Behaviour::Hang);
    let options = format!("--load l2 --rate 1000000 --spin --threads {THREADS} --within 500");
    let mut host = Host::start(FAULT, Wire::Http, &collector, &options);
    host.watch(Duration::from_secs(4));
    let ended = host.terminate(Duration::from_secs(20));
    assert!(ended.status.success(), "{FAULT}: {ended:?}");
    Account::of(FAULT, &ended.report, &collector);
    let row = ended.report.row("logs");
    // Five times L2, as far as the machine can: in a long run it has nothing else to do.
    let least = if is_long() { 9 } else { 5 } * 4 * EVENTS / 10;
    assert!(
        row.accepted >= least,
        "{FAULT}: less than {least} a round: {row}"
    );
    assert!(row.dropped() > 0, "{FAULT}: nothing overflowed: {row}");
    ended.report.threads
}

#[test]
fn overflow_takes_no_call_to_the_system_from_who_records() {
    let collector = Collector::start(23);
    collector.behave(Behaviour::Hang);
    let options = format!("--load sealed --events {EVENTS} --threads {THREADS} --within 500");
    let host = Host::start(FAULT, Wire::Http, &collector, &options);
    for _ in 0..THREADS {
        match host.sealed(Duration::from_secs(60)) {
            Sealed::Through { events, p50, p999 } => {
                println!("{FAULT}: {events} events, p50 {p50} ns, p99.9 {p999} ns");
                assert_eq!(events, EVENTS, "{FAULT}");
            }
            Sealed::Caught { made_call } => {
                panic!("{FAULT}: who records made call {made_call} to the system")
            }
        }
    }
    let ended = host.ends(Duration::from_secs(20));
    assert!(ended.status.success(), "{FAULT}: {ended:?}");
    Account::of(FAULT, &ended.report, &collector);
}

#[test]
fn overflow_drops_what_is_routine_and_no_error() {
    let collector = Collector::start(24);
    // Clear of every record that it is not taken: what hangs may have been.
    collector.behave(Behaviour::status(503));
    let options = "--load l2 --rate 1000000 --spin --errors 200 --bytes 8388608 --within 20000";
    let mut host = Host::start(FAULT, Wire::Http, &collector, options);
    host.watch(Duration::from_secs(5));
    collector.behave(Behaviour::Healthy);
    host.quiet();
    // An endpoint that is paused is not waited for at the end, so that it is seen to be back.
    let is_back = collector.until(Duration::from_secs(40), |collector| {
        !collector.taken().is_empty()
    });
    assert!(is_back, "{FAULT}: nothing came after the fault");
    // What had to wait goes slowly where nothing comes beside it; at the end it does not.
    let ended = host.terminate(Duration::from_secs(40));
    assert!(ended.status.success(), "{FAULT}: {ended:?}");
    let account = Account::of(FAULT, &ended.report, &collector);
    let events = account.missing(Kind::Event);
    assert!(events > 0, "{FAULT}: nothing overflowed: {ended:?}");
    let lost = Account::absent(Kind::Error, &ended.report, &collector);
    println!(
        "{FAULT}: of {} events {events} were dropped, of {} errors {}",
        ended.report.issued.events,
        ended.report.issued.errors,
        lost.len()
    );
    assert!(
        lost.is_empty(),
        "{FAULT}: of {} errors these are lost while {events} events were dropped: {lost:?}",
        ended.report.issued.errors
    );
}
