//! A service that is careless with what it is told: each of its secrets stands somewhere once.
//! `tests/install` runs it as well.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use http_body_util::BodyExt;
use orderscope::errors::HandlerError;
use orderscope::events::{Currency, Event, Money, Properties};
use orderscope::{Telemetry, capture_error, context, critical, track_event};
use tower::{Layer as _, ServiceExt};
use tracing::{error, info, info_span, instrument, warn};

/// Each secret but those of digits has its number in it: `hush01`, `hush02` …
pub(crate) const NUMBERED: usize = 49;
/// Secrets that are numbers: a card's, a pin, a verification value.
pub(crate) const DIGITS: [&str; 3] = ["4242424242424242", "70031337", "80042448"];

/// What is no secret, and has to be told: of log records and lines.
pub(crate) const TOLD_BY_LINES: &[&str] = &[
    "login of bob failed",
    "order_id",
    "no answer from postgres://",
    "@db:5432/orders",
    "stripe said no to",
    "for order 17",
    "https://couriers.test/track?code=",
    "user: \\\"bob\\\"",
    "captured twice",
    "the kitchen is on fire: gas: valve 7",
    "UPDATE customers SET email=? WHERE id = ?",
    "FROM couriers WHERE phone = ?",
];
/// Of spans, errors and events.
pub(crate) const TOLD_BY_RECORDS: &[&str] = &[
    "GET /orders/{id}",
    "/orders/1024",
    "sign_in",
    "table for bob",
    "couriers.test/nearest?token=",
    "menu import failed",
    "cannot open",
    "oven 7 exploded",
    "card refused by the bank",
    "card_linked",
    "gift_sent",
    "from Ada",
    "user: \"bob\"",
    "GET /couriers/{id}",
];

#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Login {
    user: &'static str,
    password: &'static str,
}

#[derive(Debug)]
struct Failed(&'static str, Option<Box<Self>>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

fn because(said: &'static str, cause: &'static str) -> Failed {
    Failed(said, Some(Box::new(Failed(cause, None))))
}

struct GiftSent;

impl Event for GiftSent {
    const NAME: &'static str = "gift_sent";

    fn properties(&self, properties: &mut Properties<'_>) {
        properties.text("card", "from Ada, with token=hush38 on it");
        properties.text("recovery_code", "hush39");
        properties.display(
            "redeem_at",
            "https://ada:hush40@gifts.test/redeem?id=hush41",
        );
    }
}

fn log_lines() {
    warn!("login of bob failed: password=hush04 order_id=1024");
    info!(password = "hush05", order_id = 1024, "login of bob failed");
    info!(api_key = %"hush06", client.secret = ?Some("hush07"), "signed");
    info!(pin = 70_031_337, "typed");
    error!("no answer from postgres://orders:hush08@db:5432/orders");
    error!(
        url = "https://couriers.test/track?code=hush09",
        "no courier"
    );
    warn!("stripe said no to sk_live_hush10abcdef; Authorization: Bearer hush11");
    warn!("card 4242 4242 4242 4242 declined for order 17; 4242424242424242");
    info!("got eyJhush12abc.eyJhush12abc.hush12 here");
    info!(login = ?Login { user: "bob", password: "hush13" }, "seen");
    info!(body = r#"{"token":"hush14","n":1}"#, "posted");
    critical!(
        session_cookie = "hush15",
        "payment of Basic YTphhush16aa captured twice"
    );
    let fire = because("the kitchen is on fire", "gas: valve 7, passcode: hush17");
    error!(cause = &fire as &dyn Error, "evacuated");
    let headers = std::collections::BTreeMap::from([("set-cookie", "sid=hush18; Path=/")]);
    info!("answered {headers:?}");
    info!("key -----BEGIN PRIVATE KEY-----\nMIIhush19\n-----END PRIVATE KEY----- read");
    // As sqlx tells of a slow one.
    warn!(
        target: "sqlx::query",
        summary = "UPDATE customers SET email='hush47' …",
        db.statement = "\n\nUPDATE customers SET email='hush48' WHERE id = 17\n",
        "slow statement"
    );
    info!(db.query.text = %"SELECT name FROM couriers WHERE phone = 'hush49'", "read");
}

#[instrument(err, fields(access_token = tracing::field::Empty))]
fn sign_in(user: &str, password: &str) -> Result<(), Failed> {
    tracing::Span::current().record("access_token", "hush20");
    let _span = info_span!(
        "seat",
        otel.name = "table for bob, secret=hush21",
        dsn = "redis://:hush22@cache",
        note = "see https://x.test/?k=hush23",
    )
    .entered();
    Err(Failed("no seat, x-api-key: hush24", None))
}

async fn calls(telemetry: &Telemetry) {
    async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
        Ok(Response::new(Body::from("token=hush25")))
    }
    let couriers = telemetry.client_layer();
    let couriers = couriers.layer(tower::service_fn(answer));
    for url in [
        "http://ada:hush26@couriers.test/nearest?token=hush27",
        "http://couriers.test/nearest?token=x&who=hush28#access_token=hush29",
    ] {
        let request = Request::get(url)
            .header("authorization", "Bearer hush30")
            .body(Body::empty());
        couriers.clone().oneshot(request.unwrap()).await.unwrap();
    }
}

fn business(telemetry: &Telemetry) {
    capture_error(&because(
        "menu import failed: password='hush31'",
        "cannot open https://u:hush32@menus.test/?sig=hush33",
    ));
    let boxed: Box<dyn Error> = "cannot open with AKIAHUSH34ABCDEFGHIJKL".into();
    capture_error(&*boxed);
    track_event!(
        "card_linked",
        password = "hush35",
        note = "sent Bearer hush36 along",
        login = ?Login { user: "bob", password: "hush37" },
        cvv = 80_042_448_u32,
        value = Money::minor(2350, Currency::EUR),
    );
    track_event(GiftSent);
    metrics::with_local_recorder(&telemetry.recorder(), || {
        metrics::counter!("orders.placed", "city" => "Graz").increment(1);
    });
}

async fn order(telemetry: Telemetry) -> Response<Body> {
    context::identify("u-1", "s-1");
    log_lines();
    sign_in("bob", "hush42").unwrap_err();
    calls(&telemetry).await;
    business(&telemetry);
    let refused = HandlerError::new(&Failed("card refused by the bank: pwd=hush43", None));
    let told = (StatusCode::BAD_GATEWAY, axum::Extension(refused), "no");
    told.into_response()
}

fn routes(telemetry: &Telemetry) -> Router {
    let telemetry = telemetry.clone();
    Router::new()
        .route("/orders/{id}", get(move || order(telemetry.clone())))
        .route(
            "/couriers/{id}",
            get(async || -> String { panic!("oven {} exploded, token: {}", 7, "hush44") }),
        )
        .route(
            "/ovens/{id}",
            get(async || -> String { panic!("mysql://root:hush45@ovens failed") }),
        )
}

/// Serves what gives all of them away, and the panics.
pub(crate) async fn spill(telemetry: &Telemetry) {
    let app = routes(telemetry).layer(telemetry.http_layer());
    for (path, status) in [
        ("/orders/1024?voucher=hush01&flag", 502),
        ("/couriers/7?next=/x%3Ftoken%3Dhush02", 500),
        ("/ovens/7", 500),
        ("/nowhere?hush03", 404),
    ] {
        let request = Request::get(path)
            .header("authorization", "Basic hush46")
            .header("cookie", "sid=hush46")
            .header("x-api-key", "hush46")
            .header("referer", "https://shop.test/?token=hush46")
            .header("user-agent", "hush46")
            .header("baggage", "password=hush46")
            .body(Body::empty());
        let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        answer.into_body().collect().await.unwrap();
    }
}

/// Panics with the first secret that is in `output`, which must tell all of `told`.
#[track_caller]
pub(crate) fn assert_tells_no_secret(what: &str, output: &[u8], told: &[&str]) {
    let output = String::from_utf8_lossy(output);
    let lower = output.to_lowercase();
    for number in 1..=NUMBERED {
        let secret = format!("hush{number:02}");
        if let Some(at) = lower.find(&secret) {
            let shown = lower.get(at.saturating_sub(120)..at + 40);
            panic!("{what} tells {secret}: {}", shown.unwrap_or(&lower));
        }
    }
    let digits: String = lower.chars().filter(|c| !" -_".contains(*c)).collect();
    for secret in DIGITS {
        assert!(!digits.contains(secret), "{what} tells {secret}");
    }
    for kept in told {
        assert!(
            output.contains(kept),
            "{what} says nothing of {kept}: {output}"
        );
    }
}

#[test]
fn every_secret_is_planted_and_none_is_left_out() {
    let source = include_str!("planted.rs").to_lowercase();
    for number in 1..=NUMBERED {
        assert!(source.contains(&format!("hush{number:02}")), "{number}");
    }
    assert!(!source.contains(&format!("hush{}", NUMBERED + 1)));
    for secret in DIGITS {
        assert!(source.replace(['_', ' '], "").matches(secret).count() > 1);
    }
}
