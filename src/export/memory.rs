//! A backend within the process: it takes everything, and can be asked for what it has taken.

mod decode;
mod received;

pub use received::{
    ReceivedEvent, ReceivedLog, ReceivedMetric, ReceivedPoint, ReceivedPointValue, ReceivedSpan,
    ReceivedSpanKind, ReceivedStatus, ReceivedValue,
};

use crate::{
    delivery::{Answer, Sending, Transport},
    records::Signal,
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fmt, future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A destination that keeps what it is sent, for tests and for programs without a collector.
///
/// It takes the place of a backend: records and metrics come to it as the same OTLP requests, over
/// the same queue, and it acknowledges each. What it was sent last is kept, up to a bound in bytes;
/// what was sent longest ago goes first, and is counted.
///
/// A clone is another handle on the same memory: keep one, and hand the other over.
///
/// # Examples
///
/// ```
/// use orderscope::export::InMemory;
///
/// let backend = InMemory::new();
/// assert!(backend.spans().is_empty());
/// let failed = backend.logs().into_iter().filter(|log| log.severity_number >= 17);
/// assert_eq!(failed.count(), 0);
/// ```
#[derive(Clone)]
pub struct InMemory(Arc<Mutex<Held>>);

struct Held {
    /// Encoded, the newest last: they are read seldom, and take less room so.
    requests: VecDeque<(Signal, Bytes)>,
    bytes: usize,
    bound: usize,
    evicted: u64,
}

const DEFAULT_BOUND: usize = 64 << 20;

impl InMemory {
    /// Keeps up to 64 MiB of encoded requests.
    #[must_use]
    pub fn new() -> Self {
        Self::with_bound(DEFAULT_BOUND)
    }

    /// Keeps up to `bytes` of encoded requests. One that is larger by itself is not kept.
    #[must_use]
    pub fn with_bound(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Held {
            requests: VecDeque::new(),
            bytes: 0,
            bound: bytes,
            evicted: 0,
        })))
    }

    /// Every span that is kept, in the order of arrival: a span is sent after it ended.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.read(Signal::Traces, decode::spans)
    }

    /// Every log record that is kept, in the order of arrival: lines of log, errors, and business
    /// events, which have an event name.
    #[must_use]
    pub fn logs(&self) -> Vec<ReceivedLog> {
        self.read(Signal::Logs, decode::logs)
    }

    /// The metrics of every push that is kept, in the order of arrival: a metric is in it once for
    /// each push.
    #[must_use]
    pub fn metrics(&self) -> Vec<ReceivedMetric> {
        self.read(Signal::Metrics, decode::metrics)
    }

    /// The attributes of who spoke last: of the service, its process and its host. Empty before
    /// anything came.
    #[must_use]
    pub fn resource(&self) -> Vec<(String, ReceivedValue)> {
        let last = self.held().requests.back().cloned();
        last.map_or_else(Vec::new, |(signal, request)| {
            decode::resource(signal, &request)
        })
    }

    /// How many requests went for want of room.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.held().evicted
    }

    /// Forgets what came up to now.
    pub fn clear(&self) {
        let mut held = self.held();
        held.requests.clear();
        held.bytes = 0;
    }

    fn read<T>(&self, wanted: Signal, decode: fn(&[u8]) -> Vec<T>) -> Vec<T> {
        // Copied out, so that a reader never holds up the delivery.
        let requests = self.held().requests.clone();
        let of_the_signal = requests.iter().filter(|(signal, _)| *signal == wanted);
        of_the_signal
            .flat_map(|(_, request)| decode(request))
            .collect()
    }

    /// What it holds is whole at every step.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn take(&mut self, signal: Signal, request: Bytes) {
        self.bytes += request.len();
        self.requests.push_back((signal, request));
        while self.bytes > self.bound
            && let Some((_, oldest)) = self.requests.pop_front()
        {
            self.bytes -= oldest.len();
            self.evicted += 1;
        }
    }
}

impl Default for InMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held();
        f.debug_struct("InMemory")
            .field("requests", &held.requests.len())
            .field("bytes", &held.bytes)
            .field("bound", &held.bound)
            .field("evicted", &held.evicted)
            .finish()
    }
}

impl Transport for InMemory {
    fn send(&self, signal: Signal, body: Bytes) -> Sending<'_> {
        self.held().take(signal, body);
        Box::pin(future::ready(Answer::Accepted {
            rejected: 0,
            message: None,
        }))
    }
}

#[cfg(test)]
mod tests;
