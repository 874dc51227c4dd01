//! From coming to going: sessions of what requests and events say, and what is told of them.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use hyper::Request;
use orderscope::clock::ManualClock;
use orderscope::events::Sessions;
use orderscope::{context, track_event};

use super::{Says, Scene, ask, send};

const MINUTE: Duration = Duration::from_secs(60);

/// A service whose requests are of a session or of a user.
struct Visited {
    hands: ManualClock,
    scene: Scene,
    app: Router,
}

impl Visited {
    fn new() -> Self {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + 100_000 * MINUTE);
        let scene = Scene::of(|builder| {
            let builder = builder.clock(hands.clock()).own_events(["logged_out"]);
            builder.sessions(Sessions::new())
        });
        let handler = async |Path((who, what)): Path<(String, String)>| {
            match who.strip_prefix("user-") {
                Some(user) => context::identify_user(user),
                None if who == "nobody" => {}
                None => context::identify("u-1", &who),
            }
            match what.as_str() {
                "view" => track_event!("cart_viewed", cart_id = 7),
                "delivered" => track_event!("order_delivered", user.id = "u-1"),
                "leave" => {
                    track_event!("logged_out");
                    context::end_session();
                }
                _ => {}
            }
        };
        let app = scene.app(Router::new().route("/{who}/{what}", get(handler)));
        let app = app.route("/metrics", scene.telemetry.metrics_route());
        Self { hands, scene, app }
    }

    async fn go(&self, paths: &[&str]) {
        for path in paths {
            ask(&self.app, path).await;
            self.hands.advance(Duration::from_secs(1));
        }
    }
}

#[tokio::test]
async fn a_session_begins_with_activity_and_ends_without_it_and_both_are_told() {
    let visited = Visited::new();
    visited
        .go(&["/s-1/look", "/s-1/view", "/nobody/view"])
        .await;
    visited.hands.advance(29 * MINUTE);
    visited.go(&["/s-1/look"]).await;
    let open = visited.scene.telemetry.snapshot().sessions().unwrap();
    assert_eq!((open.started, open.open), (1, 1));
    visited.hands.advance(31 * MINUTE);
    visited.go(&["/s-1/look", "/s-1/leave"]).await;
    visited.hands.advance(MINUTE);

    let sessions = visited.scene.telemetry.snapshot().sessions().unwrap();
    assert_eq!((sessions.started, sessions.open), (2, 0));
    assert_eq!((sessions.timed_out, sessions.ended_explicitly), (1, 1));
    assert_eq!(
        sessions.exits,
        [("GET /{who}/{what}".into(), 1), ("logged_out".into(), 1)]
    );
    let mut logs = visited.scene.logs().await;
    logs.retain(|log| log.event_name.starts_with("session."));
    let [first, timed_out, second, left] = &logs[..] else {
        panic!("{logs:#?}");
    };
    for (log, name, session, previous) in [
        (first, "session.start", "s-1", ""),
        (timed_out, "session.end", "s-1", ""),
        (second, "session.start", &*second.says("session.id"), "s-1"),
        (left, "session.end", &*second.says("session.id"), "s-1"),
    ] {
        assert_eq!(log.event_name, name);
        assert_eq!(log.says("session.id"), session);
        assert_eq!(log.says("session.previous_id"), previous);
        assert_eq!(log.says("user.id"), "u-1");
    }
    assert_ne!(second.says("session.id"), "s-1");
    let path = "GET /{who}/{what} > cart_viewed > GET /{who}/{what} > GET /{who}/{what}";
    assert_eq!(timed_out.says("orderscope.session.path"), path);
    assert_eq!(timed_out.says("orderscope.session.reason"), "timeout");
    assert_eq!(timed_out.says("orderscope.session.duration"), "#1743.0");
    assert_eq!(left.says("orderscope.session.reason"), "explicit");
    let path = "GET /{who}/{what} > logged_out";
    assert_eq!(left.says("orderscope.session.path"), path);
    assert_eq!(left.says("orderscope.session.steps_beyond"), "#0");
}

#[tokio::test]
async fn without_a_session_it_is_the_user_s_and_what_others_do_extends_none() {
    let visited = Visited::new();
    visited.go(&["/user-u-1/look", "/s-9/delivered"]).await;
    visited.hands.advance(20 * MINUTE);
    visited.go(&["/nobody/delivered"]).await;
    visited.hands.advance(11 * MINUTE);
    let sessions = visited.scene.telemetry.snapshot().sessions().unwrap();
    assert_eq!((sessions.started, sessions.timed_out), (2, 2));
    assert_eq!(sessions.median_seconds.map(f64::floor), Some(0.0));
    let (_, page) = ask(&visited.app, "/metrics").await;
    for line in [
        "orderscope_sessions_started_total{scope=\"process\"} 2",
        "orderscope_sessions_open{scope=\"process\"} 0",
        "orderscope_sessions_ended_total{reason=\"timeout\",scope=\"process\"} 2",
        "orderscope_session_duration_seconds_count{scope=\"process\"} 2",
        "orderscope_session_exits_total{scope=\"process\",session_step=\"GET /{who}/{what}\"} 2",
        "orderscope_sessions_refused_total{reason=\"late\"} 0",
    ] {
        assert!(
            page.lines().any(|shown| shown.starts_with(line)),
            "{line}\n{page}"
        );
    }
}

#[tokio::test]
async fn a_session_is_named_by_the_cookie_or_the_header_that_is_declared_until_the_program_names_it()
 {
    async fn named(sessions: Sessions, header: (&str, &str), path: &str) -> String {
        let scene = Scene::of(|builder| builder.sessions(sessions));
        let view = async || track_event!("cart_viewed", cart_id = 7);
        let log_in = async || {
            context::identify("u-1", "s-1");
            track_event!("cart_viewed", cart_id = 7);
        };
        let routes = Router::new()
            .route("/view", get(view))
            .route("/log-in", get(log_in));
        let app = scene.app(routes);
        let request = Request::get(path).header(header.0, header.1);
        send(&app, request.body(Body::empty()).unwrap()).await;
        scene.log().await.says("session.id")
    }
    let cookie = || Sessions::new().from_cookie("sid");
    let header = || Sessions::new().from_header("X-Session-Id");
    let sid = ("cookie", "theme=dark; sid=abc");
    let hash = "ba7816bf8f01cfea414140de5dae2223";
    assert_eq!(named(cookie(), sid, "/view").await, hash);
    assert_eq!(named(cookie(), sid, "/log-in").await, "s-1");
    assert_eq!(named(header(), sid, "/view").await, "");
    let given = ("x-session-id", "s-77");
    assert_eq!(named(header(), given, "/view").await, "s-77");
    assert_eq!(named(Sessions::new(), sid, "/view").await, "");
}
