//! A cluster of three: whatever node a key is on, it is asked there.

use super::{super::Redis, PATIENT, opened, real};
use crate::shared_state::{Id, SharedState};
use std::{sync::Arc, thread, time::Duration};

const SLOTS: u16 = 16_384;

pub(super) struct Cluster(Vec<real::Redis>);

impl Cluster {
    pub(super) fn start() -> Self {
        let nodes: Vec<_> = (0..3).map(|_| real::Redis::start_node()).collect();
        let each = SLOTS / 3 + 1;
        for (at, node) in (0_u16..).zip(&nodes) {
            let (first, last) = (at * each, ((at + 1) * each).min(SLOTS) - 1);
            let slots = [first.to_string(), last.to_string()];
            node.say(&["CLUSTER", "ADDSLOTSRANGE", &slots[0], &slots[1]]);
            let port = nodes[0].address.port().to_string();
            node.say(&["CLUSTER", "MEET", "127.0.0.1", &port]);
        }
        let is_whole = |node: &real::Redis| {
            let info = node.say(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        };
        for _ in 0..1_200 {
            if nodes.iter().all(is_whole) {
                return Self(nodes);
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!(
            "no cluster within 60 s: {}",
            nodes[0].say(&["CLUSTER", "INFO"])
        );
    }

    pub(super) fn replica(&self) -> Arc<dyn SharedState> {
        // One is enough to find the others by.
        let known = self.0.first().map(real::Redis::url);
        opened(&Redis::cluster(known), PATIENT)
    }
}

#[tokio::test]
async fn sketches_of_a_cluster_are_counted_together() {
    let cluster = Cluster::start();
    let replica = cluster.replica();
    for (of, day) in [
        ("users", 1),
        ("users", 2),
        ("feature:a", 1),
        ("feature:b", 1),
    ] {
        replica
            .add(of, day, &[Id::from(1), Id::from(2)])
            .await
            .unwrap();
    }
    assert_eq!(replica.count("users", 2, 7).await, Ok(2));
}
