//! Identifiers: the W3C trace context's, made and printed without allocation.

use std::fmt;

/// A W3C trace id: 16 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId {
    // Two words: a `u128` would align, and pad, whatever holds it to 16 bytes.
    high: u64,
    low: u64,
}

/// A W3C parent (span) id: 8 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(u64);

/// Where in which trace something happened, and whether that trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanContext {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) is_sampled: bool,
}

impl SpanContext {
    /// The W3C flags of the trace.
    pub(crate) fn flags(self) -> u8 {
        u8::from(self.is_sampled)
    }
}

/// Has the calling thread make other ids than it would have: in a forked child it would make those
/// that its parent makes.
pub(crate) fn begin_anew() {
    fastrand::seed(uuid::Uuid::new_v4().as_u64_pair().1);
}

impl TraceId {
    /// A random id. Not for secrets: the generator is fast, not cryptographic.
    pub(crate) fn random() -> Self {
        loop {
            if let Some(id) = Self::new(fastrand::u128(..)) {
                return id;
            }
        }
    }

    /// `None` for exactly zero, which the specification forbids.
    pub(crate) fn new(id: u128) -> Option<Self> {
        let (high, low) = ((id >> 64) as u64, id as u64);
        (id != 0).then_some(Self { high, low })
    }

    /// The half whose bits decide whether a share of all traces has it.
    pub(crate) fn low(self) -> u64 {
        self.low
    }

    /// Big-endian bytes, as on the wire.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_be_bytes()
    }
}

impl SpanId {
    /// A random id.
    pub(crate) fn random() -> Self {
        loop {
            if let Some(id) = Self::new(fastrand::u64(..)) {
                return id;
            }
        }
    }

    /// `None` for exactly zero, which the specification forbids.
    pub(crate) fn new(id: u64) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    /// Big-endian bytes, as on the wire.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.high, self.low)
    }
}

/// 16 lower-case hexadecimal digits.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}
