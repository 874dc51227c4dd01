//! started = Σ finished + active, at every moment, whatever handlers and clients do.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use orderscope::Telemetry;
use orderscope::http::{Mark, Outcome};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use tower::{Layer, Service};

use super::connection::request;
use super::numbers::Numbers;
use super::served::telemetry;

/// What a handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dish {
    Plain,
    Streamed,
    Slow,
    Hangs,
    Panics,
    BodyFails,
    BodyPanics,
    NoContent,
    Events,
    Upgrades,
    Shed,
    Grpc,
    GrpcWithoutStatus,
}

const DISHES: [Dish; 13] = [
    Dish::Plain,
    Dish::Streamed,
    Dish::Slow,
    Dish::Hangs,
    Dish::Panics,
    Dish::BodyFails,
    Dish::BodyPanics,
    Dish::NoContent,
    Dish::Events,
    Dish::Upgrades,
    Dish::Shed,
    Dish::Grpc,
    Dish::GrpcWithoutStatus,
];

/// How long a client asks, and whether it then stays without a word or goes.
#[derive(Clone, Copy, Debug)]
struct Guest {
    dish: Dish,
    polls_for_head: usize,
    polls_for_body: usize,
    stays: bool,
}

impl Guest {
    fn any() -> impl Strategy<Value = Self> {
        let asks = (select(&DISHES[..]), 1..5_usize, 0..5_usize, any::<bool>());
        asks.prop_map(|(dish, polls_for_head, polls_for_body, stays)| Self {
            dish,
            polls_for_head,
            polls_for_body,
            stays,
        })
    }

    /// The outcome that is known while the response is still held.
    fn ended(self) -> Option<Outcome> {
        // Polls until the head is there, polls of the body until all is said, and the outcome.
        let (head, body, outcome) = match self.dish {
            Dish::Plain => (1, 1, Outcome::Completed),
            Dish::Streamed | Dish::Events => (1, 3, Outcome::Completed),
            Dish::Slow => (3, 1, Outcome::Completed),
            Dish::Hangs => (usize::MAX, 0, Outcome::Completed),
            Dish::Panics => (1, 1, Outcome::Panicked),
            Dish::BodyFails => (1, 2, Outcome::BodyFailed),
            Dish::BodyPanics => (1, 2, Outcome::Panicked),
            Dish::NoContent => (1, 0, Outcome::Completed),
            Dish::Upgrades => (1, 0, Outcome::Upgraded),
            Dish::Shed => (1, 1, Outcome::Shed),
            Dish::Grpc => (1, 2, Outcome::Completed),
            Dish::GrpcWithoutStatus => (1, 2, Outcome::BodyFailed),
        };
        (self.polls_for_head >= head && self.polls_for_body >= body).then_some(outcome)
    }

    /// The outcome once the client is gone.
    fn outcome(self) -> Outcome {
        self.ended().unwrap_or(match self.dish {
            // Decided by the head, whatever becomes of the body.
            Dish::Panics => Outcome::Panicked,
            Dish::Shed => Outcome::Shed,
            _ => Outcome::ClientClosed,
        })
    }
}

#[test]
fn whatever_handlers_and_clients_do_each_request_is_active_or_has_one_outcome() {
    let telemetry = telemetry();
    let layer = telemetry.tower_layer(|_| Some("/dish"));
    let scripts = prop::collection::vec(Guest::any(), 1..30);
    // Of all scripts so far: the numbers go on from one to the next.
    let expected = RefCell::new(Expected::default());
    TestRunner::default()
        .run(&scripts, |script| {
            let mut expected = expected.borrow_mut();
            let mut held = Vec::new();
            for guest in script {
                let handler = move |_: Request<_>| serve(guest.dish);
                let mut service = layer.layer(tower::service_fn(handler));
                let mut asked = request("POST", "/dish", Body::empty());
                if matches!(guest.dish, Dish::Grpc | Dish::GrpcWithoutStatus) {
                    let grpc = HeaderValue::from_static("application/grpc");
                    asked.headers_mut().insert(CONTENT_TYPE, grpc);
                }
                let left = asks(Box::pin(service.call(asked)), guest);
                expected.started += 1;
                if guest.stays {
                    match guest.ended() {
                        Some(outcome) => expected.finished.push(outcome),
                        None => held.push((guest, left)),
                    }
                } else {
                    drop(left);
                    expected.finished.push(guest.outcome());
                }
            }
            expected.check(&telemetry, held.len())?;
            while let Some((guest, left)) = held.pop() {
                drop(left);
                expected.finished.push(guest.outcome());
            }
            expected.check(&telemetry, 0)
        })
        .unwrap();
}

#[derive(Debug, Default)]
struct Expected {
    started: u64,
    finished: Vec<Outcome>,
}

impl Expected {
    fn check(&self, telemetry: &Telemetry, active: usize) -> Result<(), TestCaseError> {
        let numbers = telemetry.snapshot();
        prop_assert_eq!(numbers.started(), self.started);
        prop_assert_eq!(numbers.active(), active as f64);
        prop_assert_eq!(numbers.finished() + active as u64, self.started);
        for outcome in Outcome::ALL {
            let expected = self.finished.iter().filter(|ended| **ended == outcome);
            let counted = numbers.outcome(outcome.as_str());
            prop_assert_eq!(counted, expected.count() as u64, "{:?}", outcome);
        }
        Ok(())
    }
}

async fn serve(dish: Dish) -> Result<Response, Infallible> {
    let pieces = |count| {
        let pieces = vec![Bytes::from("bite"); count];
        stream::iter(pieces.into_iter().map(io::Result::Ok))
    };
    let response = match dish {
        Dish::Plain => Response::new(Body::from("dish")),
        Dish::Streamed => Response::new(Body::from_stream(pieces(2))),
        Dish::Slow => {
            let mut polls = 0;
            poll_fn(|_| {
                polls += 1;
                if polls > 2 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            Response::new(Body::from("dish"))
        }
        Dish::Hangs => pending().await,
        // The hook would print each of them.
        Dish::Panics => resume_unwind(Box::new("planted")),
        Dish::BodyFails => {
            let broken = stream::iter([Err(io::Error::other("planted"))]);
            Response::new(Body::from_stream(pieces(1).chain(broken)))
        }
        Dish::BodyPanics => {
            let broken = stream::poll_fn(|_| resume_unwind(Box::new("planted")));
            Response::new(Body::from_stream(pieces(1).chain(broken)))
        }
        Dish::NoContent => status(204),
        Dish::Upgrades => status(101),
        Dish::Events => {
            let mut response = Response::new(Body::from_stream(pieces(2)));
            let events = HeaderValue::from_static("text/event-stream");
            response.headers_mut().insert(CONTENT_TYPE, events);
            response
        }
        Dish::Shed => {
            let mut response = Response::new(Body::from("later"));
            response.extensions_mut().insert(Mark::Shed);
            response
        }
        Dish::Grpc => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let trailers = stream::iter([Ok(Frame::trailers(trailers))]);
            let data = pieces(1).map(|piece| piece.map(Frame::data));
            Response::new(Body::new(StreamBody::new(data.chain(trailers))))
        }
        Dish::GrpcWithoutStatus => Response::new(Body::from_stream(pieces(1))),
    };
    Ok(response)
}

fn status(code: u16) -> Response {
    let unread = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    Response::builder().status(code).body(unread).unwrap()
}

/// What is left in a client's hands; dropping it is leaving.
#[expect(dead_code, reason = "held, not read")]
enum Left<F, B> {
    Future(Pin<Box<F>>),
    Body(Pin<Box<B>>),
}

fn asks<F, B>(mut future: Pin<Box<F>>, guest: Guest) -> Left<F, B>
where
    F: Future<Output = Result<hyper::Response<B>, Infallible>>,
    B: http_body::Body,
{
    let mut context = Context::from_waker(std::task::Waker::noop());
    for _ in 0..guest.polls_for_head {
        if let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut context) {
            let mut body = Box::pin(response.into_body());
            for _ in 0..guest.polls_for_body {
                let polled = body.as_mut().poll_frame(&mut context);
                if !matches!(polled, Poll::Ready(Some(Ok(_)))) {
                    break;
                }
            }
            return Left::Body(body);
        }
    }
    Left::Future(future)
}
