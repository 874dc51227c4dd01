//! Against a real Redis, each test by one of its own.

#[path = "../../../tests/it/redis.rs"]
#[expect(dead_code, reason = "the tests of faults need more of it")]
mod real;
mod replicas;

use super::Redis;
use crate::shared_state::{Id, SharedState, Unavailable};
use siphasher::sip128::SipHasher13;
use std::sync::Arc;

fn replica(server: &real::Redis) -> Arc<dyn SharedState> {
    Redis::at(server.url()).open_in(8).unwrap()
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
        let ids: Vec<_> = (0..users).map(|user| hashed(user)).collect();
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
async fn where_nobody_is_there_is_no_answer_and_after_three_failures_a_pause() {
    let server = real::Redis::start();
    let replica = replica(&server);
    let ask = || replica.add("users", 1, &[]);
    ask().await.unwrap();
    drop(server);
    for _ in 0..10 {
        let one = [Id::from(1)];
        assert_eq!(
            replica.add("users", 1, &one).await,
            Err(Unavailable::Unreachable)
        );
    }
}
