//! Who is active and who uses what, from requests and the events in them.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use orderscope::clock::ManualClock;
use orderscope::events::{ActiveUsers, Feature};
use orderscope::snapshot::Period;
use orderscope::{Telemetry, context, track_event};

use super::{Says, Scene, ask};

/// A quarter to midnight in Vienna, a quarter to eleven in London.
const BEFORE_MIDNIGHT: Duration = Duration::from_secs(1_767_480_300);

#[tokio::test]
async fn users_are_active_by_requests_and_events_and_a_day_is_that_of_its_time_zone() {
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + BEFORE_MIDNIGHT);
    let favorites = Feature::new("favorites").used_by("favorite_added");
    let telemetry = Telemetry::builder("orders")
        .clock(hands.clock())
        .active_users(ActiveUsers::new().time_zone("Europe/Vienna"))
        .feature(favorites)
        .build()
        .unwrap();
    let handler = async |Path((user, what)): Path<(String, String)>| {
        if user != "nobody" {
            context::identify_user(&user);
        }
        match what.as_str() {
            "favorite" => track_event!("favorite_added", dish_id = 7),
            "of-another" => track_event!("favorite_added", user.id = "u-9"),
            "panic" => panic!("planted"),
            _ => {}
        }
    };
    let app = Router::new().route("/{user}/{what}", get(handler));
    let app = app.layer(telemetry.http_layer());
    let app = app.route("/metrics", telemetry.metrics_route());
    for path in [
        "/u-1/look",
        "/u-1/favorite",
        "/u-2/favorite",
        "/u-3/panic",
        "/nobody/favorite",
        "/nobody/of-another",
    ] {
        ask(&app, path).await;
    }
    let snapshot = telemetry.snapshot();
    let active = snapshot.active_users().unwrap();
    assert_eq!((active.day, active.stickiness()), (4, Some(1.0)));
    let favorites = &snapshot.features()[0];
    assert_eq!((favorites.uses, favorites.users.unwrap().day), (4, 3));
    assert_eq!(favorites.usage(Period::Day), Some(0.75));

    hands.advance(Duration::from_secs(20 * 60));
    ask(&app, "/u-2/look").await;
    let active = telemetry.snapshot().active_users().unwrap();
    assert_eq!((active.day, active.week, active.month), (1, 4, 4));
    let (_, page) = ask(&app, "/metrics").await;
    for line in [
        "orderscope_users_active{period=\"day\",scope=\"process\"} 1",
        "orderscope_users_active{period=\"month\",scope=\"process\"} 4",
        "orderscope_users_refused_total{reason=\"queue_full\"} 0",
        "orderscope_feature_uses_total{feature_name=\"favorites\"} 4",
        "orderscope_feature_users{feature_name=\"favorites\",period=\"week\",scope=\"process\"} 3",
    ] {
        assert!(
            page.lines().any(|shown| shown.starts_with(line)),
            "{line}\n{page}"
        );
    }
}

#[tokio::test]
async fn a_user_whom_an_event_names_is_the_one_whom_requests_name_hashed_or_not() {
    let users = async |key: Option<&str>| {
        let scene = Scene::of(|builder| {
            let builder = builder.active_users(ActiveUsers::new());
            match key {
                Some(key) => builder.hash_user_ids(key),
                None => builder,
            }
        });
        let handler = async || {
            context::identify_user(7);
            track_event!("cart_viewed", cart_id = 1);
            track_event!("payment_succeeded", user.id = "7");
            track_event!("order_delivered", user.id = 7);
            track_event!("order_placed", user.id = %7);
        };
        let app = scene.app(Router::new().route("/", get(handler)));
        ask(&app, "/").await;
        let logs = scene.logs().await;
        assert_eq!(logs.len(), 4);
        let mut said: Vec<_> = logs.iter().map(|log| log.says("user.id")).collect();
        let active = scene.telemetry.snapshot().active_users().unwrap();
        said.dedup();
        (said, active.day)
    };
    let (raw, active) = users(None).await;
    // As it was given.
    assert_eq!(
        (raw, active),
        (vec!["7".into(), "#7".into(), "7".into()], 1)
    );
    let (hashed, active) = users(Some("a key")).await;
    assert_eq!((hashed.len(), active), (1, 1), "{hashed:?}");
    assert_eq!(hashed[0].len(), 32);
}
