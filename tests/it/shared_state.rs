//! What replicas have in common through a real Redis, seen from outside.

use crate::redis::Redis;
use axum::{Router, body::Body, extract::Path, routing::get};
use http::Request;
use orderscope::{
    Telemetry, context,
    events::{ActiveUsers, Feature, Funnel, Transaction},
    export::{Destination, InMemory},
    shared_state, track_event,
};
use std::{thread, time::Duration};
use tokio::time::Instant;
use tower::ServiceExt as _;

const WITHIN: Duration = Duration::from_secs(60);

/// One process of a service.
struct Replica {
    telemetry: Telemetry,
    backend: InMemory,
    app: Router,
}

impl Replica {
    fn new(redis: &Redis) -> Self {
        let backend = InMemory::new();
        let telemetry = Telemetry::builder("orders")
            .own_events(["paid", "declined", "liked"])
            .transaction(
                Transaction::new("payment")
                    .succeeded_by("paid")
                    .failed_by("declined"),
            )
            .feature(Feature::new("favorites").used_by("liked"))
            .active_users(ActiveUsers::new())
            .funnel(
                Funnel::new("way")
                    .step("liked")
                    .step("paid")
                    .lateness(Duration::ZERO),
            )
            .shared_state(shared_state::Redis::at(redis.url()))
            .destination(Destination::in_memory("memory", &backend))
            .build()
            .unwrap();
        let pay = async |Path((user, id)): Path<(String, String)>| {
            context::identify_user(&user);
            track_event!("paid", event_id = id);
        };
        let like = async |Path(user): Path<String>| {
            context::identify_user(&user);
            track_event!("liked");
        };
        let app = Router::new()
            .route("/pay/{user}/{id}", get(pay))
            .route("/like/{user}", get(like))
            .layer(telemetry.http_layer());
        Self {
            telemetry,
            backend,
            app,
        }
    }

    async fn ask(&self, path: &str) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = self.app.clone().oneshot(request).await.unwrap();
        assert!(answer.status().is_success());
    }

    fn count(&self, name: &str, attribute: (&str, &str)) -> u64 {
        self.telemetry.snapshot().counter(name, &[attribute])
    }
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < WITHIN, "not {what} within {WITHIN:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_event_with_an_id_is_one_event_whichever_replicas_are_told_of_it() {
    let redis = Redis::start();
    let replicas = [Replica::new(&redis), Replica::new(&redis)];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        for user in 0..100 {
            for replica in &replicas {
                replica.ask(&format!("/like/u-{user}")).await;
            }
        }
        // As a webhook that is sent again until it is answered.
        for user in 0..100 {
            for at in [0, 1, 0] {
                let replica: &Replica = &replicas[(user + at) % 2];
                replica.ask(&format!("/pay/u-{user}/payment-{user}")).await;
            }
        }
    });
    let sum = |name: &str, attribute| -> u64 {
        let counts = replicas
            .iter()
            .map(|replica| replica.count(name, attribute));
        counts.sum()
    };
    let refused = || sum("orderscope.events.refused", ("reason", "duplicate"));
    until("all decided", || refused() == 200);
    assert_eq!(sum("orderscope.events", ("event", "paid")), 100);
    assert_eq!(
        sum("orderscope.transactions", ("outcome", "succeeded")),
        100
    );
    let converted = || -> u64 {
        let funnels = replicas
            .iter()
            .map(|replica| replica.telemetry.snapshot().funnels());
        funnels.map(|funnels| funnels[0].converted).sum()
    };
    until("converted", || converted() == 100);
    let paid = |replica: &Replica| {
        assert!(runtime.block_on(replica.telemetry.flush(WITHIN)));
        let logs = replica.backend.logs();
        logs.iter().filter(|log| log.event_name == "paid").count()
    };
    assert_eq!(replicas.iter().map(paid).sum::<usize>(), 100);
}

#[test]
fn users_of_all_replicas_are_one_number_that_each_of_them_tells() {
    let redis = Redis::start();
    let replicas = [
        Replica::new(&redis),
        Replica::new(&redis),
        Replica::new(&redis),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        for user in 0..300 {
            // Each comes to two of the three.
            for at in [0, 1] {
                let path = format!("/like/u-{user}");
                replicas[(user + at) % 3].ask(&path).await;
            }
        }
    });
    let is_near = |users: f64| (users - 300.0).abs() <= 300.0 * 0.025;
    for replica in &replicas {
        let global = [("scope", "global"), ("period", "day")];
        until("all are known", || {
            let snapshot = replica.telemetry.snapshot();
            is_near(snapshot.gauge("orderscope.users.active", &global))
                && is_near(snapshot.gauge("orderscope.feature.users", &global))
        });
    }
}
