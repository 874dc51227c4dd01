//! Business events: typed, by their macro, counted, and part of the request.

use axum::Router;
use axum::routing::get;
use orderscope::events::{Currency, Event, Money, OrderPlaced, PaymentFailed, Properties};
use orderscope::{context, track_event};
use tracing::info_span;

use super::{Says, Scene, ask};

const COUNT: &str = "orderscope.events";

/// Whether it is a UUID of version 7 in lower case.
fn is_uuid_7(id: &str) -> bool {
    let digits = id.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        14 => byte == b'7',
        19 => b"89ab".contains(&byte),
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    });
    id.len() == 36 && digits
}

#[tokio::test]
async fn an_event_is_a_record_with_a_name_typed_properties_and_its_request() {
    let scene = Scene::new();
    let _listens = scene.listens();
    let handler = async || {
        context::identify("u-7", "s-9");
        let value = Money::minor(2350, Currency::EUR);
        track_event(OrderPlaced {
            order_id: 1024,
            value,
        });
        info_span!("pay").in_scope(|| {
            track_event(PaymentFailed {
                order_id: "o-7",
                method: "card",
                reason: "card_declined",
                value: Money::minor(990, Currency::JPY),
            });
        });
    };
    let app = scene.app(Router::new().route("/orders", get(handler)));
    ask(&app, "/orders").await;
    let (logs, spans) = (scene.logs().await, scene.spans().await);
    let event = |name| logs.iter().find(|log| log.event_name == name).unwrap();
    assert_eq!((logs.len(), spans.len()), (2, 2));
    let (placed, failed) = (event(OrderPlaced::NAME), event("payment_failed"));
    for (event, name, value) in [
        (placed, "order_id", "#1024"),
        (placed, "value", "#23.5"),
        (placed, "currency", "EUR"),
        (failed, "order_id", "o-7"),
        (failed, "method", "card"),
        (failed, "reason", "card_declined"),
        (failed, "value", "#990.0"),
        (failed, "currency", "JPY"),
    ] {
        assert_eq!(event.says(name), value, "{name}");
    }
    let request = spans
        .iter()
        .find(|span| span.name == "GET /orders")
        .unwrap();
    let pay = spans.iter().find(|span| span.name == "pay").unwrap();
    for (event, span) in [(placed, request), (failed, pay)] {
        assert_eq!((event.severity_number, &event.body), (9, &None));
        assert_eq!(event.trace_id, Some(request.trace_id));
        assert_eq!(event.span_id, Some(span.span_id));
        assert_eq!(event.says("http.route"), "/orders");
        assert_eq!(
            (event.says("user.id"), event.says("session.id")),
            ("u-7".into(), "s-9".into())
        );
        let id = event.says("orderscope.event.id");
        assert!(is_uuid_7(&id), "{id}");
    }
}

struct DishRated<'a> {
    id: &'a str,
    stars: u8,
}

impl Event for DishRated<'_> {
    const NAME: &'static str = "dish_rated";

    fn properties(&self, properties: &mut Properties<'_>) {
        properties.unsigned("stars", self.stars.into());
        properties.boolean("is_first", true);
        properties.text("user.id", "u-of-the-event");
    }

    fn id(&self) -> Option<&str> {
        Some(self.id)
    }
}

#[tokio::test]
async fn an_event_of_one_s_own_and_one_of_the_macro_say_what_they_are_given() {
    let scene = Scene::new();
    let handler = async || {
        context::identify("u-7", "s-9");
        track_event(DishRated {
            id: "r-1",
            stars: 5,
        });
        track_event(&DishRated { id: " ", stars: 1 });
        let (city, coupon) = ("Bergen", None::<String>);
        track_event!(
            "coupon_applied",
            event_id = "c-1",
            city,
            coupon = coupon,
            items = 3,
            share = 0.5,
            "delivery.express" = true,
            restaurant.name = %"Roma",
            details = ?Some(1),
            value = Money::minor(890, Currency::EUR),
        );
    };
    let app = scene.app(Router::new().route("/", get(handler)));
    ask(&app, "/").await;
    let logs = scene.logs().await;
    let [rated, applied] = &logs[..] else {
        panic!("{logs:#?}");
    };
    for (event, name, value) in [
        (rated, "orderscope.event.id", "r-1"),
        (rated, "stars", "#5"),
        (rated, "is_first", "#true"),
        (rated, "user.id", "u-of-the-event"),
        (rated, "session.id", "s-9"),
        (applied, "orderscope.event.id", "c-1"),
        (applied, "city", "Bergen"),
        (applied, "coupon", ""),
        (applied, "items", "#3"),
        (applied, "share", "#0.5"),
        (applied, "delivery.express", "#true"),
        (applied, "restaurant.name", "Roma"),
        (applied, "details", "Some(1)"),
        (applied, "value", "#8.9"),
        (applied, "currency", "EUR"),
    ] {
        assert_eq!(event.says(name), value, "{name}");
    }
    let numbers = scene.telemetry.snapshot();
    assert_eq!(numbers.counter(COUNT, &[("event", "dish_rated")]), 1);
    let empty_id = [("reason", "empty_id")];
    assert_eq!(numbers.counter("orderscope.events.refused", &empty_id), 1);
}

#[tokio::test]
async fn events_are_counted_on_the_page_and_their_ids_sort_by_time() {
    let scene = Scene::new();
    let handler = async || {
        for number in 0..50 {
            track_event!("dish_viewed", number);
        }
        track_event!("cart_emptied");
    };
    let app = scene.app(Router::new().route("/", get(handler)));
    let app = app.route("/metrics", scene.telemetry.metrics_route());
    ask(&app, "/").await;
    let (_, page) = ask(&app, "/metrics").await;
    for line in [
        "\norderscope_events_total{event=\"dish_viewed\"} 50\n",
        "\norderscope_events_total{event=\"cart_emptied\"} 1\n",
    ] {
        assert!(page.contains(line), "{page}");
    }
    let logs = scene.logs().await;
    let ids = logs.iter().filter(|log| log.event_name == "dish_viewed");
    let ids: Vec<_> = ids.map(|log| log.says("orderscope.event.id")).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((ids.len(), &sorted), (50, &ids));
}

#[tokio::test]
async fn an_event_of_no_telemetry_is_lost_and_harms_nobody() {
    let scene = Scene::new();
    track_event!("nobody_listens");
    let numbers = scene.telemetry.snapshot();
    assert_eq!(numbers.counter(COUNT, &[]), 0);
    assert!(numbers.counter("orderscope.records.unclaimed", &[]) >= 1);
}
