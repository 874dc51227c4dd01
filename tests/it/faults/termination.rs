//! F9: SIGTERM while events come faster than they are sent.

use std::time::Duration;

use super::collector::{Behaviour, Collector, Kind};
use super::host::{Account, Host, tell};
use super::load::Wire;

const FAULT: &str = "F9";
const OPTIONS: &str = "--load l2 --rate 200000 --errors 50 --within 1800 --interval 1000";
const DONE_WITHIN: Duration = Duration::from_secs(2);
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
        let collector = Collector::start(9);
        behave(&collector);
        let mut host = Host::start(FAULT, wire, &collector, OPTIONS);
        host.watch(Duration::from_secs(3));
        let ended = host.terminate(Duration::from_secs(30));
        assert!(ended.status.success(), "{FAULT} {wire:?}: {ended:?}");
        let done = Duration::from_micros(ended.report.ended_us);
        assert!(
            done <= DONE_WITHIN && ended.took <= DONE_WITHIN + GRACE,
            "{FAULT} {wire:?}: shut down after {done:?}, gone after {:?}",
            ended.took
        );
        let account = Account::of(FAULT, &ended.report, &collector);
        let row = ended.report.row("logs");
        // Less than half the rate would be another test.
        assert!(row.accepted > 300_000, "{FAULT} {wire:?}: {row}");
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
    }
}
