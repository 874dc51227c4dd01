//! Observability for food-delivery services.
pub mod catalog;
pub mod clock;
pub mod context;
pub mod error;
mod export;
pub mod ids;
mod instrumentation;
pub use instrumentation::http;
pub mod metrics;
mod pipeline;
pub mod resource;
mod semconv;
pub mod snapshot;
pub mod telemetry;
mod worker;
pub use error::Error;
pub use telemetry::Telemetry;
