//! What comes of the steps that requests take: attempts, their outcomes, and the numbers of them.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use orderscope::clock::ManualClock;
use orderscope::events::{Funnel, Subject};
use orderscope::snapshot;
use orderscope::{Telemetry, context, track_event};

use super::{Scene, ask};

/// A service whose requests take a step for a user each.
struct Watched {
    hands: ManualClock,
    scene: Scene,
    app: Router,
}

impl Watched {
    fn new(funnels: impl IntoIterator<Item = Funnel>) -> Self {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
        let scene = Scene::of(|builder| {
            let builder = builder.clock(hands.clock()).own_events(["table_booked"]);
            funnels
                .into_iter()
                .fold(builder, |all, funnel| all.funnel(funnel))
        });
        let handler = async |Path((user, step)): Path<(String, String)>| {
            context::identify(&user, format_args!("s-{user}"));
            match step.as_str() {
                "view" => track_event!("cart_viewed", cart_id = 7),
                "check" => track_event!("checkout_started", cart_id = 7),
                "order" => track_event!("order_placed"),
                "cancel" => track_event!("order_cancelled"),
                "book" => track_event!("table_booked", user.id = "u-of-the-event"),
                other => panic!("{other}"),
            }
        };
        let app = scene.app(Router::new().route("/{user}/{step}", get(handler)));
        let app = app.route("/metrics", scene.telemetry.metrics_route());
        Self { hands, scene, app }
    }

    /// A step each second.
    async fn take(&self, user: &str, steps: &[&str]) {
        for step in steps {
            ask(&self.app, &format!("/{user}/{step}")).await;
            self.hands.advance(Duration::from_secs(1));
        }
    }

    fn counted(&self) -> Vec<snapshot::Funnel> {
        self.scene.telemetry.snapshot().funnels()
    }
}

fn checkout() -> Funnel {
    Funnel::new("checkout")
        .step("cart_viewed")
        .step("checkout_started")
        .step("order_placed")
        .excluding("order_cancelled")
        .within(Duration::from_secs(60))
}

#[tokio::test]
async fn a_funnel_is_counted_from_what_requests_track_and_nothing_else() {
    let watched = Watched::new([checkout()]);
    watched.take("u-1", &["view", "check", "order"]).await;
    watched
        .take("u-2", &["view", "check", "cancel", "order"])
        .await;
    watched.take("u-3", &["view", "order", "check"]).await;
    watched.take("u-4", &["check", "order"]).await;
    watched.hands.advance(Duration::from_secs(11));
    let [funnel] = &watched.counted()[..] else {
        panic!("{:?}", watched.counted());
    };
    let counts = [
        funnel.attempts,
        funnel.open,
        funnel.converted,
        funnel.abandoned,
        funnel.excluded,
    ];
    assert_eq!(counts, [3, 1, 1, 0, 1], "{funnel:?}");
    let reached: Vec<_> = funnel
        .steps
        .iter()
        .map(|step| (&*step.event, step.reached))
        .collect();
    assert_eq!(
        reached,
        [
            ("cart_viewed", 3),
            ("checkout_started", 3),
            ("order_placed", 1)
        ]
    );

    watched.hands.advance(Duration::from_secs(60));
    let funnel = &watched.counted()[0];
    assert_eq!(
        (funnel.open, funnel.abandoned, funnel.steps[1].abandoned),
        (0, 1, 1)
    );
    assert_eq!(funnel.abandonment_rate(), Some(1.0 / 3.0));
    let (_, page) = ask(&watched.app, "/metrics").await;
    for line in [
        "orderscope_funnel_attempts_opened_total{funnel_name=\"checkout\",scope=\"process\"} 3",
        "orderscope_funnel_attempts_open{funnel_name=\"checkout\",scope=\"process\"} 0",
        "orderscope_funnel_step_reached_total{funnel_name=\"checkout\",funnel_step=\"order_placed\",scope=\"process\"} 1",
        "orderscope_funnel_attempts_closed_total{funnel_name=\"checkout\",funnel_step=\"checkout_started\",outcome=\"abandoned\",scope=\"process\"} 1",
        "orderscope_funnel_duration_seconds_count{funnel_name=\"checkout\",scope=\"process\"} 1",
        "orderscope_funnel_steps_refused_total{funnel_name=\"checkout\",reason=\"no_subject\"} 0",
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn who_is_followed_is_the_user_the_session_or_a_property_and_the_event_may_say_so() {
    let of = |name: &str, subject| {
        let funnel = Funnel::new(name)
            .step("cart_viewed")
            .step("checkout_started");
        funnel.followed_by(subject)
    };
    let booked = Funnel::new("booked")
        .step("table_booked")
        .step("cart_viewed");
    let watched = Watched::new([
        of("by cart", Subject::Property("cart_id".to_owned())),
        of("by session", Subject::Session),
        of("by user", Subject::User),
        booked,
    ]);
    watched.take("u-1", &["view"]).await;
    watched.take("u-2", &["check", "book"]).await;
    watched.take("u-of-the-event", &["view"]).await;
    watched.hands.advance(Duration::from_secs(11));
    let funnels = watched.counted();
    let outcome = |name: &str| {
        let funnel = funnels.iter().find(|funnel| funnel.name == name).unwrap();
        (funnel.attempts, funnel.converted)
    };
    // The last look at the cart opens another attempt.
    assert_eq!(outcome("by cart"), (2, 1));
    assert_eq!(outcome("by session"), (2, 0));
    assert_eq!(outcome("by user"), (2, 0));
    assert_eq!(
        outcome("booked"),
        (1, 1),
        "the event's own user before the request's"
    );
}

#[tokio::test]
async fn steps_are_counted_though_nobody_looks_and_by_the_end_all_of_them() {
    let quick = Funnel::new("quick")
        .step("cart_viewed")
        .step("checkout_started");
    let scene = Scene::of(|builder| builder.funnel(quick.lateness(Duration::ZERO)));
    for user in 0..500 {
        track_in(&scene, user).await;
    }
    let report = scene.telemetry.shutdown(Duration::from_secs(5)).await;
    assert!(report.is_complete(), "{report}");
    let funnel = &scene.telemetry.snapshot().funnels()[0];
    assert_eq!(
        (funnel.attempts, funnel.converted, funnel.open),
        (500, 500, 0)
    );
}

async fn track_in(scene: &Scene, user: u32) {
    let handler = async move || {
        context::identify_user(user);
        track_event!("cart_viewed");
        track_event!("checkout_started");
    };
    ask(&scene.app(Router::new().route("/", get(handler))), "/").await;
}

/// A task has a turn of so many looks at what others hold before it has to let others go on.
#[tokio::test]
async fn the_numbers_are_there_however_often_one_task_looks_at_them() {
    let telemetry = Telemetry::builder("orders")
        .funnel(
            Funnel::new("checkout")
                .step("cart_viewed")
                .step("order_placed"),
        )
        .build()
        .unwrap();
    for _ in 0..1_000 {
        assert_eq!(telemetry.snapshot().funnels()[0].attempts, 0);
    }
}
