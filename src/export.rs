//! What leaves the process, in the formats of others: where it goes, and how.
//!
//! ```
//! use orderscope::export::{Compression, Destination, Signal, Temporality};
//!
//! let collector = Destination::otlp("collector", "http://localhost:4318")
//!     .compression(Compression::Gzip);
//! let vendor = Destination::otlp("vendor", "https://otlp.example.com")
//!     .header("api-key", "the key, which no message shows")
//!     .temporality(Temporality::Delta)
//!     .only([Signal::Metrics]);
//! # drop((collector, vendor));
//! ```

mod destination;
mod memory;
pub(crate) mod opentelemetry;
pub(crate) mod otlp;
pub(crate) mod prometheus;
mod temporality;

pub use crate::{
    delivery::{Compression, LedgerRow, Protocol, Reason},
    records::Signal,
};
pub(crate) use destination::{Connection, Given, Options};
pub use {
    destination::Destination,
    memory::{
        InMemory, ReceivedEvent, ReceivedLog, ReceivedMetric, ReceivedPoint, ReceivedPointValue,
        ReceivedSpan, ReceivedSpanKind, ReceivedStatus, ReceivedValue,
    },
    temporality::Temporality,
};
