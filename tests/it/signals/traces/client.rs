//! Outgoing calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::routing::get;
use axum::{Router, extract::State};
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use orderscope::Telemetry;
use orderscope::export::{ReceivedSpanKind, ReceivedStatus};
use orderscope::http::{ClientService, UrlTemplate};
use tokio::net::TcpListener;
use tower::{Layer as _, ServiceExt};

use super::super::{Says, Scene, ask, assert_child, is_error, named};

const DURATION: &str = "http.client.request.duration";

pub(super) type Calls = ClientService<Client<HttpConnector, Body>>;

/// hyper-util's client behind the layer.
pub(super) fn client(telemetry: &Telemetry) -> Calls {
    let client = Client::builder(TokioExecutor::new()).build_http();
    telemetry.client_layer().layer(client)
}

/// Serves the router on a free port, until the runtime ends.
pub(in super::super) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn couriers() -> Router {
    Router::new()
        .route("/nearest", get(async || "on the way"))
        .route("/404", get(async || StatusCode::NOT_FOUND))
        .route("/503", get(async || StatusCode::SERVICE_UNAVAILABLE))
        .route("/for-ever", get(std::future::pending::<()>))
}

#[tokio::test]
async fn each_call_is_a_span_of_kind_client_and_a_measurement() {
    let scene = Scene::new();
    let address = serve(couriers()).await;
    let port = address.port().to_string();
    for (path, status, error_type) in [
        ("/nearest?for=7", "200", ""),
        ("/404", "404", "404"),
        ("/503", "503", "503"),
    ] {
        let request = Request::get(format!("http://{address}{path}")).body(Body::empty());
        let call = client(&scene.telemetry).oneshot(request.unwrap());
        let answer = call.await.unwrap();
        assert_eq!(answer.status().as_str(), status);
        answer.into_body().collect().await.unwrap();
        let span = scene.span().await;
        scene.backend.clear();
        assert_eq!(span.name, "GET");
        assert_eq!(span.kind, ReceivedSpanKind::Client);
        assert_eq!(span.parent_span_id, None);
        assert_eq!(span.says("http.request.method"), "GET");
        assert_eq!(span.says("server.address"), "127.0.0.1");
        assert_eq!(span.says("server.port"), format!("#{port}"));
        let path = path.replace("for=7", "for=***");
        assert_eq!(span.says("url.full"), format!("http://{address}{path}"));
        assert_eq!(span.says("http.response.status_code"), format!("#{status}"));
        assert_eq!(span.says("error.type"), error_type);
        assert_eq!(is_error(&span), !error_type.is_empty());
        let series = [
            ("http.request.method", "GET"),
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("http.response.status_code", status),
            ("error.type", error_type),
            ("url.template", ""),
        ];
        let numbers = scene.telemetry.snapshot();
        assert_eq!(numbers.histogram(DURATION, &series).count(), 1);
    }
}

#[tokio::test]
async fn a_template_names_the_span_and_the_series() {
    let scene = Scene::new();
    let address = serve(couriers()).await;
    let request = Request::get(format!("http://{address}/nearest"))
        .extension(UrlTemplate("/{what}"))
        .body(Body::empty());
    let call = client(&scene.telemetry).oneshot(request.unwrap());
    drop(call.await.unwrap());
    let span = scene.span().await;
    assert_eq!(span.name, "GET /{what}");
    assert_eq!(span.says("url.template"), "/{what}");
    let numbers = scene.telemetry.snapshot();
    let of_template = numbers.histogram(DURATION, &[("url.template", "/{what}")]);
    assert_eq!(of_template.count(), 1);
}

#[tokio::test]
async fn a_call_that_is_refused_or_given_up_says_so() {
    let scene = Scene::new();
    // Nobody listens there, nor does another test: no port is given out that is so low.
    let request = Request::get("http://127.0.0.1:1/nearest").body(Body::empty());
    let call = client(&scene.telemetry).oneshot(request.unwrap());
    assert!(call.await.unwrap_err().is_connect());
    let span = scene.span().await;
    scene.backend.clear();
    let error_type = "connect";
    assert_eq!(span.says("error.type"), error_type);
    assert!(is_error(&span) && span.attribute("http.response.status_code").is_none());

    let address = serve(couriers()).await;
    let request = Request::get(format!("http://{address}/for-ever")).body(Body::empty());
    let call = client(&scene.telemetry).oneshot(request.unwrap());
    let waited = tokio::time::timeout(Duration::from_millis(50), call).await;
    assert!(waited.is_err());
    let span = scene.span().await;
    assert_eq!(span.says("error.type"), "cancelled");
    assert!(is_error(&span) && span.ended >= span.started + Duration::from_millis(50));

    let numbers = scene.telemetry.snapshot();
    for error_type in [error_type, "cancelled"] {
        let failed = [
            ("error.type", error_type),
            ("http.response.status_code", ""),
        ];
        assert_eq!(
            numbers.histogram(DURATION, &failed).count(),
            1,
            "{error_type}"
        );
    }
}

/// A handler that calls, behind the layer.
fn caller(scene: &Scene, to: SocketAddr) -> Router {
    let handler = async move |State(calls): State<Calls>| {
        let request = Request::get(format!("http://{to}/headers")).body(Body::empty());
        let answer = calls.oneshot(request.unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.into()).unwrap()
    };
    let routes = Router::new().route("/", get(handler));
    scene.app(routes.with_state(client(&scene.telemetry)))
}

/// Answers with the trace headers that came.
fn echo() -> Router {
    let echo = async |headers: hyper::HeaderMap| {
        ["traceparent", "tracestate"]
            .map(|name| headers.get(name).map_or("-", |v| v.to_str().unwrap()))
            .join(" ")
    };
    Router::new().route("/headers", get(echo))
}

#[tokio::test]
async fn the_caller_s_trace_and_its_state_go_along_with_the_call_s_own_span() {
    let scene = Scene::new();
    let app = caller(&scene, serve(echo()).await);
    for (flags, sampled) in [("01", true), ("00", false)] {
        let request = Request::get("/")
            .header("traceparent", super::traceparent(flags))
            .header("tracestate", "kitchen=1")
            .body(Body::empty());
        let (_, sent) = super::super::send(&app, request.unwrap()).await;
        let sent: Vec<&str> = sent.split([' ', '-']).collect();
        let ["00", super::TRACE_ID, span_id, as_sampled, "kitchen=1"] = sent[..] else {
            panic!("{sent:?}");
        };
        assert_eq!(as_sampled, flags);
        let spans = scene.spans().await;
        scene.backend.clear();
        if sampled {
            let call = named(&spans, "GET");
            assert_eq!(call.span_id.to_string(), span_id);
            assert_child(call, named(&spans, "GET /"));
            assert_eq!(call.status, ReceivedStatus::Unset);
        } else {
            assert!(spans.is_empty());
        }
    }
}

#[tokio::test]
async fn a_call_outside_of_a_request_begins_a_trace() {
    let scene = Scene::new();
    let address = serve(echo()).await;
    let request = Request::get(format!("http://{address}/headers")).body(Body::empty());
    let call = client(&scene.telemetry).oneshot(request.unwrap());
    let answer = call.await.unwrap().into_body().collect().await.unwrap();
    let sent = String::from_utf8(answer.to_bytes().into()).unwrap();
    let span = scene.span().await;
    let expected = format!("00-{}-{}-01 -", span.trace_id, span.span_id);
    assert_eq!(sent, expected);
    let app = caller(&scene, address);
    ask(&app, "/").await;
    assert_ne!(scene.spans().await[1].trace_id, span.trace_id);
}
