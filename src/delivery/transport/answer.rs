//! What a receiver answered, and what that means by the specification of OTLP.

mod text;

pub(super) use text::{chain, shown};

use crate::{
    delivery::Answer,
    mutation::{self, Mutation},
    records::Signal,
};
use ::http::{HeaderMap, StatusCode, header, response};
use ::http_body::Body;
use ::http_body_util::BodyExt as _;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
    trace::v1::ExportTraceServiceResponse,
};
use prost::{DecodeError, Message};
use std::{
    fmt::Display,
    time::{Duration, SystemTime},
};

/// What is read of an answer; a receiver has little to say.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// A receiver that asks for a longer pause is asked again by then.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// An answer whose head has come.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The first 64 KiB.
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) end: End,
}

/// How the answer's body ended.
#[derive(Debug)]
pub(super) enum End {
    Whole,
    /// It goes on beyond what is read.
    TooLong,
    Broken(String),
    /// The deadline came first.
    Pending,
}

impl Heard {
    pub(super) fn of(head: response::Parts) -> Self {
        Self {
            status: head.status,
            headers: head.headers,
            body: Vec::new(),
            trailers: None,
            end: End::Pending,
        }
    }

    /// Reads the body. Cancelled, it has kept what had come.
    pub(super) async fn listen<B>(&mut self, mut body: B)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let most = match mutation::is_on(Mutation::EndlessAnswers) {
            true => usize::MAX,
            false => MOST_BYTES,
        };
        self.end = loop {
            let frame = match body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => break End::Broken(error.to_string()),
                None => break End::Whole,
            };
            match frame.into_data() {
                Ok(data) => {
                    let room = most - self.body.len();
                    self.body.extend_from_slice(&data[..data.len().min(room)]);
                    if data.len() > room {
                        break End::TooLong;
                    }
                }
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        };
    }

    /// What an answer over HTTP means; `wall` tells how far away a date is.
    pub(super) fn answer(&self, signal: Signal, wall: SystemTime) -> Answer {
        let reason = || {
            let text = self.text();
            let separator = if text.is_empty() { "" } else { ": " };
            format!("{}{separator}{text}", self.status)
        };
        match self.status.as_u16() {
            200..=299 => self.accepted(signal),
            408 | 429 | 502..=504 => Answer::Unavailable {
                after: retry_after(&self.headers, wall),
                reason: reason(),
            },
            413 => Answer::TooLarge { reason: reason() },
            400 | 422 => Answer::Malformed { reason: reason() },
            300..=399 => Answer::Denied {
                reason: format!("{} (redirects are not followed)", self.status),
            },
            // Said of the address, of who asks, or of what every request of ours has in common:
            // its method, its media type and compression (415), its headers (431).
            401..=407 | 410 | 411 | 415 | 421 | 426 | 431 | 451 | 501 | 505 | 511 => {
                Answer::Denied { reason: reason() }
            }
            _ => Answer::Refused { reason: reason() },
        }
    }

    /// The status has come, so the request was taken: to send it again because the rest cannot be
    /// read would make everything twice.
    fn accepted(&self, signal: Signal) -> Answer {
        let unread = match &self.end {
            End::Whole => None,
            End::TooLong => Some(format!("more than {MOST_BYTES} bytes")),
            End::Broken(error) => Some(format!("broken off: {}", shown(error))),
            End::Pending => Some("not at its end by the deadline".to_owned()),
        };
        if let Some(why) = unread {
            return taken_unread(&why);
        }
        let partial = match self.media_type() {
            // Nothing was said that could be compressed, or we did not ask for that.
            _ if self.body.is_empty() => Ok(None),
            _ if self.headers.contains_key(header::CONTENT_ENCODING) => Err(()),
            "application/x-protobuf" => partial_success(signal, &self.body).map_err(|_| ()),
            "application/json" => partial_success_in_json(signal, &self.body).ok_or(()),
            _ => Ok(None),
        };
        match partial {
            Ok(partial) => {
                let (rejected, message) = partial.unwrap_or_default();
                taken(rejected, &message)
            }
            Err(()) => taken_unread("not readable"),
        }
    }

    /// The beginning of what it says, in words.
    fn text(&self) -> String {
        let of_protobuf = || Status::decode(&*self.body).ok();
        match self.media_type() {
            _ if self.headers.contains_key(header::CONTENT_ENCODING) => String::new(),
            "application/x-protobuf" => {
                of_protobuf().map_or_else(String::new, |status| shown(&status.message))
            }
            _ => shown(&String::from_utf8_lossy(&self.body)),
        }
    }

    #[cfg(feature = "grpc")]
    pub(super) fn is_grpc(&self) -> bool {
        self.media_type().starts_with("application/grpc")
    }

    /// Lower-case as everyone sends it, without parameters.
    fn media_type(&self) -> &str {
        let value = self.headers.get(header::CONTENT_TYPE);
        let value = value.and_then(|value| value.to_str().ok());
        let value = value.and_then(|value| value.split(';').next());
        value.unwrap_or_default().trim()
    }
}

/// Taken, with what the receiver said to it.
pub(super) fn taken(rejected: u64, message: &str) -> Answer {
    Answer::Accepted {
        rejected,
        message: (!message.is_empty()).then(|| shown(message)),
    }
}

/// Taken, as far as can be told of an answer that could not be read whole.
pub(super) fn taken_unread(why: &str) -> Answer {
    taken(
        0,
        &format!("taken, but what was rejected is not known: the answer is {why}"),
    )
}

/// How many records were rejected, and why.
pub(super) fn partial_success(
    signal: Signal,
    body: &[u8],
) -> Result<Option<(u64, String)>, DecodeError> {
    let partial = match signal {
        Signal::Traces => ExportTraceServiceResponse::decode(body)?
            .partial_success
            .map(|partial| (partial.rejected_spans, partial.error_message)),
        Signal::Logs => ExportLogsServiceResponse::decode(body)?
            .partial_success
            .map(|partial| (partial.rejected_log_records, partial.error_message)),
        Signal::Metrics => ExportMetricsServiceResponse::decode(body)?
            .partial_success
            .map(|partial| (partial.rejected_data_points, partial.error_message)),
    };
    Ok(partial.map(|(rejected, message)| (rejected.try_into().unwrap_or(0), message)))
}

/// Receivers are to answer in the encoding of the request; some know one only.
fn partial_success_in_json(signal: Signal, body: &[u8]) -> Option<Option<(u64, String)>> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let Some(partial) = answer.get("partialSuccess") else {
        return Some(None);
    };
    let rejected = partial.get(match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    });
    // 64-bit integers are strings in the JSON of protobuf, and numbers from who forgot.
    let rejected = rejected.and_then(|rejected| match rejected.as_str() {
        Some(digits) => digits.parse().ok(),
        None => rejected.as_u64(),
    });
    let message = partial.get("errorMessage").and_then(|text| text.as_str());
    Some(Some((
        rejected.unwrap_or(0),
        message.unwrap_or_default().to_owned(),
    )))
}

/// The pause that a receiver asks for; `None` when it asks for none, or in no form that there is.
fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let pause = if is_number {
        // Only a number that is too large does not parse.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        // By the receiver's own clock where it tells the time: ours may be wrong.
        let date_of = |value: &str| httpdate::parse_http_date(value).ok();
        let told = headers
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        let now = told.and_then(date_of).unwrap_or(wall);
        date_of(value)?.duration_since(now).ok()?
    };
    bounded(pause)
}

/// At most five minutes. A pause of nothing, such as until a date that is over, is none that was
/// asked for: our own applies.
pub(super) fn bounded(pause: Duration) -> Option<Duration> {
    let is_heard = !pause.is_zero() && !mutation::is_on(Mutation::DeafToRetryAfter);
    is_heard.then(|| pause.min(LONGEST_PAUSE))
}

/// `google.rpc.Status`, which errors of OTLP are.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;
    use ::http_body_util::Full;
    use opentelemetry_proto::tonic::collector::{
        logs::v1::ExportLogsPartialSuccess, metrics::v1::ExportMetricsPartialSuccess,
        trace::v1::ExportTracePartialSuccess,
    };
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of the RFCs.
    const WALL: Duration = Duration::from_secs(784_111_777);

    fn heard(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Heard {
        let mut head = ::http::Response::builder().status(status);
        for (name, value) in headers {
            head = head.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let mut heard = Heard::of(head.body(()).unwrap().into_parts().0);
        heard.body = body.to_vec();
        heard.end = End::Whole;
        heard
    }

    fn answer(heard: &Heard) -> Answer {
        heard.answer(Signal::Traces, UNIX_EPOCH + WALL)
    }

    const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

    #[test]
    fn statuses_mean_what_the_specification_says() {
        let kind = |status| match answer(&heard(status, &[], b"")) {
            Answer::Accepted { .. } => "accepted",
            Answer::Refused { .. } => "refused",
            Answer::Malformed { .. } => "malformed",
            Answer::Denied { .. } => "denied",
            Answer::Unreachable { .. } => "unreachable",
            Answer::TooLarge { .. } => "too large",
            Answer::Unavailable { .. } => "unavailable",
            Answer::Unanswered { .. } => "unanswered",
        };
        for (statuses, means) in [
            (&[200, 202, 204][..], "accepted"),
            (&[408, 429, 502, 503, 504][..], "unavailable"),
            (&[413][..], "too large"),
            (&[400, 422][..], "malformed"),
            (
                &[
                    300, 301, 302, 304, 307, 308, 401, 402, 403, 404, 405, 406, 407, 410, 411, 415,
                    421, 426, 431, 451, 501, 505, 511,
                ][..],
                "denied",
            ),
            (
                &[101, 409, 412, 418, 425, 500, 507, 599, 999][..],
                "refused",
            ),
        ] {
            for status in statuses {
                assert_eq!(kind(*status), means, "{status}");
            }
        }
    }

    #[test]
    fn a_pause_is_read_in_each_form_that_there_is() {
        for (value, after) in [
            ("30", Some(30)),
            (" 7 ", Some(7)),
            ("300", Some(300)),
            ("1000000000", Some(300)),
            ("99999999999999999999999999", Some(300)),
            ("0", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("", None),
            ("soon", None),
            ("\u{ff}", None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("Mon, 06 Nov 2094 08:49:37 GMT", None),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(300)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:00 GMT", None),
        ] {
            for status in [429, 503] {
                let Answer::Unavailable { after: read, .. } =
                    answer(&heard(status, &[("retry-after", value)], b""))
                else {
                    panic!("{status} is to be tried again");
                };
                assert_eq!(read, after.map(Duration::from_secs), "{value:?}");
            }
        }
    }

    #[test]
    fn a_date_is_far_away_by_the_receiver_s_own_clock() {
        let headers = [
            ("date", "Tue, 06 Nov 2001 08:49:37 GMT"),
            ("retry-after", "Tue, 06 Nov 2001 08:50:07 GMT"),
        ];
        let Answer::Unavailable { after, .. } = answer(&heard(503, &headers, b"")) else {
            panic!("503 is to be tried again");
        };
        assert_eq!(after, Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_partial_success_is_read_for_each_signal() {
        let error_message = "two are too old".to_owned();
        let traces = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 2,
                error_message: error_message.clone(),
            }),
        };
        let logs = ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess {
                rejected_log_records: 2,
                error_message: error_message.clone(),
            }),
        };
        let metrics = ExportMetricsServiceResponse {
            partial_success: Some(ExportMetricsPartialSuccess {
                rejected_data_points: 2,
                error_message: error_message.clone(),
            }),
        };
        let json = |key| {
            let partial = format!(r#""{key}":"2","errorMessage":"two are too old""#);
            format!("{{\"partialSuccess\":{{{partial}}}}}").into_bytes()
        };
        for (signal, protobuf, json) in [
            (
                Signal::Traces,
                traces.encode_to_vec(),
                json("rejectedSpans"),
            ),
            (
                Signal::Logs,
                logs.encode_to_vec(),
                json("rejectedLogRecords"),
            ),
            (
                Signal::Metrics,
                metrics.encode_to_vec(),
                json("rejectedDataPoints"),
            ),
        ] {
            for (content_type, body) in [
                ("application/x-protobuf", protobuf),
                ("application/json; charset=utf-8", json),
            ] {
                let heard = heard(200, &[("content-type", content_type)], &body);
                assert_eq!(
                    heard.answer(signal, UNIX_EPOCH),
                    taken(2, &error_message),
                    "{signal:?} in {content_type}"
                );
            }
        }
    }

    #[test]
    fn what_is_accepted_stays_so_whatever_else_was_answered() {
        for (headers, body) in [
            (&[PROTOBUF][..], &b"\xff\xff\xff"[..]),
            (
                &[PROTOBUF, ("content-encoding", "gzip")][..],
                &b"\x1f\x8b"[..],
            ),
            (&[("content-type", "application/json")][..], &b"{"[..]),
            (&[("content-type", "text/html")][..], &b"<p>thanks</p>"[..]),
            (&[][..], &b"\xff"[..]),
        ] {
            let heard = heard(200, headers, body);
            assert!(
                matches!(answer(&heard), Answer::Accepted { rejected: 0, .. }),
                "{heard:?}"
            );
        }
        for end in [End::TooLong, End::Pending, End::Broken("reset".to_owned())] {
            let mut heard = heard(200, &[PROTOBUF], b"");
            heard.end = end;
            let Answer::Accepted {
                rejected: 0,
                message: Some(message),
            } = answer(&heard)
            else {
                panic!("{heard:?}");
            };
            assert!(message.contains("is not known"), "{message}");
        }
    }

    #[test]
    fn a_refusal_says_why_in_words() {
        let status = Status {
            message: "no such tenant\r\n\u{1b}[31m".to_owned(),
            details: Vec::new(),
        };
        let why = |heard: &Heard| match answer(heard) {
            Answer::Malformed { reason }
            | Answer::Denied { reason }
            | Answer::Refused { reason } => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            why(&heard(400, &[PROTOBUF], &status.encode_to_vec())),
            r"400 Bad Request: no such tenant\r\n\u{1b}[31m"
        );
        assert_eq!(
            why(&heard(401, &[], b"who are you?")),
            "401 Unauthorized: who are you?"
        );
        assert_eq!(
            why(&heard(500, &[PROTOBUF], b"\xff")),
            "500 Internal Server Error"
        );
        let long = why(&heard(400, &[], "ü".repeat(50_000).as_bytes()));
        assert_eq!(long, format!("400 Bad Request: {}…", "ü".repeat(100)));
    }

    /// What the table asks for, with a number, a date or anything else in its place.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<u64>().prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            "[0-9]{0,40}",
            (0..253_402_300_800_u64).prop_map(|second| {
                httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second))
            }),
            "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
            "\\PC{0,40}",
        ]
    }

    fn message_of(answer: &Answer) -> Option<&str> {
        match answer {
            Answer::Accepted { message, .. } => message.as_deref(),
            Answer::Malformed { reason }
            | Answer::TooLarge { reason }
            | Answer::Refused { reason }
            | Answer::Denied { reason }
            | Answer::Unreachable { reason }
            | Answer::Unavailable { reason, .. }
            | Answer::Unanswered { reason } => Some(reason),
        }
    }

    proptest! {
        #[test]
        fn a_pause_is_never_longer_than_five_minutes_nor_nothing(value in value()) {
            let headers = [("retry-after", &*value)];
            let Answer::Unavailable { after, .. } = answer(&heard(503, &headers, b"")) else {
                panic!("{value} is to be tried again");
            };
            if let Some(after) = after {
                prop_assert!(!after.is_zero() && after <= LONGEST_PAUSE, "{after:?}");
            }
            let seconds = value.trim().parse::<u64>().ok();
            if let Some(seconds) = seconds.filter(|_| !value.contains('+')) {
                prop_assert_eq!(after, bounded(Duration::from_secs(seconds)));
            }
        }

        #[test]
        fn whatever_is_answered_means_something_in_a_line(
            status in 100..1_000_u16,
            kind in prop::sample::select(vec![
                "application/x-protobuf", "application/json", "text/plain", "application/grpc", "",
            ]),
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..400),
                // Well formed as far as it goes.
                "\\PC{0,100}".prop_map(|message| Status { message, details: Vec::new() }
                    .encode_to_vec()),
                "\\{\"partialSuccess\":\\{\"(rejected(Spans|LogRecords)|errorMessage)\":(\"\\PC{0,30}\"|-?[0-9]{1,30})\\}\\}"
                    .prop_map(String::into_bytes),
            ],
            signal in prop::sample::select(Signal::ALL.to_vec()),
        ) {
            let heard = heard(status, &[("content-type", kind)], &body);
            let answer = heard.answer(signal, UNIX_EPOCH + WALL);
            let is_success = (200..300).contains(&status);
            prop_assert_eq!(matches!(answer, Answer::Accepted { .. }), is_success);
            if let Some(message) = message_of(&answer) {
                prop_assert!(message.len() <= 300, "{}", message.len());
                prop_assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
            }
        }
    }

    #[tokio::test]
    async fn at_most_64_kib_of_an_answer_are_read() {
        for (length, read) in [
            (0, 0),
            (MOST_BYTES, MOST_BYTES),
            (MOST_BYTES + 1, MOST_BYTES),
        ] {
            let mut heard = heard(200, &[], b"");
            heard
                .listen(Full::new(Bytes::from(vec![b'a'; length])))
                .await;
            assert_eq!(heard.body.len(), read);
            assert_eq!(matches!(heard.end, End::Whole), length == read);
        }
    }
}
