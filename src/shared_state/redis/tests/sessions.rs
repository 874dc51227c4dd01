//! Sessions over replicas: whichever of them a deed comes to, what is told is what the definitions say.

use super::{AFTER_LEASES, real, replica};
use crate::shared_state::{
    Follower, Id, SharedState, Space, Taken, Visited, Visits,
    visits::tests::{LATENESS, LIMITS, Lived, any_life, by_the_book},
};
use proptest::{prelude::*, test_runner::TestRunner};
use std::sync::Arc;

/// 2,000 histories in all.
const CASES: u32 = 10;
const UNITS: usize = 200;

fn in_order(mut told: Vec<String>) -> Vec<String> {
    told.sort();
    told
}

fn shown(unit: Id, turn: &Visited) -> String {
    format!("{unit:?}: {turn:?}")
}

/// What `replicas` of one state tell, each of what it settles.
async fn told_by(
    name: &str,
    replicas: &[Arc<dyn SharedState>],
    lives: &[Lived],
    (hops, end): (&[u8], u64),
) -> (Vec<String>, u64) {
    let space = Space {
        name: name.into(),
        most_units: 100_000,
        most_bytes: usize::MAX,
        keep: 60_000_000,
    };
    let follower = |_| Follower::<Visits>::new(space.clone(), LIMITS, LATENESS);
    let mut followers: Vec<_> = replicas.iter().map(follower).collect();
    let mut all = Vec::new();
    for now in 0..=end {
        let mut told: Vec<Vec<_>> = replicas.iter().map(|_| Vec::new()).collect();
        for (unit, lived) in lives.iter().enumerate() {
            for (n, (at, deed)) in lived.iter().enumerate() {
                if *at == now {
                    let hop = usize::from(hops[(unit * 31 + n) % hops.len()]);
                    told[hop % replicas.len()].push((Id::from(unit as u128), of(unit, deed)));
                }
            }
        }
        for ((follower, state), told) in followers.iter_mut().zip(replicas).zip(&mut told) {
            let in_time = |taken| assert_eq!(taken, Taken::InTime);
            follower.tell(&**state, told, in_time).await.unwrap();
        }
        if now.is_multiple_of(9) || now == end {
            let settling = followers
                .iter_mut()
                .zip(replicas)
                .map(async |(follower, state)| {
                    let mut told = Vec::new();
                    let tell = |turn: Visited| told.push(turn);
                    follower.settle(&**state, now, tell).await.unwrap();
                    told
                });
            for told in futures_util::future::join_all(settling).await {
                all.extend(told.iter().map(|turn| shown(unit_of(turn), turn)));
            }
        }
    }
    tokio::time::sleep(AFTER_LEASES).await;
    let (last, state) = (&mut followers[0], &replicas[0]);
    let tell = |turn: Visited| all.push(shown(unit_of(&turn), &turn));
    last.settle(&**state, end, tell).await.unwrap();
    let open = last.open();
    (in_order(all), open)
}

/// Whose each is, is told by the user.
fn of(unit: usize, deed: &crate::shared_state::Deed) -> crate::shared_state::Deed {
    let mut deed = deed.clone();
    deed.user = unit.to_string().into();
    deed
}

fn unit_of(turn: &Visited) -> Id {
    Id::from(turn.user.parse::<u128>().unwrap())
}

#[test]
fn sessions_of_three_replicas_and_of_one_are_those_that_the_definitions_say() {
    let server = real::Redis::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replicas = [replica(&server), replica(&server), replica(&server)];
    let alone = [replica(&server)];
    let mut config = ProptestConfig::with_cases(CASES);
    config.max_shrink_iters = 20;
    let mut runner = TestRunner::new(config);
    let case = std::sync::atomic::AtomicU32::new(0);
    let lives = proptest::collection::vec(any_life(), UNITS);
    let hops = proptest::collection::vec(any::<u8>(), 251);
    // Some may be open still.
    let outcome = runner.run(&(lives, hops, 200_u64..720), |(lives, hops, end)| {
        let case = case.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut book = Vec::new();
        for (unit, lived) in lives.iter().enumerate() {
            let deeds: Vec<_> = lived.iter().map(|(_, deed)| of(unit, deed)).collect();
            book.extend(by_the_book(&deeds, end));
        }
        let begun = book.iter().filter(|turn| turn.end.is_none()).count();
        let open = (begun - (book.len() - begun)) as u64;
        let book = in_order(book.iter().map(|turn| shown(unit_of(turn), turn)).collect());
        let (by_one, by_three) = runtime.block_on(async {
            (
                told_by(&format!("one-{case}"), &alone, &lives, (&hops, end)).await,
                told_by(&format!("three-{case}"), &replicas, &lives, (&hops, end)).await,
            )
        });
        prop_assert_eq!(&by_one, &(book.clone(), open));
        prop_assert_eq!(&by_three, &(book, open));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
