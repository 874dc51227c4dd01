//! Whatever replica an event comes to, and however late within the lateness: the numbers are those of
//! one process, and those that the definitions say.

use super::{AFTER_LEASES, clusters::Cluster, real, replica};
use crate::shared_state::{
    Attempts, Follower, Happening, Id, Memory, Rules, SharedState, Space, Taken,
    reference::{Counts, History, LATENESS, any_history, any_reentry, by_the_book, rules},
};
use proptest::{prelude::*, test_runner::TestRunner};
use std::sync::Arc;

/// 10,000 histories in all.
const CASES: u32 = 50;
const UNITS: usize = 200;

/// Histories of many units at one funnel, and by which replica each of their events is told, and who
/// settles when.
#[derive(Clone, Debug)]
struct Together {
    rules: Rules,
    units: Vec<History>,
    hops: Vec<u8>,
    /// When it is looked at for the last time: some attempts may be open still.
    end: u64,
}

fn together() -> impl Strategy<Value = Together> {
    let units = proptest::collection::vec(any_history(), UNITS);
    let hops = proptest::collection::vec(any::<u8>(), 251);
    (units, hops, 2_u8..=4, 1_u64..60, any_reentry(), 60_u64..220).prop_map(
        |(units, hops, steps, window, reentry, end)| Together {
            rules: rules(steps, window, reentry),
            units,
            hops,
            end,
        },
    )
}

impl Together {
    fn by_the_book(&self) -> Counts {
        let mut all = Counts::new(&self.rules);
        for unit in &self.units {
            let told: Vec<_> = unit
                .happenings
                .iter()
                .map(|(happening, _)| *happening)
                .collect();
            all.add(&by_the_book(&self.rules, &told, self.end));
        }
        all
    }

    /// What `replicas` of one state come to, together.
    async fn by(&self, name: &str, replicas: &[Arc<dyn SharedState>]) -> Counts {
        let space = Space {
            name: name.into(),
            most_units: 100_000,
            most_bytes: usize::MAX,
            keep: 60_000_000,
        };
        let follower = |_| Follower::<Attempts>::new(space.clone(), self.rules, LATENESS);
        let mut followers: Vec<_> = replicas.iter().map(follower).collect();
        let mut counts = Counts::new(&self.rules);
        let hop = |salt: usize| usize::from(self.hops[salt % self.hops.len()]);
        for now in 0..=self.end {
            let mut told: Vec<Vec<(Id, Happening)>> = vec![Vec::new(); replicas.len()];
            for (at, unit) in self.units.iter().enumerate() {
                for (n, (happening, delay)) in unit.happenings.iter().enumerate() {
                    if happening.at + delay == now {
                        let by = hop(at * 31 + n) % replicas.len();
                        told[by].push((Id::from(at as u128), *happening));
                    }
                }
            }
            for ((follower, state), told) in followers.iter_mut().zip(replicas).zip(&mut told) {
                let is_in_time = |taken| assert_eq!(taken, Taken::InTime);
                follower.tell(&**state, told, is_in_time).await.unwrap();
            }
            if hop(now as usize).is_multiple_of(4) || now == self.end {
                // At once, so that one finds what another is about to put in place.
                let settling = followers
                    .iter_mut()
                    .zip(replicas)
                    .map(async |(follower, state)| {
                        let mut of_one = Counts::new(&self.rules);
                        let tell = |turn| of_one.tell(turn);
                        follower.settle(&**state, now, tell).await.unwrap();
                        of_one
                    });
                for of_one in futures_util::future::join_all(settling).await {
                    counts.add(&of_one);
                }
            }
        }
        tokio::time::sleep(AFTER_LEASES).await;
        let (last, state) = (&mut followers[0], &replicas[0]);
        let settled = last.settle(&**state, self.end, |turn| counts.tell(turn));
        settled.await.unwrap();
        counts.open = last.open();
        counts
    }
}

#[test]
fn three_replicas_one_and_a_memory_come_to_what_the_definitions_say() {
    let server = real::Redis::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replicas = [replica(&server), replica(&server), replica(&server)];
    let alone = [replica(&server)];
    let mut config = ProptestConfig::with_cases(CASES);
    // Two hundred histories at once are nothing that gets shorter in reasonable time.
    config.max_shrink_iters = 50;
    let mut runner = TestRunner::new(config);
    let case = std::sync::atomic::AtomicU32::new(0);
    let outcome = runner.run(&together(), |together| {
        let case = case.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let book = together.by_the_book();
        let memory: [Arc<dyn SharedState>; 1] = [Arc::<Memory>::default()];
        let (in_memory, by_one, by_three) = runtime.block_on(async {
            (
                together.by("any", &memory).await,
                together.by(&format!("one-{case}"), &alone).await,
                together.by(&format!("three-{case}"), &replicas).await,
            )
        });
        prop_assert_eq!(&in_memory, &book);
        prop_assert_eq!(&by_one, &book);
        prop_assert_eq!(&by_three, &book);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn replicas_of_a_cluster_come_to_the_same() {
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(2));
    let outcome = runner.run(&together(), |together| {
        let name = format!("of {:?}", together.hops);
        let replicas = [cluster.replica(), cluster.replica()];
        let counted = runtime.block_on(together.by(&name, &replicas));
        prop_assert_eq!(counted, together.by_the_book());
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
