//! Against a real Redis, each test by one of its own.

mod clusters;
#[path = "../../../tests/it/redis.rs"]
#[expect(dead_code, reason = "the tests of faults need more of it")]
mod real;
mod replicas;
mod sessions;
mod told;

use super::{Redis, WITHIN, Within};
use crate::clock::Clock;
use crate::shared_state::{Id, Limit, Memory, Met, SharedState, Unavailable};
use siphasher::sip128::SipHasher13;
use std::{sync::Arc, time::Duration};

/// A lease that is over at once: everybody looks after every shard.
const A_MOMENT: Duration = Duration::from_micros(1);
/// After which all leases are over.
const AFTER_LEASES: Duration = Duration::from_millis(5);

/// However busy the machine is, what is asked is answered by then.
const PATIENT: Within = Within {
    question: Duration::from_secs(60),
    decision: Duration::from_secs(60),
};

fn replica(server: &real::Redis) -> Arc<dyn SharedState> {
    opened(&Redis::at(server.url()), PATIENT)
}

fn opened(redis: &Redis, within: Within) -> Arc<dyn SharedState> {
    redis
        .open_in((8, A_MOMENT), within, &Clock::system())
        .unwrap()
}

/// As ids are in a service.
fn hashed(number: u32) -> Id {
    let hashed = SipHasher13::new().hash(&number.to_be_bytes());
    hashed.as_u128().into()
}

#[tokio::test]
async fn users_are_counted_once_over_all_replicas_within_the_error_of_their_sketch() {
    let server = real::Redis::start();
    let replicas = [replica(&server), replica(&server), replica(&server)];
    let mut day = 20_000;
    for users in [100_u32, 10_000, 1_000_000] {
        day += 40;
        let ids: Vec<_> = (0..users).map(hashed).collect();
        for (at, some) in ids.chunks(1_000).enumerate() {
            // Each is told by two of them, on two days.
            for told in [0, 1] {
                let by = &replicas[(at + told) % 3];
                by.add("users", day - told as u32, some).await.unwrap();
            }
        }
        let counted = replicas[0].count("users", day, 7).await.unwrap();
        let error = f64::from(users) - counted as f64;
        assert!(
            error.abs() / f64::from(users) <= 0.025,
            "{counted} of {users}"
        );
        assert_eq!(replicas[0].count("users", day + 7, 7).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_server_is_reached_through_tls_by_whom_it_is_signed_and_by_nobody_else() {
    let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (ours, others) = (made("localhost"), made("localhost"));
    let folder = std::env::temp_dir();
    let server = real::Redis::start_with(|port| {
        let file = |what: &str, pem: String| {
            let path = folder.join(format!("orderscope-redis-{port}.{what}"));
            std::fs::write(&path, pem).unwrap();
            path.to_string_lossy().into_owned()
        };
        let certificate = file("crt", ours.cert.pem());
        let key = file("key", ours.signing_key.serialize_pem());
        let [none, port] = ["0".to_owned(), port.to_string()];
        let with = |name: &str, value: &str| [format!("--{name}"), value.to_owned()];
        [
            with("port", &none),
            with("tls-port", &port),
            with("tls-cert-file", &certificate),
            with("tls-key-file", &key),
            with("tls-ca-cert-file", &certificate),
            with("tls-auth-clients", "no"),
        ]
        .concat()
    });
    let address = format!("rediss://localhost:{}", server.address.port());
    let trusting = |pem: String| opened(&Redis::at(&address).certificate(pem), PATIENT);
    trusting(ours.cert.pem()).answer().await.unwrap();
    let stranger = trusting(others.cert.pem()).answer().await;
    assert_eq!(stranger, Err(Unavailable::Refused));
    let in_plain = replica(&server).answer().await;
    assert!(in_plain.is_err(), "{in_plain:?}");
}

#[test]
fn what_is_no_address_is_refused_without_its_password() {
    for (redis, shown) in [
        (Redis::at("localhost:6379"), "localhost:6379"),
        (Redis::at("http://u:pass@host"), "http://***@host"),
        (Redis::at("u:pass@host:6379"), "***@host:6379"),
        (
            Redis::at("redis+unix:///r.sock?pass=pass@"),
            "redis+unix:///r.sock",
        ),
        (Redis::at("unix:///run/redis"), "unix:///run/redis"),
        (Redis::cluster(Vec::<String>::new()), ""),
        (
            Redis::cluster(["rediss://u:pass@host"]),
            "rediss://***@host",
        ),
    ] {
        let error = redis.open(&Clock::system()).unwrap_err().to_string();
        assert!(error.contains(&format!("{shown:?}")), "{error}");
        assert!(
            !error.contains("pass@") && error.contains("redis://"),
            "{error}"
        );
    }
    let certificate = Redis::at("rediss://host")
        .certificate("a key: hunter2")
        .open(&Clock::system());
    let error = certificate.unwrap_err().to_string();
    assert!(
        error.contains("certificates in PEM") && !error.contains("hunter2"),
        "{error}"
    );
}

#[tokio::test]
async fn limits_are_kept_over_all_replicas_as_by_one_memory() {
    let server = real::Redis::start();
    let replicas = [replica(&server), replica(&server), replica(&server)];
    let memory = Memory::default();
    let limit = Limit {
        most: 5,
        period: 1_000_000,
    };
    let mut now = 1_700_000_000_000_000;
    for asked in 0..2_000_u64 {
        now += u64::from(hashed(asked as u32).as_bytes()[0]) * 1_000;
        let key = Id::from(u128::from(asked % 3));
        let by = &replicas[asked as usize % 7 % 3];
        let decided = by.decide("login", limit, key, now).await.unwrap();
        let in_memory = memory.decide("login", limit, key, now).await.unwrap();
        assert_eq!(decided, in_memory, "the {asked}th");
    }
    let silent = opened(&Redis::at(server.url()), WITHIN);
    server.hold();
    // From here on time is what the deadlines make it.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let decided = silent.decide("login", limit, Id::from(1), now).await;
    assert_eq!(decided, Err(Unavailable::Timeout));
    let took = began.elapsed();
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test]
async fn what_is_met_again_was_met_when_any_replica_met_it_last_however_often_it_is_asked() {
    let server = real::Redis::start();
    let [one, other] = [replica(&server), replica(&server)];
    let met = |at, release: &str| {
        let release = release.into();
        Ok(Some(Met { at, release }))
    };
    assert_eq!(one.meet("error:1", 10, "1.0").await, Ok(None));
    assert_eq!(
        one.meet("error:1", 10, "1.0").await,
        Ok(None),
        "asked again"
    );
    assert_eq!(other.meet("error:1", 20, "1.1").await, met(10, "1.0"));
    assert_eq!(other.meet("error:1", 20, "1.1").await, met(10, "1.0"));
    assert_eq!(
        one.meet("error:1", 15, "1.0").await,
        met(20, "1.1"),
        "told late"
    );
    assert_eq!(one.meet("error:1", 30, "1.0").await, met(20, "1.1"));
    assert_eq!(one.meet("error:2", 30, "1.0").await, Ok(None));
}
