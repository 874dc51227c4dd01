//! F19: the state that replicas share is away, silent, slow, or somebody else's. Nobody who records
//! waits for it, and when it is back nothing was counted twice.

mod wire;

use super::{PATIENCE, at_once, host};
use crate::redis::Redis;
use axum::{Router, body::Body, routing::get};
use http::Request;
use orderscope::{Telemetry, context, events::Funnel, shared_state, track_event};
use std::{thread, time::Duration};
use tokio::time::Instant;
use tower::ServiceExt as _;
use wire::{Way, Wire};

const USERS: u64 = 200;
/// Of an outage.
const LENGTH: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Down,
    Stopped,
    Slow,
    AnswersLost,
    WrongType,
    Flooded,
}

impl Fault {
    /// `orderscope.shared_state.degraded{reason}` while it lasts.
    fn reason(self) -> &'static str {
        match self {
            Self::Down | Self::AnswersLost => "unreachable",
            Self::Stopped | Self::Slow => "timeout",
            Self::WrongType => "wrong_type",
            Self::Flooded => "reply_too_large",
        }
    }

    fn begin(self, redis: &Redis, wires: &[Wire]) {
        let way = match self {
            Self::Down => Way::Closed,
            Self::Slow => Way::Slow(Duration::from_secs(1)),
            Self::AnswersLost => Way::Cut,
            Self::Flooded => Way::Flood,
            Self::Stopped => return redis.hold(),
            Self::WrongType => {
                let keys = redis.say(&["KEYS", "orderscope:{funnel:*units"]);
                assert!(
                    keys.starts_with("*0"),
                    "what was there was done with: {keys}"
                );
                for shard in 0..64 {
                    redis.say(&["SET", &units_of(redis, shard), "something else"]);
                }
                return;
            }
        };
        wires.iter().for_each(|wire| wire.make(way));
    }

    fn end(self, redis: &Redis, wires: &[Wire]) {
        match self {
            Self::Stopped => redis.go_on(),
            Self::WrongType => {
                for shard in 0..64 {
                    redis.say(&["DEL", &units_of(redis, shard)]);
                }
            }
            _ => wires.iter().for_each(|wire| wire.make(Way::Open)),
        }
    }
}

/// The key of a shard's units, by its other keys.
fn units_of(redis: &Redis, shard: u16) -> String {
    let keys = redis.say(&["KEYS", &format!("orderscope:*:{shard}}}:*meta")]);
    let key = keys
        .lines()
        .find(|line| line.starts_with("orderscope"))
        .unwrap_or_else(|| {
            panic!("shard {shard} was never asked for: {keys}");
        });
    key.replace(":meta", ":units")
}

/// One process of a service, as far as its state goes.
struct Replica {
    telemetry: Telemetry,
    app: Router,
}

impl Replica {
    fn new(state: shared_state::Redis) -> Self {
        let checkout = Funnel::new("checkout")
            .step("begun")
            .step("ended")
            .lateness(Duration::ZERO);
        let telemetry = Telemetry::builder("orders")
            .own_events(["begun", "ended", "paid"])
            .funnel(checkout)
            .shared_state(state)
            .build()
            .unwrap();
        let begun = async |user: axum::extract::Path<String>| {
            context::identify_user(&*user.0);
            track_event!("begun");
        };
        let ended = async |user: axum::extract::Path<String>| {
            context::identify_user(&*user.0);
            track_event!("ended");
        };
        // As a provider's webhook is delivered: at least once, to whichever replica.
        let paid = async |user: axum::extract::Path<String>| {
            track_event!("paid", event_id = &*user.0);
        };
        let app = Router::new()
            .route("/paid/{user}", get(paid))
            .route("/begun/{user}", get(begun))
            .route("/ended/{user}", get(ended))
            .layer(telemetry.http_layer());
        Self { telemetry, app }
    }

    fn converted(&self) -> u64 {
        self.telemetry.snapshot().funnels()[0].converted
    }

    fn refused(&self, reason: &str) -> u64 {
        let refused = "orderscope.funnel.steps.refused";
        self.telemetry
            .snapshot()
            .counter(refused, &[("reason", reason)])
    }

    /// Payments that were counted, and that were refused since they had been.
    fn payments(&self) -> (u64, u64) {
        let snapshot = self.telemetry.snapshot();
        let duplicate = [("reason", "duplicate")];
        (
            snapshot.counter("orderscope.events", &[("event", "paid")]),
            snapshot.counter("orderscope.events.refused", &duplicate),
        )
    }

    fn degraded(&self, reason: &str) -> f64 {
        let degraded = "orderscope.shared_state.degraded";
        self.telemetry
            .snapshot()
            .gauge(degraded, &[("reason", reason)])
    }
}

/// Each user begins at one replica and ends at the other; that they paid is told to both. How long the slowest request took.
fn checkouts(replicas: &[Replica], users: std::ops::Range<u64>) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut slowest = Duration::ZERO;
    for (step, hop) in [("begun", 0), ("ended", 1), ("paid", 0), ("paid", 1)] {
        for user in users.clone() {
            let at = (user as usize + hop) % replicas.len();
            let request = Request::get(format!("/{step}/u-{user}")).body(Body::empty());
            let began = Instant::now();
            let answer = runtime.block_on(replicas[at].app.clone().oneshot(request.unwrap()));
            slowest = slowest.max(began.elapsed());
            assert!(answer.unwrap().status().is_success());
        }
        // Two steps at one moment are in the order of the funnel, whoever's clock is read.
        thread::sleep(Duration::from_millis(5));
    }
    slowest
}

#[track_caller]
fn until(what: &str, within: Duration, is_so: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < within,
            "F19: not {what} within {within:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// Two replicas, each by a wire of its own.
fn survives(fault: Fault) {
    let redis = Redis::start();
    let wires = [Wire::to(redis.address), Wire::to(redis.address)];
    let replica = |wire: &Wire| Replica::new(shared_state::Redis::at(wire.url()));
    let replicas = wires.each_ref().map(replica);
    survive(fault, &redis, &wires, &replicas);
}

/// As [`survives`], of a cluster, whose one node has all slots and says that it is at the wire's end.
fn survives_in_a_cluster(fault: Fault) {
    let redis = Redis::start_node();
    let wire = Wire::to(redis.address);
    for (name, value) in [("ip", "127.0.0.1"), ("port", &wire.port().to_string())] {
        let said = redis.say(&["CONFIG", "SET", &format!("cluster-announce-{name}"), value]);
        assert!(said.starts_with("+OK"), "{said}");
    }
    redis.say(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until("the cluster whole", PATIENCE, || {
        redis.say(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
    });
    let replica = || Replica::new(shared_state::Redis::cluster([wire.url()]));
    let replicas = [replica(), replica()];
    survive(fault, &redis, &[wire], &replicas);
}

fn survive(fault: Fault, redis: &Redis, wires: &[Wire], replicas: &[Replica]) {
    let converted = || replicas.iter().map(Replica::converted).sum::<u64>();
    let refused = |reason| replicas.iter().map(|r| r.refused(reason)).sum::<u64>();

    checkouts(replicas, 0..USERS);
    until(&format!("{fault:?}: converted"), PATIENCE, || {
        converted() == USERS
    });

    fault.begin(redis, wires);
    let connections: Vec<_> = wires.iter().map(Wire::connections).collect();
    // Of replicas on one wire.
    let on_one = replicas.len() / wires.len();
    let slowest = checkouts(replicas, USERS..2 * USERS);
    assert!(
        slowest < Duration::from_millis(250),
        "F19: {fault:?}: a request took {slowest:?}"
    );
    // The client of a cluster asks again by itself.
    if on_one == 1 || fault != Fault::AnswersLost {
        until(&format!("{fault:?}: degraded"), LENGTH, || {
            replicas
                .iter()
                .any(|replica| replica.degraded(fault.reason()) == 1.0)
        });
    }
    thread::sleep(LENGTH);
    for (wire, before) in wires.iter().zip(connections) {
        let tried = wire.connections() - before;
        // Three, then one after each pause.
        assert!(
            tried <= 12 * on_one,
            "F19: {fault:?}: {tried} connections in {LENGTH:?}"
        );
        let unanswered = wire.most_unanswered();
        // One of each, and one that was given up a moment ago.
        assert!(
            unanswered <= 2 * on_one,
            "F19: {fault:?}: {unanswered} commands in flight"
        );
        assert!(
            wire.most_flooded() < 24 << 20,
            "F19: {} taken",
            wire.most_flooded()
        );
    }
    fault.end(redis, wires);

    checkouts(replicas, 2 * USERS..3 * USERS);
    let all = match fault {
        // What came meanwhile had no place, and was counted.
        Fault::WrongType => 2 * USERS,
        _ => 3 * USERS,
    };
    let took = until(&format!("{fault:?}: converted again"), PATIENCE, || {
        converted() >= all
    });
    host::tell(&format!(
        "{fault:?}: the slowest request {slowest:?}, converged after {took:?}"
    ));
    assert!(
        took <= Duration::from_secs(5),
        "F19: {fault:?}: converged after {took:?}"
    );
    thread::sleep(Duration::from_secs(3));
    assert_eq!(converted(), all, "F19: {fault:?}: counted once");
    let payments = replicas.iter().map(Replica::payments);
    let payments = payments.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    assert_eq!(
        payments,
        (3 * USERS, 3 * USERS),
        "F19: {fault:?}: paid once"
    );
    let lost = if all == 2 * USERS { 2 * USERS } else { 0 };
    assert_eq!(refused("unavailable"), lost, "F19: {fault:?}");
    assert_eq!(
        (refused("late"), refused("queue_full")),
        (0, 0),
        "F19: {fault:?}"
    );
    for replica in replicas {
        assert_eq!(
            replica.degraded(fault.reason()),
            0.0,
            "F19: {fault:?}: it is over"
        );
    }
}

#[test]
fn a_shared_state_that_fails_costs_requests_nothing_and_is_counted_once_when_it_is_back() {
    let all = [
        Fault::Down,
        Fault::Stopped,
        Fault::Slow,
        Fault::AnswersLost,
        Fault::WrongType,
        Fault::Flooded,
    ];
    at_once(all, survives);
}

#[test]
fn a_cluster_that_fails_costs_requests_nothing_and_is_counted_once_when_it_is_back() {
    let all = [Fault::Down, Fault::Stopped, Fault::Slow, Fault::AnswersLost];
    at_once(all, survives_in_a_cluster);
}
