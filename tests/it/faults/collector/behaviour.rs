//! The ways in which the collector breaks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orderscope::export::Signal;
use tonic::Code;

use super::Id;

/// What becomes of requests, until it is told otherwise.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Takes and acknowledges all.
    Healthy,
    /// Nobody listens; the port stays ours. Connections are reset.
    Refuse,
    /// Reads and never answers. Takes nothing.
    Hang,
    /// Takes all, and answers a byte a second; with `head_at_once`, only the body is slow.
    Trickle { head_at_once: bool },
    /// Takes all, and answers more than anybody should read.
    Flood(Flood),
    /// Resets live connections now and each further one as soon as it is there. Little of a large
    /// request goes out before.
    ResetBefore,
    /// Resets once so many bytes of a request's body have come. Little more of it goes out.
    ResetAmid(usize),
    /// Resets in place of an answer to the whole request; takes it, or not, by the seed.
    ResetAfter,
    /// Takes all, and closes the connection after so many bytes of the answer.
    CutAt(usize),
    /// Takes nothing and answers this. Over gRPC, the counterpart: `Retry-After` in seconds becomes
    /// `RetryInfo`.
    Status {
        code: u16,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    },
    /// Takes nothing and answers this, over gRPC; over HTTP, a 500.
    Grpc {
        code: Code,
        message: &'static str,
        retry_after: Option<Duration>,
    },
    /// One for each request, then healthy. Not for `Refuse` and `Flap`, which know no requests.
    Script(Vec<Behaviour>),
    /// Takes all but the first so many records of each request, and says so by partial success.
    Partial(u64),
    /// Takes no request in which a bad record is: 400 and `INVALID_ARGUMENT`, or 413 and
    /// `RESOURCE_EXHAUSTED` about its size.
    RefuseRecords { bad: Bad, as_too_large: bool },
    /// Takes no request of more records: 413, and `RESOURCE_EXHAUSTED` about its size.
    MostRecords(usize),
    /// Healthy and the other, by turns, healthy first.
    Flap {
        up: Duration,
        down: Duration,
        by: Box<Behaviour>,
    },
    /// For this signal alone; healthy for the others. Not for `Refuse` and `Flap`.
    Only(Signal, Box<Behaviour>),
}

/// Answers that nobody should read to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Pieces without end.
    Endless,
    /// A gigabyte, and it says so.
    Huge,
    /// A thousand times as much as it takes on the wire, by gzip.
    Bomb,
}

impl Flood {
    pub(crate) const ALL: [Self; 3] = [Self::Endless, Self::Huge, Self::Bomb];
}

/// Which records are not acceptable.
#[derive(Clone)]
pub(crate) struct Bad(Arc<dyn Fn(Id) -> bool + Send + Sync>);

impl Bad {
    pub(super) fn is(&self, id: Id) -> bool {
        (self.0)(id)
    }
}

impl fmt::Debug for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bad")
    }
}

impl Behaviour {
    pub(crate) fn status(code: u16) -> Self {
        Self::Status {
            code,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn retry_after(code: u16, value: impl Into<String>) -> Self {
        Self::Status {
            code,
            headers: vec![("retry-after", value.into())],
            body: Bytes::new(),
        }
    }

    /// 400, or `INVALID_ARGUMENT`.
    pub(crate) fn refuse_records(bad: impl Fn(Id) -> bool + Send + Sync + 'static) -> Self {
        Self::RefuseRecords {
            bad: Bad(Arc::new(bad)),
            as_too_large: false,
        }
    }

    /// 413, or `RESOURCE_EXHAUSTED` about its size.
    pub(crate) fn refuse_records_as_too_large(
        bad: impl Fn(Id) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::RefuseRecords {
            bad: Bad(Arc::new(bad)),
            as_too_large: true,
        }
    }

    /// Whether its connections are to hold little: what is not read does not leave the sender.
    pub(super) fn is_narrow(&self) -> bool {
        match self {
            Self::ResetBefore | Self::ResetAmid(_) => true,
            Self::Script(steps) => steps.iter().any(Self::is_narrow),
            Self::Only(_, then) => then.is_narrow(),
            _ => false,
        }
    }
}
