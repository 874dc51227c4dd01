//! What is answered, over HTTP and over gRPC.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Response};
use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse},
    metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse},
    trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse},
};
use orderscope::export::Signal;
use prost::Message;
use tokio::time::sleep;
use tonic::{Code, Status};

use super::state::Visit;

pub(super) type Answer = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Http,
    Grpc,
}

const HUGE: usize = 1 << 30;
const PIECE: Bytes = Bytes::from_static(&[0; 16 * 1024]);

pub(super) fn taken(way: Way, signal: Signal, rejected: u64) -> Response<Answer> {
    let (count, error_message) = (rejected.cast_signed(), "rejected by the test".to_owned());
    let some = rejected > 0;
    let bytes = match signal {
        Signal::Traces => ExportTraceServiceResponse {
            partial_success: some.then_some(ExportTracePartialSuccess {
                rejected_spans: count,
                error_message,
            }),
        }
        .encode_to_vec(),
        Signal::Logs => ExportLogsServiceResponse {
            partial_success: some.then_some(ExportLogsPartialSuccess {
                rejected_log_records: count,
                error_message,
            }),
        }
        .encode_to_vec(),
        _ => ExportMetricsServiceResponse {
            partial_success: some.then_some(ExportMetricsPartialSuccess {
                rejected_data_points: count,
                error_message,
            }),
        }
        .encode_to_vec(),
    };
    let body = match way {
        Way::Http => whole(bytes),
        Way::Grpc => message(&bytes, false),
    };
    head(way).body(body).unwrap()
}

/// A status of HTTP, or the code that OTLP has for it over gRPC.
pub(super) fn refused(
    way: Way,
    code: u16,
    headers: &[(&'static str, String)],
    body: Bytes,
) -> Response<Answer> {
    if way == Way::Grpc {
        let given = headers.iter().find(|(name, _)| *name == "retry-after");
        let after = given.and_then(|(_, value)| value.parse().ok());
        let (code, message) = match code {
            400 | 422 => (Code::InvalidArgument, "malformed"),
            401 => (Code::Unauthenticated, "nobody knows you"),
            403 => (Code::PermissionDenied, "not you"),
            404 | 405 => (Code::Unimplemented, "not here"),
            413 => (Code::ResourceExhausted, "message larger than max"),
            429 => (Code::ResourceExhausted, "too often"),
            500 => (Code::Internal, "broken"),
            _ => (Code::Unavailable, "away"),
        };
        return status(way, code, message, after.map(Duration::from_secs));
    }
    let mut head = Response::builder().status(code);
    for (name, value) in headers {
        head = head.header(*name, value);
    }
    head.body(Full::new(body).boxed_unsync()).unwrap()
}

/// A status of gRPC; over HTTP, a 500.
pub(super) fn status(
    way: Way,
    code: Code,
    message: &str,
    retry_after: Option<Duration>,
) -> Response<Answer> {
    if way == Way::Http {
        return refused(way, 500, &[], Bytes::new());
    }
    let status = match retry_after {
        Some(delay) => Status::with_details(code, message, details(code, message, delay).into()),
        None => Status::new(code, message),
    };
    let mut answer = head(way).body(whole(Vec::new())).unwrap();
    status.add_header(answer.headers_mut()).unwrap();
    answer
}

/// A byte a second, for longer than anybody waits.
pub(super) fn slowly(way: Way, visit: Visit) -> Response<Answer> {
    let beginning = match way {
        Way::Http => Bytes::new(),
        // A long message begins.
        Way::Grpc => Bytes::from_static(&[0, 0, 0, 255, 255]),
    };
    let bytes = stream::unfold((visit, Some(beginning)), async |(visit, beginning)| {
        let piece = match beginning {
            Some(beginning) => beginning,
            None => {
                sleep(Duration::from_secs(1)).await;
                Bytes::from_static(b"\0")
            }
        };
        Some((Ok(Frame::data(piece)), (visit, None)))
    });
    let head = match way {
        Way::Http => head(way).header("content-length", 60_000),
        Way::Grpc => head(way),
    };
    head.body(StreamBody::new(bytes).boxed_unsync()).unwrap()
}

pub(super) fn endless(way: Way, visit: Visit) -> Response<Answer> {
    head(way).body(flood(visit, usize::MAX)).unwrap()
}

pub(super) fn huge(way: Way, visit: Visit) -> Response<Answer> {
    let head = match way {
        Way::Http => head(way).header("content-length", HUGE),
        Way::Grpc => head(way),
    };
    head.body(flood(visit, HUGE)).unwrap()
}

/// 48 MiB in 48 KiB. It takes a second to make.
pub(super) static BOMB: LazyLock<Bytes> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..(48 << 20) / PIECE.len() {
        encoder.write_all(&PIECE).unwrap();
    }
    encoder.finish().unwrap().into()
});

pub(super) fn bomb(way: Way) -> Response<Answer> {
    match way {
        Way::Http => {
            let head = head(way).header("content-encoding", "gzip");
            head.body(Full::new(BOMB.clone()).boxed_unsync()).unwrap()
        }
        Way::Grpc => {
            let head = head(way).header("grpc-encoding", "gzip");
            head.body(message(&BOMB, true)).unwrap()
        }
    }
}

/// One message of gRPC, and that all is well.
fn message(message: &[u8], is_zipped: bool) -> Answer {
    let mut trailers = HeaderMap::new();
    Status::ok("").add_header(&mut trailers).unwrap();
    let frames = [
        Frame::data(framed(message, is_zipped)),
        Frame::trailers(trailers),
    ];
    StreamBody::new(stream::iter(frames.map(Ok))).boxed_unsync()
}

fn flood(visit: Visit, bytes: usize) -> Answer {
    let pieces = stream::unfold((visit, bytes), async |(visit, left)| {
        let piece = PIECE.slice(..left.min(PIECE.len()));
        let left = left - piece.len();
        visit.floods(piece.len());
        (!piece.is_empty()).then_some((Ok(Frame::data(piece)), (visit, left)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

fn head(way: Way) -> hyper::http::response::Builder {
    Response::builder().header(
        "content-type",
        match way {
            Way::Http => "application/x-protobuf",
            Way::Grpc => "application/grpc",
        },
    )
}

fn whole(body: Vec<u8>) -> Answer {
    Full::new(Bytes::from(body)).boxed_unsync()
}

fn framed(message: &[u8], is_zipped: bool) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(is_zipped.into());
    framed.put_u32(message.len().try_into().unwrap());
    framed.put_slice(message);
    framed.freeze()
}

/// `google.rpc.Status` with a `RetryInfo`.
fn details(code: Code, message: &str, delay: Duration) -> Vec<u8> {
    let retry = RetryInfo {
        delay: Some(Span {
            seconds: delay.as_secs().cast_signed(),
            nanos: delay.subsec_nanos().cast_signed(),
        }),
    };
    let any = Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: retry.encode_to_vec(),
    };
    let status = RpcStatus {
        code: code as i32,
        message: message.to_owned(),
        details: vec![any],
    };
    status.encode_to_vec()
}

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Span>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}
