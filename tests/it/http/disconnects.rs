//! Ten thousand clients that go away, at every point of a request, over both wires.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use axum::routing::{any, get as route_get, post};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::ext::Protocol;
use hyper::header::{CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_VERSION};
use hyper::{Request, StatusCode};
use orderscope::http::UpgradedStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::{Connection, Wire, get, piecemeal, request};
use super::connection::{reset_at_close, within_patience};
use super::numbers::{ERROR, KIND, Numbers, ROUTE, STREAMS_DURATION};
use super::served::{Bell, Served};

/// Clients at the same time, over each wire.
const WORKERS: usize = 10;
const POINTS: [Point; 5] = [
    // First: with its head, the server's settings are there, which allow websockets.
    Point::Body,
    Point::Handler,
    Point::Upload,
    Point::EventStream,
    Point::Websocket,
];
/// 10 workers × 5 points × 100 × 2 wires.
const OF_EACH_POINT: usize = 100;
const ALL: u64 = 10_000;
const WITHIN: Duration = Duration::from_secs(300);

/// How far a request has come when its client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The handler runs; there is no head.
    Handler,
    Body,
    /// Half of the request's body has been read.
    Upload,
    EventStream,
    Websocket,
}

impl Point {
    fn route(self) -> &'static str {
        match self {
            Self::Handler => "/handler/{worker}",
            Self::Body => "/body/{worker}",
            Self::Upload => "/upload/{worker}",
            Self::EventStream => "/events/{worker}",
            Self::Websocket => "/live/{worker}",
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_clients_that_leave_at_every_point_leave_nothing_behind() {
    let started = Instant::now();
    let bells: Vec<Bell> = (0..2 * WORKERS).map(|_| Bell::new()).collect();
    let served = Served::behind_the_layer(routes(bells.clone())).await;
    let mut workers = JoinSet::new();
    for (number, bell) in bells.into_iter().enumerate() {
        let address = served.address;
        workers.spawn(async move {
            if number < WORKERS {
                over_http_1(address, number, &bell).await;
            } else {
                over_http_2(address, number, &bell).await;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }

    let numbers = served.after(ALL).await;
    assert_eq!(numbers.outcome("completed"), 0);
    assert_eq!(numbers.outcome("client_closed"), 8_000);
    assert_eq!(numbers.outcome("upgraded"), 2_000);
    for point in POINTS {
        let left = [(ROUTE, point.route()), (ERROR, "client_closed")];
        let durations = numbers.durations(&left);
        let streams = numbers.histogram(STREAMS_DURATION, &left).count();
        let expected = match point {
            Point::Handler | Point::Body | Point::Upload => (2_000, 0),
            Point::EventStream => (0, 2_000),
            Point::Websocket => (0, 0),
        };
        assert_eq!((durations, streams), expected, "{point:?}");
    }
    let sockets = numbers.histogram(STREAMS_DURATION, &[(KIND, "websocket")]);
    assert_eq!(sockets.count(), 2_000);
    assert!(started.elapsed() < WITHIN, "{:?}", started.elapsed());
}

/// A route ends in the number of the worker who is told when the request has come so far.
fn routes(bells: Vec<Bell>) -> Router {
    Router::new()
        .route("/handler/{worker}", route_get(handler))
        .route("/body/{worker}", route_get(async || endless("text/plain")))
        .route("/upload/{worker}", post(upload))
        .route(
            "/events/{worker}",
            route_get(async || endless("text/event-stream")),
        )
        .route("/live/{worker}", any(live))
        .with_state(bells)
}

async fn handler(Path(worker): Path<usize>, State(bells): State<Vec<Bell>>) {
    bells[worker].ring();
    std::future::pending::<()>().await;
}

/// hyper lets a handler run on whose upload broke off over HTTP/1.1: it is the handler that ends,
/// with an answer that nobody reads.
async fn upload(
    Path(worker): Path<usize>,
    State(bells): State<Vec<Bell>>,
    mut body: Body,
) -> StatusCode {
    body.frame().await.unwrap().unwrap();
    bells[worker].ring();
    body.frame().await.unwrap().unwrap_err();
    // Without a body: nothing but the broken request tells that nobody reads it.
    StatusCode::BAD_REQUEST
}

fn endless(content_type: &str) -> Response {
    let half = stream::iter([Ok::<_, std::io::Error>(Bytes::from("half"))]);
    Response::builder()
        .header(CONTENT_TYPE, content_type)
        .body(Body::from_stream(half.chain(stream::pending())))
        .unwrap()
}

async fn live(upgrade: WebSocketUpgrade, Extension(stream): Extension<UpgradedStream>) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let _measured = stream;
        while let Some(Ok(_)) = socket.recv().await {}
    })
}

/// Every second one leaves with a reset, the others with a FIN.
async fn over_http_1(address: SocketAddr, worker: usize, bell: &Bell) {
    for (round, point) in (0..OF_EACH_POINT).flat_map(|round| POINTS.map(|point| (round, point))) {
        let mut client = TcpStream::connect(address).await.unwrap();
        let said = match point {
            Point::Upload => "POST /upload/{} HTTP/1.1\r\ntransfer-encoding: chunked\r\n",
            Point::Handler => "GET /handler/{} HTTP/1.1\r\n",
            Point::Body => "GET /body/{} HTTP/1.1\r\n",
            Point::EventStream => "GET /events/{} HTTP/1.1\r\n",
            Point::Websocket => {
                "GET /live/{} HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            }
        };
        let first_piece = match point {
            Point::Upload => "4\r\nhalf\r\n",
            _ => "",
        };
        let said = said.replace("{}", &worker.to_string());
        let said = format!("{said}host: kitchen.test\r\n\r\n{first_piece}");
        client.write_all(said.as_bytes()).await.unwrap();
        match point {
            Point::Handler | Point::Upload => bell.rung().await,
            Point::Body | Point::EventStream => hears(&mut client, "half").await,
            Point::Websocket => hears(&mut client, "\r\n\r\n").await,
        }
        if round % 2 == 0 {
            reset_at_close(&client);
        }
    }
}

async fn hears(client: &mut TcpStream, said: &str) {
    let mut heard = Vec::new();
    while !heard
        .windows(said.len())
        .any(|some| some == said.as_bytes())
    {
        let read = within_patience(client.read_buf(&mut heard)).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&heard));
    }
}

/// Most reset their stream on a connection that goes on; every tenth resets the connection.
async fn over_http_2(address: SocketAddr, worker: usize, bell: &Bell) {
    let mut kept = Connection::open(address, Wire::Http2).await;
    // Held to the end: an upload whose sender goes would end in good order.
    let mut uploads = Vec::new();
    for (round, point) in (0..OF_EACH_POINT).flat_map(|round| POINTS.map(|point| (round, point))) {
        let mut broken = match round % 10 {
            0 if point != Point::Websocket => {
                Some(Connection::resetting(address, Wire::Http2).await)
            }
            _ => None,
        };
        let path = point.route().replace("{worker}", &worker.to_string());
        let (pieces, body) = piecemeal();
        let sent = broken.as_mut().unwrap_or(&mut kept).send(match point {
            Point::Upload => request("POST", &path, body),
            Point::Websocket => websocket(&path),
            _ => get(&path),
        });
        match point {
            Point::Handler | Point::Upload => {
                // A GET has no body, and so nobody who receives.
                let _ = pieces.send(Bytes::from("half"));
                uploads.push(pieces);
                let mut sent = pin!(sent);
                tokio::select! {
                    () = bell.rung() => drop(broken),
                    _ = &mut sent => panic!("nobody answers"),
                }
            }
            Point::Body | Point::EventStream => {
                let mut body = sent.await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                drop(broken);
            }
            Point::Websocket => assert_eq!(sent.await.unwrap().status(), StatusCode::OK),
        }
    }
}

fn websocket(path: &str) -> Request<Body> {
    let mut asked = request("CONNECT", path, Body::empty());
    let version = HeaderValue::from_static("13");
    asked.headers_mut().insert(SEC_WEBSOCKET_VERSION, version);
    let websocket = Protocol::from_static("websocket");
    asked.extensions_mut().insert(websocket);
    asked
}
