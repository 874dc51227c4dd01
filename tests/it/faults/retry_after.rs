//! F4: a collector that asks for time.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;
use tonic::Code;

use super::collector::{Behaviour, Collector, Kind};
use super::load::{Service, Wire};
use super::oracle::DESTINATION;
use super::{PATIENCE, at_once};

/// What is asked for, scaled.
const ASKED: Duration = Duration::from_secs(3);
/// An answer on its way is not heard yet.
const ON_ITS_WAY: Duration = Duration::from_millis(50);
/// How much later than asked for is still in time.
const LATE: Duration = Duration::from_millis(1_500);

fn clock() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "a date for the wire")]
    SystemTime::now()
}

/// Answers with the least pause that each asks for.
fn requests_for_time() -> Vec<(Wire, Behaviour, Duration)> {
    let grpc = |code, retry_after| Behaviour::Grpc {
        code,
        message: "not now",
        retry_after: Some(retry_after),
    };
    // Dates have whole seconds.
    let date = httpdate::fmt_http_date(clock() + ASKED + Duration::from_secs(1));
    let forever = Duration::from_secs(1_000_000_000);
    vec![
        (Wire::Http, Behaviour::retry_after(429, "3"), ASKED),
        (Wire::Http, Behaviour::retry_after(503, "3"), ASKED),
        (Wire::Http, Behaviour::retry_after(503, date), ASKED),
        (
            Wire::Http,
            Behaviour::retry_after(503, "1000000000"),
            forever,
        ),
        (Wire::Grpc, grpc(Code::ResourceExhausted, ASKED), ASKED),
        (Wire::Grpc, grpc(Code::Unavailable, ASKED), ASKED),
        (Wire::Grpc, grpc(Code::Unavailable, forever), forever),
    ]
}

#[test]
fn what_a_collector_asks_for_is_never_undercut_by_any_signal() {
    at_once(requests_for_time(), |(wire, behaviour, asked)| {
        let collector = Collector::start(40);
        // All signals have something to say all the time.
        let service = Service::of("F4", |builder| {
            let builder = builder.metrics_interval(Duration::from_millis(200));
            builder.destination(wire.destination(DESTINATION, &collector))
        });
        collector.behave(behaviour.clone());
        let begun = Instant::now();
        while begun.elapsed() < ASKED + LATE {
            service.burst(20);
            service.flush(Duration::from_millis(100));
            service.oracle.sample(&service.telemetry);
        }
        let requests = collector.requests();
        let first = requests.first().expect("F4: nothing is sent at all");
        let heard = first.ended.expect("F4: the first request is answered") + ON_ITS_WAY;
        let next = requests.iter().find(|seen| seen.when > heard);
        let pause = next.map(|next| next.when - first.when);
        assert!(
            pause.is_none_or(|pause| pause >= asked),
            "F4: asked for {asked:?} by {behaviour:?} over {wire:?}, {:?} came after {pause:?}",
            next.map(|next| next.signal)
        );
        if asked > ASKED {
            // Nobody waits that long.
            service.check(&collector);
            return;
        }
        assert!(
            pause.is_some(),
            "F4: asked for {asked:?} by {behaviour:?} over {wire:?}, nothing came after"
        );
        collector.behave(Behaviour::Healthy);
        service.oracle.all_arrive(&collector, &Kind::ALL, PATIENCE);
        service.is_alive(&collector, PATIENCE);
        service.settles(PATIENCE);
        service.check(&collector);
    });
}

#[test]
fn what_is_no_time_to_wait_leaves_the_pauses_of_our_own() {
    let garbage = |value: &str| (Wire::Http, Behaviour::retry_after(503, value));
    let past = httpdate::fmt_http_date(clock() - Duration::from_secs(60));
    let without = Behaviour::Grpc {
        code: Code::Unavailable,
        message: "not now",
        retry_after: None,
    };
    let body = Behaviour::Status {
        code: 429,
        headers: vec![("retry-after", String::new())],
        body: Bytes::from_static(b"soon"),
    };
    let first_pauses = std::sync::Mutex::new(Vec::new());
    let cases = vec![
        garbage("soon"),
        garbage("-5"),
        garbage("1e9"),
        garbage(&past),
        (Wire::Http, body),
        (Wire::Grpc, without),
    ];
    at_once(cases, |(wire, behaviour)| {
        let collector = Collector::start(41);
        let service = Service::new("F4", wire, &collector);
        collector.behave(behaviour.clone());
        service.line();
        let has_come = |count| move |collector: &Collector| collector.requests().len() >= count;
        assert!(
            collector.until(PATIENCE, has_come(3)),
            "F4: {behaviour:?} over {wire:?} is not tried again"
        );
        let requests = collector.requests();
        // Each pause is between half and the whole of one that doubles.
        for (number, pair) in requests.windows(2).enumerate() {
            let pause = pair[1].when - pair[0].when;
            let whole = Duration::from_millis(500) * (1 << number);
            assert!(
                pause >= whole / 2 && pause <= whole + Duration::from_millis(700),
                "F4: pause {number} is {pause:?}, not {whole:?} at most: {behaviour:?}"
            );
        }
        first_pauses
            .lock()
            .unwrap()
            .push(requests[1].when - requests[0].when);
        collector.behave(Behaviour::Healthy);
        service.is_alive(&collector, PATIENCE);
        service.settles(PATIENCE);
        service.check(&collector);
    });
    let mut pauses = first_pauses.into_inner().unwrap();
    pauses.sort_unstable();
    let spread = pauses[pauses.len() - 1] - pauses[0];
    assert!(
        spread >= Duration::from_millis(10),
        "F4: a fleet would come back in step: {pauses:?}"
    );
}
