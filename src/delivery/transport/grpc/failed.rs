//! What a status other than OK means.

use crate::delivery::{
    Answer,
    transport::answer::{self, bounded, shown},
};
use prost::Message as _;
use std::time::Duration;
use tonic::{Code, Status};

/// The specification's table of what is to be tried again.
pub(super) fn failed(status: &Status) -> Answer {
    let text = shown(status.message());
    let separator = if text.is_empty() { "" } else { ": " };
    let reason = format!("{:?}{separator}{text}", status.code());
    let retry = RetryInfo::of(status);
    let after = retry.as_ref().and_then(RetryInfo::pause);
    match status.code() {
        // A size that never fits is said by the codes of what may pass, and in words only.
        Code::ResourceExhausted | Code::OutOfRange
            if retry.is_none() && is_about_size(status.message()) =>
        {
            Answer::TooLarge { reason }
        }
        Code::ResourceExhausted if retry.is_none() => Answer::Refused { reason },
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss
        | Code::ResourceExhausted => Answer::Unavailable { after, reason },
        Code::InvalidArgument => Answer::Malformed { reason },
        // Unimplemented: another service's port, or a compression that it does not know.
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
            Answer::Denied { reason }
        }
        _ => Answer::Refused { reason },
    }
}

/// As the servers of Go, C++, Java and Rust word it.
fn is_about_size(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "larger than max",
        "exceeds maximum size",
        "message length too large",
        "size limit",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// `google.rpc.RetryInfo`: it may be tried again, after a pause.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) delay: Option<Pause>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Pause {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl RetryInfo {
    fn of(status: &Status) -> Option<Self> {
        let details = answer::Status::decode(status.details()).ok()?.details;
        let mut details = details.iter();
        let info = details.find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
        Self::decode(&*info.value).ok()
    }

    fn pause(&self) -> Option<Duration> {
        let delay = self.delay?;
        let nanos = u32::try_from(delay.nanos).ok()?.min(999_999_999);
        let seconds = u64::try_from(delay.seconds).ok()?;
        bounded(Duration::new(seconds, nanos))
    }
}
