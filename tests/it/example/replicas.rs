//! Several processes of the example, over which its customers hop, and one truth.

use super::{LENGTHS, Run, Told, is_enough};
use crate::{loopback::get, programs, redis::Redis};
use serde_json::Value;
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread::sleep,
    time::Duration,
};

const FUNNELS: [(&str, [&str; 3]); 2] = [
    (
        "basket",
        ["cart_item_added", "cart_viewed", "checkout_started"],
    ),
    (
        "checkout",
        ["checkout_started", "payment_succeeded", "order_placed"],
    ),
];

fn count(of: &Value, what: &str) -> u64 {
    let count = of[what].as_u64();
    count.unwrap_or_else(|| panic!("no {what}: {of}"))
}

/// Three replicas and a Redis of their own, for so long: what they said, and their summary.
async fn shared_for(length: &str) -> (String, Value) {
    let redis = Redis::start();
    let url = redis.url();
    let shared = ["--replicas", "3", "--redis", &url];
    let run = Run::start_with("example-replicas", length, &shared);
    let page = get(run.address, "/metrics", &[]).await.unwrap();
    for of_all in ["funnel_attempts_opened", "sessions_started"] {
        let is_global = |line: &str| line.contains(of_all) && line.contains("scope=\"global\"");
        assert!(page.text().lines().any(is_global), "{of_all}");
    }
    run.ended()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_customers_hop_between_have_one_truth() {
    let [short, long] = LENGTHS;
    let (mut said, mut summary) = shared_for(short).await;
    if !is_enough(&summary) {
        (said, summary) = shared_for(long).await;
    }
    // Its status says that each replica accounts for every request and every record.
    let replicas = summary["replicas"].as_array().unwrap();
    assert_eq!(replicas.len(), 3);
    let sum = |part: &str| -> u64 {
        let of_one = |replica: &Value| replica.pointer(part).and_then(Value::as_u64);
        replicas.iter().filter_map(of_one).sum()
    };

    let served = |replica: &Value| count(&replica["requests"], "started");
    assert!(replicas.iter().all(|replica| served(replica) > 50));
    let started = count(&summary["requests"], "started");
    assert_eq!(started, sum("/requests/started"));
    assert!(
        said.contains(&format!(
            "started {started} = finished {started} + active 0"
        )),
        "{said}"
    );
    for replica in replicas {
        Told(replica).assert_delivered_in_memory();
    }

    for (name, steps) in FUNNELS {
        let funnel = &summary["funnels"][name];
        let outcomes = ["converted", "abandoned", "excluded", "open"];
        let attempts: u64 = outcomes.map(|outcome| count(funnel, outcome)).iter().sum();
        assert_eq!(count(funnel, "attempts"), attempts, "{name}: {funnel}");
        let reached = steps.map(|step| count(&funnel["steps"], step));
        assert!(reached.is_sorted_by(|a, b| a >= b), "{name}: {funnel}");
        assert_eq!(
            (reached[0], reached[2]),
            (attempts, count(funnel, "converted"))
        );
        assert!(reached[2] > 0, "{name}: {funnel}");
    }
    // Where more were counted than were tracked, two replicas counted one attempt.
    let checkouts = sum("/events/checkout_started");
    let converted = count(&summary["funnels"]["basket"], "converted");
    assert!(converted <= checkouts, "{converted} of {checkouts}");
    let placed = count(&summary["funnels"]["checkout"], "converted");
    assert!(placed <= sum("/events/order_placed"), "{placed}");
    // Where they are counted apart, an attempt that came to three of them is none.
    let paid = sum("/events/payment_succeeded");
    assert!(placed * 4 >= paid * 3, "{placed} of {paid}");

    assert_users_are_the_same(&summary, sum("/events/login"));
    assert_sessions_are_of_all(&summary["sessions"], sum("/events/login"));
    let payment = &summary["transactions"]["payment"];
    assert_eq!(
        count(payment, "succeeded"),
        sum("/events/payment_succeeded")
    );
    assert_eq!(count(payment, "failed"), sum("/events/payment_failed"));
    assert!(count(payment, "succeeded") > 0);
}

/// Each replica tells the number of all of them.
fn assert_users_are_the_same(summary: &Value, logins: u64) {
    let of_day = |of: &Value| count(&of["active_users"], "day");
    let active = of_day(summary);
    assert!(active > 0 && active <= logins, "{active} of {logins}");
    for replica in summary["replicas"].as_array().unwrap() {
        let told = of_day(replica);
        assert!(
            told.abs_diff(active) * 1_000 <= active * 25,
            "{told}, {active}"
        );
        for feature in ["favorites", "tracking"] {
            let users = |of: &Value| count(&of["features"][feature]["users"], "day");
            assert!(users(replica) <= users(summary), "{feature}");
        }
    }
    let uses = |of: &Value| count(&of["features"]["menu"], "uses");
    let replicas = summary["replicas"].as_array().unwrap();
    assert_eq!(uses(summary), replicas.iter().map(uses).sum::<u64>());
}

/// A login begins a session, and what follows in other processes belongs to it.
fn assert_sessions_are_of_all(sessions: &Value, logins: u64) {
    let ended = ["timed_out", "cut_off", "ended_explicitly"].map(|how| count(sessions, how));
    let started = count(sessions, "started");
    assert_eq!(started, count(sessions, "open") + ended.iter().sum::<u64>());
    // Some come back after four seconds; if each replica counted alone, most would be three.
    assert!(
        started >= logins && started < logins * 2,
        "{logins} logins: {sessions}"
    );
}

#[test]
fn no_replica_outlives_the_process_that_started_it() {
    let redis = Redis::start();
    let url = redis.url();
    // Who is killed leaves the database behind.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("food_delivery-left-alone");
    let _ = fs::remove_dir_all(&folder);
    let shared = ["--replicas", "2", "--redis", &url, "--run", "left-alone"];
    let run = Run::start_with("example-left-alone", "60s", &shared);
    let address = run.address;
    let answers = |address: SocketAddr| TcpStream::connect(address).is_ok();
    assert!(answers(address));
    // Killed, so it tells nobody.
    drop(run);
    let is_gone = (0..200).any(|_| {
        sleep(Duration::from_millis(50));
        !answers(address)
    });
    assert!(is_gone, "a replica serves on at {address}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn replicas_without_a_redis_are_refused_with_the_reason() {
    let output = Command::new(programs::example("food_delivery"))
        .args(["--replicas", "3", "--for", "1s"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--redis URL") && said.contains("alone"),
        "{said}"
    );
}
