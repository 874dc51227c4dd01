//! How an accepted request can end.

/// How an accepted request ended. Each has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The response went out to its last byte, whatever its status.
    Completed,
    /// The client went away before the end of its request or of the response, or something outside
    /// dropped the request.
    ClientClosed,
    /// [`HttpLayer::timeout`](super::HttpLayer::timeout) passed, or an inner response was marked
    /// [`Mark::TimedOut`].
    TimedOut,
    /// The handler, or the response's body, panicked.
    Panicked,
    /// An inner response was marked [`Mark::Shed`]: refused to protect the service.
    Shed,
    /// The response's body, or the inner service, returned an error.
    BodyFailed,
    /// The connection left HTTP: a websocket, a tunnel.
    Upgraded,
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Completed,
        Self::ClientClosed,
        Self::TimedOut,
        Self::Panicked,
        Self::Shed,
        Self::BodyFailed,
        Self::Upgraded,
    ];

    /// The value of the attribute `outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ClientClosed => "client_closed",
            Self::TimedOut => "timed_out",
            Self::Panicked => "panicked",
            Self::Shed => "shed",
            Self::BodyFailed => "body_failed",
            Self::Upgraded => "upgraded",
        }
    }

    /// The value of `error.type`; `None` leaves it to the status code.
    pub(super) fn error_type(self) -> Option<&'static str> {
        match self {
            Self::Completed | Self::Upgraded => None,
            Self::ClientClosed => Some("client_closed"),
            Self::TimedOut => Some("timeout"),
            Self::Panicked => Some("panic"),
            Self::Shed => Some("shed"),
            Self::BodyFailed => Some("body_failed"),
        }
    }
}

/// Marks a response whose status alone does not say how the request ended.
///
/// A timeout or a load-shedding layer between ours and the handler puts it into the extensions
/// of the response that it makes; ours reads it.
///
/// ```
/// use orderscope::http::Mark;
///
/// let mut response = http::Response::new("try later");
/// *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
/// response.extensions_mut().insert(Mark::Shed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mark {
    /// The handler did not answer in time.
    TimedOut,
    /// The request was refused to protect the service.
    Shed,
}

impl From<Mark> for Outcome {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::TimedOut => Self::TimedOut,
            Mark::Shed => Self::Shed,
        }
    }
}
