//! When an outgoing call ends, and what it is told to have failed by.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::{StreamExt as _, future, stream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use orderscope::export::ReceivedSpan;
use orderscope::http::ClientLayer;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tower::timeout::{Timeout, error::Elapsed};
use tower::{BoxError, Layer as _, Service, ServiceExt as _, service_fn};

use super::super::{Says, Scene, is_error};
use super::client::{client, serve};

const DURATION: &str = "http.client.request.duration";

fn request(url: &str) -> Request<Body> {
    Request::get(url).body(Body::empty()).unwrap()
}

/// Answers every connection with these bytes, and closes it.
async fn says(answer: impl Into<Bytes>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.into();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    address
}

/// The call's span and its only series, which say the same.
async fn ended(scene: &Scene, error_type: &str, status: &str) -> ReceivedSpan {
    let span = scene.span().await;
    assert_eq!(span.says("error.type"), error_type);
    assert_eq!(is_error(&span), !error_type.is_empty());
    let said = span.attribute("http.response.status_code");
    assert_eq!(said.is_some(), !status.is_empty());
    let series = [
        ("error.type", error_type),
        ("http.response.status_code", status),
    ];
    let numbers = scene.telemetry.snapshot();
    assert_eq!(numbers.histogram(DURATION, &series).count(), 1);
    assert_eq!(numbers.histogram(DURATION, &[]).count(), 1);
    span
}

/// Calls a service that fails.
async fn fails<S>(service: S, url: &str, layer: impl Fn(ClientLayer) -> ClientLayer, as_what: &str)
where
    S: Service<Request<Body>, Response = Response<hyper::body::Incoming>>,
    S::Error: std::fmt::Debug + 'static,
{
    let scene = Scene::new();
    let calls = layer(scene.telemetry.client_layer()).layer(service);
    calls.oneshot(request(url)).await.unwrap_err();
    ended(&scene, as_what, "").await;
}

fn hyper_client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

#[tokio::test]
async fn each_way_to_get_no_response_has_its_error_type() {
    let as_it_is = |layer| layer;
    let unresolved = service_fn(async |_: Name| {
        Err::<std::iter::Empty<SocketAddr>, _>(io::Error::other("no such host"))
    });
    let connector = HttpConnector::new_with_resolver(unresolved);
    let unresolved = Client::builder(TokioExecutor::new()).build(connector);
    fails(unresolved, "http://couriers.test/", as_it_is, "dns").await;

    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    fails(hyper_client(), &refused, as_it_is, "connect").await;
    let boxed = || hyper_client().map_err(BoxError::from);
    fails(boxed(), &refused, as_it_is, "connect").await;

    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty());
    let secure = HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_only()
        .enable_http1()
        .build();
    let secure = Client::builder(TokioExecutor::new()).build(secure);
    let plain = serve(Router::new()).await;
    fails(secure, &format!("https://{plain}/"), as_it_is, "tls").await;

    let closes = format!("http://{}/", says("").await);
    fails(hyper_client(), &closes, as_it_is, "connection_closed").await;
    let babbles = format!("http://{}/", says("EHLO\r\n\r\n").await);
    fails(hyper_client(), &babbles, as_it_is, "_OTHER").await;

    let silent = Router::new().route("/", get(future::pending::<()>));
    let silent = format!("http://{}/", serve(silent).await);
    let patience = Duration::from_millis(50);
    let by_tokio = service_fn(async |request| {
        let answer = tokio::time::timeout(patience, hyper_client().oneshot(request));
        Ok::<_, BoxError>(answer.await??)
    });
    fails(by_tokio, &silent, as_it_is, "timeout").await;
    // tower's own error is unknown until it is named.
    let by_tower = || Timeout::new(hyper_client(), patience);
    fails(by_tower(), &silent, as_it_is, "_OTHER").await;
    let named = |layer: ClientLayer| layer.error_types(|_: &Elapsed| Some("timeout"));
    fails(by_tower(), &silent, named, "timeout").await;
}

#[tokio::test]
async fn a_request_whose_body_fails_says_so() {
    let scene = Scene::new();
    let echo = Router::new().route("/", post(async |body: Bytes| body));
    let address = serve(echo).await;
    let frames = stream::iter([
        Ok(Frame::data(Bytes::from("first"))),
        Err(io::Error::other("the camera is off")),
    ]);
    // Once the first frame is on its way.
    let frames = frames.then(async |frame| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        frame
    });
    let request = Request::post(format!("http://{address}/"));
    let request = request.body(Body::new(StreamBody::new(frames)));
    let call = client(&scene.telemetry).oneshot(request.unwrap());
    call.await.unwrap_err();
    ended(&scene, "body", "").await;
}

#[tokio::test]
async fn a_response_s_body_that_breaks_off_fails_the_call_though_its_head_was_fine() {
    let scene = Scene::new();
    let address = says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of").await;
    let call = client(&scene.telemetry).oneshot(request(&format!("http://{address}/")));
    let answer = call.await.unwrap();
    assert!(scene.spans().await.is_empty(), "it has not ended");
    answer.into_body().collect().await.unwrap_err();
    ended(&scene, "body", "200").await;
}

/// Sends a first part of its body, and the rest after a while.
async fn slow() -> String {
    let parts = || {
        stream::iter(["a", "b"]).then(async |part| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<_, Infallible>(part)
        })
    };
    let routes = Router::new()
        .route("/", get(async move || Body::from_stream(parts())))
        .route(
            "/events",
            get(async move || {
                let head = [("content-type", "text/event-stream")];
                (head, Body::from_stream(parts()))
            }),
        );
    format!("http://{}", serve(routes).await)
}

#[tokio::test]
async fn a_call_lasts_to_the_end_of_its_response_s_body() {
    let (scene, url) = (Scene::new(), slow().await);
    let call = client(&scene.telemetry).oneshot(request(&url));
    let body = call.await.unwrap().into_body();
    body.collect().await.unwrap();
    let span = ended(&scene, "", "200").await;
    let took = span.ended.duration_since(span.started).unwrap();
    assert!(took >= Duration::from_millis(200), "{took:?}");
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_no_failure_and_one_that_is_given_up_is() {
    let (scene, url) = (Scene::new(), slow().await);
    let call = client(&scene.telemetry).oneshot(request(&url));
    drop(call.await.unwrap());
    ended(&scene, "", "200").await;

    let scene = Scene::new();
    let call = client(&scene.telemetry).oneshot(request(&url));
    let mut body = call.await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    ended(&scene, "cancelled", "200").await;
}

#[tokio::test]
async fn an_event_stream_ends_its_call_with_its_head() {
    let (scene, url) = (Scene::new(), slow().await);
    let call = client(&scene.telemetry).oneshot(request(&format!("{url}/events")));
    let answer = call.await.unwrap();
    ended(&scene, "", "200").await;
    let events = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(events, "ab");
    ended(&scene, "", "200").await;
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_a_thousand() {
    let scene = Scene::new();
    let routes = Router::new().route("/", get(async || "on the way"));
    let url = format!("http://{}/", serve(routes).await);
    let calls = client(&scene.telemetry);
    let calls = (0..1_000).map(|_| {
        let call = calls.clone().oneshot(request(&url));
        async {
            let body = call.await.unwrap().into_body();
            body.collect().await.unwrap();
        }
    });
    stream::iter(calls)
        .for_each_concurrent(50, |call| call)
        .await;
    let numbers = scene.telemetry.snapshot();
    let fine = [("http.response.status_code", "200"), ("error.type", "")];
    assert_eq!(numbers.histogram(DURATION, &fine).count(), 1_000);
    assert_eq!(numbers.histogram(DURATION, &[]).count(), 1_000);
    assert_eq!(scene.spans().await.len(), 1_000);
}

#[tokio::test]
async fn what_a_peer_writes_into_its_headers_changes_nothing() {
    let scene = Scene::new();
    let long = "x".repeat(8_000);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ntraceparent: 00-{0}-{1}-01\r\ntracestate: {long}\r\n\
         content-type: \u{ff}{long}\r\nserver: {long}\r\nhttp.route: /admin\r\n\
         retry-after: -1\r\ncontent-length: 4\r\n\r\nfine",
        "1".repeat(32),
        "2".repeat(16),
    );
    let address = says(answer).await;
    let url = format!("http://{address}/");
    for _ in 0..2 {
        let call = client(&scene.telemetry).oneshot(request(&url));
        let body = call.await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "fine");
    }
    for span in scene.spans().await {
        assert_ne!(span.trace_id.to_string(), "1".repeat(32));
        let mut names: Vec<_> = span.attributes.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        let expected = [
            "http.request.method",
            "http.response.status_code",
            "server.address",
            "server.port",
            "url.full",
        ];
        assert_eq!(names, expected);
    }
    let numbers = scene.telemetry.snapshot();
    assert_eq!(numbers.metric(DURATION).unwrap().series().len(), 1);
    assert_eq!(numbers.histogram(DURATION, &[]).count(), 2);
}

#[tokio::test]
async fn servers_beyond_the_caps_are_counted_together() {
    let scene = Scene::new();
    let answer = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
    let calls = scene.telemetry.client_layer().layer(service_fn(answer));
    for number in 0..2_500 {
        let url = format!("http://kitchen-{number}.test/");
        for _ in 0..2 {
            let call = calls.clone();
            drop(call.oneshot(request(&url)).await.unwrap());
        }
    }
    let numbers = scene.telemetry.snapshot();
    assert!(numbers.metric(DURATION).unwrap().series().len() <= 2_001);
    assert_eq!(numbers.histogram(DURATION, &[]).count(), 5_000);
    let beyond = numbers.histogram(DURATION, &[("otel_metric_overflow", "true")]);
    let overflowed = [("metric", DURATION)];
    let counted = numbers.counter("orderscope.series.overflowed", &overflowed);
    assert_eq!(beyond.count(), counted);
    assert!(counted >= 1_000);
}

#[tokio::test]
async fn answers_of_all_kinds_from_many_servers_are_all_counted() {
    let scene = Scene::new();
    let answer = async |call: Request<Body>| {
        let status = call.uri().path().trim_start_matches('/');
        let answer = Response::builder().status(status);
        Ok::<_, Infallible>(answer.body(Body::empty()).unwrap())
    };
    let calls = scene.telemetry.client_layer().layer(service_fn(answer));
    for server in 0..12 {
        for status in 200..600 {
            let url = format!("http://kitchen-{server}.test/{status}");
            drop(calls.clone().oneshot(request(&url)).await.unwrap());
        }
    }
    let numbers = scene.telemetry.snapshot();
    assert!(numbers.metric(DURATION).unwrap().series().len() <= 2_001);
    assert_eq!(numbers.histogram(DURATION, &[]).count(), 12 * 400);
}

#[tokio::test]
async fn a_server_whose_name_is_longer_than_names_are_is_none() {
    let scene = Scene::new();
    let answer = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
    let calls = scene.telemetry.client_layer().layer(service_fn(answer));
    let longest = "a".repeat(255 - ":80".len());
    for host in [format!("{longest}:80"), format!("{longest}b:80")] {
        let call = calls.clone().oneshot(request(&format!("http://{host}/")));
        drop(call.await.unwrap());
    }
    let spans = scene.spans().await;
    assert_eq!(spans[0].says("server.address"), longest);
    assert!(spans[1].attribute("server.address").is_none());
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_http_in_a_name() {
    let scene = Scene::new();
    let answer = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
    let calls = scene.telemetry.client_layer().layer(service_fn(answer));
    let call = Request::builder().method("PWN").uri("http://kitchen.test/");
    let call = calls.oneshot(call.body(Body::empty()).unwrap());
    drop(call.await.unwrap());
    let span = scene.span().await;
    assert_eq!(span.name, "HTTP");
    assert_eq!(span.says("http.request.method"), "_OTHER");
}

#[tokio::test]
async fn what_lasts_for_as_long_as_both_want_ends_with_its_head() {
    for content_type in ["Text/Event-Stream; charset=utf-8", "application/grpc+proto"] {
        let scene = Scene::new();
        let answer = move |_: Request<Body>| {
            let answer = Response::builder().header("content-type", content_type);
            let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
            future::ready(Ok::<_, Infallible>(answer.body(never).unwrap()))
        };
        let calls = scene.telemetry.client_layer().layer(service_fn(answer));
        let open = calls.oneshot(request("http://kitchen.test/")).await;
        ended(&scene, "", "200").await;
        drop(open.unwrap());
    }
}

#[tokio::test]
async fn a_server_is_one_however_its_name_is_spelled() {
    let scene = Scene::new();
    let answer = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
    let calls = scene.telemetry.client_layer().layer(service_fn(answer));
    for url in ["http://Kitchen.test/", "http://kitchen.TEST:80/"] {
        drop(calls.clone().oneshot(request(url)).await.unwrap());
    }
    let numbers = scene.telemetry.snapshot();
    let one = [("server.address", "kitchen.test"), ("server.port", "80")];
    assert_eq!(numbers.histogram(DURATION, &one).count(), 2);
}

#[tokio::test]
async fn an_ipv6_address_is_told_without_brackets() {
    let scene = Scene::new();
    let answer = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
    let calls = scene.telemetry.client_layer().layer(service_fn(answer));
    let call = calls.oneshot(request("https://[2001:db8::7]/menu?key=hunter2"));
    drop(call.await.unwrap());
    let span = scene.span().await;
    assert_eq!(span.says("server.address"), "2001:db8::7");
    assert_eq!(span.says("server.port"), "#443");
    assert_eq!(span.says("url.full"), "https://[2001:db8::7]/menu?key=***");
    let numbers = scene.telemetry.snapshot();
    let series = [("server.address", "2001:db8::7"), ("server.port", "443")];
    assert_eq!(numbers.histogram(DURATION, &series).count(), 1);
}

#[tokio::test]
async fn a_call_by_a_path_alone_names_its_server_by_its_host() {
    let scene = Scene::new();
    let answer = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
    let calls = scene.telemetry.client_layer().layer(service_fn(answer));
    for host in ["couriers:3000", "couriers:3000", "no host at all"] {
        let mut call = request("/nearest?to=here");
        let headers = call.headers_mut();
        headers.insert("host", host.parse().unwrap());
        drop(calls.clone().oneshot(call).await.unwrap());
    }
    let spans = scene.spans().await;
    assert_eq!(spans[0].says("server.address"), "couriers");
    assert_eq!(spans[0].says("server.port"), "#3000");
    assert_eq!(spans[0].says("url.full"), "/nearest?to=***");
    let numbers = scene.telemetry.snapshot();
    let of = |address| numbers.histogram(DURATION, &[("server.address", address)]);
    assert_eq!([of("couriers").count(), of("").count()], [2, 1]);
}
