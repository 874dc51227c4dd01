//! F9: SIGTERM while events come faster than they are sent.

use std::time::Duration;

use tokio::time::Instant;

use super::collector::{Behaviour, Collector, Kind};
use super::host::{Account, Host, Row, tell};
use super::load::Wire;

const FAULT: &str = "F9";
const OPTIONS: &str = "--load l2 --rate 200000 --errors 50 --within 1800 --interval 1000";
const DONE_WITHIN: Duration = Duration::from_secs(2);
/// Fewer would be another test.
const MANY: u64 = 300_000;
/// In which a busy machine issues as many.
const WITHIN: Duration = Duration::from_secs(60);
/// The machine may do more than this.
const TRIES: usize = 3;
/// For the process to be taken down and noticed, on a machine that does more than this.
const GRACE: Duration = Duration::from_millis(500);

#[test]
fn termination_under_load_before_a_healthy_collector_is_quick_and_accounts_for_the_rest() {
    terminated(|collector| collector.behave(Behaviour::Healthy));
}

#[test]
fn termination_under_load_before_a_collector_that_hangs_is_quick_and_accounts_for_the_rest() {
    terminated(|collector| collector.behave(Behaviour::Hang));
}

fn terminated(behave: impl Fn(&Collector)) {
    for wire in Wire::ALL {
        let mut ends = Vec::new();
        let is_quick = (0..TRIES).any(|_| {
            let collector = Collector::start(9);
            behave(&collector);
            let (done, gone) = terminated_before(&collector, wire);
            ends.push((done, gone));
            done <= DONE_WITHIN && gone <= DONE_WITHIN + GRACE
        });
        assert!(
            is_quick,
            "{FAULT} {wire:?}: shut down, and gone, after {ends:?}"
        );
    }
}

/// How long the shutdown took, and until the process was gone.
fn terminated_before(collector: &Collector, wire: Wire) -> (Duration, Duration) {
    let mut host = Host::start(FAULT, wire, collector, OPTIONS);
    host.watch(Duration::from_secs(3));
    let began = Instant::now();
    let is_many = |row: &Row| row.signal == "logs" && row.accepted > MANY;
    while !host.ledger().iter().any(is_many) {
        assert!(began.elapsed() < WITHIN, "{FAULT} {wire:?}: too few come");
        host.watch(Duration::from_millis(200));
    }
    let ended = host.terminate(Duration::from_secs(30));
    assert!(ended.status.success(), "{FAULT} {wire:?}: {ended:?}");
    let done = Duration::from_micros(ended.report.ended_us);
    let account = Account::of(FAULT, &ended.report, collector);
    let row = ended.report.row("logs");
    tell(&format!(
        "{FAULT} {wire:?}: shut down after {done:?}, gone after {:?}; of {} records {} \
         acknowledged, {} ambiguous, dropped: {:?}; {} events never came",
        ended.took,
        row.accepted,
        row.acknowledged,
        row.ambiguous,
        row.dropped,
        account.missing(Kind::Event),
    ));
    (done, ended.took)
}
