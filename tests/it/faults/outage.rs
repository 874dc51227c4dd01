//! F1: the collector is away for long, and comes back.

use std::time::Duration;

use orderscope::export::Signal;
use tokio::time::Instant;

use super::collector::{Behaviour, Collector, Id, Kind, Seen};
use super::host::{Account, Host, is_long};
use super::load::Wire;

const FAULT: &str = "F1";
const HEALTHY: Duration = Duration::from_secs(5);
const MIB: u64 = 1 << 20;
/// Beyond the byte budget.
const GROWTH: u64 = 8 * MIB;
/// Spans, events and errors of L1 in a second.
const LIVE: f64 = 2_000.0 * 4.0 + 9.0;
/// Records.
const ONE_REQUEST: u64 = 512;
/// Of the drain: windows of this length, of which none may hold more than twice the live rate, and
/// what two requests carry.
const WINDOW: Duration = Duration::from_secs(2);
const TWO_REQUESTS: f64 = 2.0 * ONE_REQUEST as f64;
const TOLERANCE: f64 = 1.1;

#[test]
fn outage_of_the_collector_loses_what_does_not_fit_routine_first_and_all_of_it_counted() {
    // Short, and small enough to overflow all the same.
    let (away, bytes) = match is_long() {
        true => (Duration::from_secs(600), 32 * MIB),
        false => (Duration::from_secs(60), 4 * MIB),
    };
    let collector = Collector::start(1);
    let options = format!("--load l1 --bytes {bytes} --within 5000 --interval 10000");
    let mut host = Host::start(FAULT, Wire::Http, &collector, &options);
    let before = host.watch(HEALTHY);
    let before = before.iter().map(|usage| usage.rss_bytes).max().unwrap();

    collector.behave(Behaviour::Refuse);
    let mut samples = host.watch(away);
    collector.behave(Behaviour::Healthy);
    let returned = Instant::now();
    let probe = host.probe();
    samples.extend(host.watch(Duration::from_secs(12)));
    host.quiet();
    // Where nothing comes any more, a thousand records a second go.
    let drains_within = Duration::from_secs(60) + Duration::from_micros(10 * bytes);
    let settled = host.settles(drains_within);
    let ended = host.terminate(Duration::from_secs(20));

    let most = samples.iter().map(|usage| usage.rss_bytes).max().unwrap();
    let growth = most.saturating_sub(before);
    assert!(
        growth <= bytes + GROWTH,
        "{FAULT}: it grew by {growth} bytes, of a budget of {bytes} and {GROWTH}"
    );
    let account = Account::of(FAULT, &ended.report, &collector);
    assert!(settled, "{FAULT}: the backlog does not drain: {ended:?}");
    assert!(ended.status.success(), "{FAULT}: {ended:?}");
    assert_eq!(ended.report.is_complete, Some(false), "{FAULT}: {ended:?}");
    for signal in ["traces", "logs"] {
        let row = ended.report.row(signal);
        let full = row.dropped.get("bytes_full").copied().unwrap_or_default();
        assert!(full > 0, "{FAULT}: nothing overflowed: {row}");
        // A refused connection is clear; the request that was under way when it began is not.
        assert!(
            row.ambiguous <= ONE_REQUEST,
            "{FAULT}: more than one request is ambiguous: {row}"
        );
    }
    assert!(account.missing(Kind::Event) > 0 && account.missing(Kind::Span) > 0);
    let lost = Account::absent(Kind::Error, &ended.report, &collector);
    assert!(
        lost.is_empty(),
        "{FAULT}: of {} errors these are lost, while routine was dropped: {lost:?}",
        ended.report.issued.errors
    );

    assert!(ended.report.issued.panics > 0, "{FAULT}: {ended:?}");
    // A line for each kind of failure and ten seconds, and one more as the outage begins and ends.
    let most_told = 2 + samples
        .last()
        .unwrap()
        .at
        .duration_since(samples[0].at)
        .as_secs()
        / 10;
    for kind in ["not delivered", "reason=bytes_full", "reason=queue_full"] {
        let told = ended.logged.matches(kind).count() as u64;
        assert!(
            told <= most_told,
            "{FAULT}: {told} lines say {kind}: {}",
            ended.logged
        );
    }

    let fresh = latency(&collector, probe, returned);
    let drain = Drain::of(&collector.requests(), returned);
    println!(
        "{FAULT}: away for {away:?} with {bytes} bytes: grew by {growth} bytes; the first fresh \
         event came {fresh:?} after the return; at most {:.2} times the live rate; {} spans and {} \
         events of {} and {} lost, of {} errors none",
        drain.most_per_second / LIVE,
        account.missing(Kind::Span),
        account.missing(Kind::Event),
        ended.report.issued.spans,
        ended.report.issued.events,
        ended.report.issued.errors,
    );
    assert!(
        fresh <= Duration::from_secs(2),
        "{FAULT}: the first event after the return took {fresh:?}"
    );
    assert!(
        drain.most_per_second <= 2.0 * LIVE * TOLERANCE + TWO_REQUESTS / WINDOW.as_secs_f64(),
        "{FAULT}: {:.0} records a second, of {LIVE} that are live",
        drain.most_per_second
    );
}

/// From the return to the acknowledgement of the event of that number.
#[track_caller]
fn latency(collector: &Collector, number: u64, returned: Instant) -> Duration {
    let id = Id {
        kind: Kind::Event,
        number,
    };
    let requests = collector.requests_of(Signal::Logs);
    let carried = requests.iter().find(|seen| seen.ids.contains(&id));
    let carried = carried.unwrap_or_else(|| panic!("{FAULT}: the probe did not come"));
    carried.ended.unwrap() - returned
}

/// How fast what had waited came.
struct Drain {
    most_per_second: f64,
}

impl Drain {
    fn of(requests: &[Seen], returned: Instant) -> Self {
        let since: Vec<_> = requests
            .iter()
            .filter_map(|seen| Some((seen.ended?, seen.ids.len())))
            .filter(|(ended, _)| *ended > returned)
            .collect();
        let within = |begin: Instant| {
            let of_window = since
                .iter()
                .filter(|(ended, _)| (begin..begin + WINDOW).contains(ended));
            of_window.map(|(_, records)| records).sum::<usize>() as f64 / WINDOW.as_secs_f64()
        };
        let windows = since.iter().map(|(ended, _)| within(*ended));
        Self {
            most_per_second: windows.fold(0.0, f64::max),
        }
    }
}
