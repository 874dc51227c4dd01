//! Connections that leave HTTP: websockets, tunnels.

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, connect};
use axum::{Extension, Router, body::Body};
use futures_util::{SinkExt, StreamExt};
use hyper::ext::Protocol;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use orderscope::http::UpgradedStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::connection::{Wire, get, request, reset_at_close};
use super::numbers::{
    DURATION, FIRST_BYTE, KIND, Numbers, ROUTE, STREAMS_ACTIVE, STREAMS_DURATION,
};
use super::served::Served;

const WEBSOCKET: (&str, &str) = (KIND, "websocket");

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn measured(
    upgrade: WebSocketUpgrade,
    Extension(stream): Extension<UpgradedStream>,
) -> Response {
    upgrade.on_upgrade(async move |socket| {
        let _measured = stream;
        echo(socket).await;
    })
}

async fn unmeasured(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo)
}

/// Takes the stream, and upgrades nothing.
async fn refused(Extension(stream): Extension<UpgradedStream>) -> Response {
    tokio::spawn(async move {
        let _kept = stream;
        std::future::pending::<()>().await;
    });
    StatusCode::FORBIDDEN.into_response()
}

async fn served() -> Served {
    Served::behind_the_layer(
        Router::new()
            .route("/live", any(measured))
            .route("/unmeasured", any(unmeasured))
            .route("/refused", any(refused))
            .route("/asks", any(async || "no upgrade here")),
    )
    .await
}

async fn open(served: &Served, path: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(served.address).await.unwrap();
    let url = format!("ws://{}{path}", served.address);
    let opened = tokio_tungstenite::client_async(url, stream).await;
    opened.unwrap().0
}

#[tokio::test]
async fn a_websocket_whose_stream_is_held_is_measured_while_it_is_open() {
    let served = served().await;
    let mut socket = open(&served, "/live").await;
    socket.send(Message::text("hello")).await.unwrap();
    let echoed = socket.next().await.unwrap().unwrap();
    assert_eq!(echoed, Message::text("hello"));

    let route = (ROUTE, "/live");
    let while_open = served.telemetry.snapshot();
    assert_eq!(while_open.outcomes(), [("upgraded", 1)]);
    assert_eq!(while_open.active(), 0.0);
    assert_eq!(while_open.gauge(STREAMS_ACTIVE, &[route, WEBSOCKET]), 1.0);
    let recorded = while_open.histogram(STREAMS_DURATION, &[]);
    assert_eq!(recorded.count(), 0);

    socket.close(None).await.unwrap();
    let numbers = served.after(1).await;
    let recorded = numbers.histogram(STREAMS_DURATION, &[route, WEBSOCKET]);
    assert_eq!(recorded.count(), 1);
    assert!(recorded.sum() > 0.0);
    assert_eq!(numbers.histogram(DURATION, &[]).count(), 0);
    assert_eq!(numbers.histogram(FIRST_BYTE, &[]).count(), 0);
}

#[tokio::test]
async fn a_websocket_that_is_reset_is_measured_to_its_end() {
    let served = served().await;
    let socket = open(&served, "/live").await;
    served.wait_until(|n| n.open_streams() == 1.0).await;
    reset_at_close(socket.get_ref());
    drop(socket);
    let numbers = served.after(1).await;
    let recorded = numbers.histogram(STREAMS_DURATION, &[WEBSOCKET]);
    assert_eq!(recorded.count(), 1);
}

#[tokio::test]
async fn a_websocket_whose_stream_nobody_holds_is_only_counted_as_upgraded() {
    let served = served().await;
    let mut socket = open(&served, "/unmeasured").await;
    socket.send(Message::text("hello")).await.unwrap();
    socket.next().await.unwrap().unwrap();
    let numbers = served.after(1).await;
    assert_eq!(numbers.outcomes(), [("upgraded", 1)]);
    assert_eq!(numbers.histogram(STREAMS_DURATION, &[]).count(), 0);
}

#[tokio::test]
async fn an_upgrade_that_is_asked_for_and_not_given_opens_no_stream() {
    let served = served().await;
    let mut connection = served.connect(Wire::Http1).await;
    for (path, status) in [("/refused", 403), ("/asks", 200)] {
        let mut asked = get(path);
        for (name, value) in [("connection", "upgrade"), ("upgrade", "courier/1")] {
            asked.headers_mut().insert(name, value.parse().unwrap());
        }
        assert_eq!(connection.ask(asked).await.status, status);
    }
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("completed", 2)]);
    assert_eq!(numbers.histogram(DURATION, &[]).count(), 2);
    assert_eq!(numbers.histogram(STREAMS_DURATION, &[]).count(), 0);
}

#[tokio::test]
async fn a_websocket_over_http_2_is_measured_as_well() {
    let served = served().await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    // The server's settings, which allow this, are there by the end of any request.
    let before = sender.send_request(get("/asks")).await.unwrap();
    assert_eq!(before.status(), StatusCode::OK);
    let asked = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{}/live", served.address))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Body::empty())
        .unwrap();
    let response = sender.send_request(asked).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::text("hello")
    );
    let open = [(ROUTE, "/live"), WEBSOCKET];
    let while_open = served.telemetry.snapshot();
    assert_eq!(while_open.gauge(STREAMS_ACTIVE, &open), 1.0);
    assert_eq!(while_open.outcome("upgraded"), 1);
    drop(socket);
    let numbers = served.after(2).await;
    assert_eq!(numbers.histogram(STREAMS_DURATION, &open).count(), 1);
    assert_eq!(numbers.outcomes(), [("completed", 1), ("upgraded", 1)]);
}

#[tokio::test]
async fn a_tunnel_is_an_upgrade_of_another_kind() {
    let tunnel = async |asked: axum::extract::Request| {
        tokio::spawn(async move {
            // The request, and so the stream in it, is held as long as the tunnel stands.
            let mut asked = asked;
            let upgraded = hyper::upgrade::on(&mut asked).await.unwrap();
            let mut tunnel = TokioIo::new(upgraded);
            let mut said = [0; 4];
            tunnel.read_exact(&mut said).await.unwrap();
            tunnel.write_all(&said).await.unwrap();
            let _ = tunnel.read(&mut said).await;
        });
        StatusCode::OK
    };
    let served = Served::behind_the_layer(Router::new().fallback(connect(tunnel))).await;
    let mut connection = served.connect(Wire::Http1).await;
    let mut asked = request("CONNECT", "/", Body::empty());
    *asked.uri_mut() = Uri::from_static("kitchen.test:443");
    let response = connection.send(asked).await.unwrap();
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    let mut tunnel = TokioIo::new(upgraded);
    tunnel.write_all(b"ping").await.unwrap();
    let mut said = [0; 4];
    tunnel.read_exact(&mut said).await.unwrap();
    let kind = [(KIND, "upgrade"), (ROUTE, "")];
    let while_open = served.telemetry.snapshot();
    assert_eq!(while_open.gauge(STREAMS_ACTIVE, &kind), 1.0);
    drop(tunnel);
    let numbers = served.after(1).await;
    assert_eq!(numbers.outcomes(), [("upgraded", 1)]);
    assert_eq!(numbers.histogram(STREAMS_DURATION, &kind).count(), 1);
}
