//! Observability for the services of an online food-delivery platform: wrap the router in one
//! layer, call [`track_event()`] from business code, scrape `/metrics` or send it all over OTLP.
//!
//! ```no_run
//! use axum::{Router, extract::Path, routing::get};
//! use orderscope::Telemetry;
//! use std::time::Duration;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let telemetry = Telemetry::builder("orders").version(env!("CARGO_PKG_VERSION")).install()?;
//!     let app = Router::new()
//!         .route("/orders/{id}", get(async |Path(id): Path<u32>| format!("order {id}")))
//!         .layer(telemetry.http_layer())
//!         .route("/metrics", telemetry.metrics_route());
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app)
//!         .with_graceful_shutdown(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
//!         .await?;
//!     println!("{}", telemetry.shutdown(Duration::from_secs(5)).await);
//!     Ok(())
//! }
//! ```
//!
//! # The mental model
//!
//! - **[`Telemetry`] is a value.** `build()` makes one and touches nothing global; `install()` makes
//!   it the process's, so that any `metrics::counter!` appears too.
//! - **Every accepted request has exactly one outcome**, and it can be checked from outside: started
//!   = finished over all outcomes + active. [`http`] says when what is recorded.
//! - **Nothing grows without bound, and nothing is lost silently**: what is refused, cut or beyond a
//!   cap is counted, on the same page as the rest. [`metrics`] names the bounds.
//!
//! - **A record that was accepted is accounted for**: acknowledged, or counted by what became of it.
//!   [`Telemetry::ledger`] tells, for each destination; without one, none is built.
//!
//! ```text
//! request ─→ http layer ──┬─ sums ──→ metrics (sharded storage) ─┬─→ /metrics: text, OpenMetrics
//! metrics::counter! ──────┤                                      ├─→ OTLP metrics
//! opentelemetry::global ──┤                                      └─→ snapshot()
//! span!, error!, panic ───┼─ items ─→ records (compact, masked) ─→ queues ─→ OTLP traces and logs
//! track_event, errors ────┘
//! ```
//!
//! # The rooms
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`telemetry`] | what the application holds, its builder, its routes, its end |
//! | [`http`] | the layer, outcomes, streams, propagation, the layer for outgoing calls |
//! | [`events`] | `track_event`, money, the vocabulary; funnels, transactions, features, active users, sessions |
//! | [`database`] | queries, slow statements, pools; operations of any client |
//! | [`errors`] | `capture_error`, panics, errors of handlers; their groups |
//! | [`logs`], [`tracing_layer`] | severities, `critical!`, lines and their files; what becomes of `tracing` |
//! | [`context`] | the current request: its trace, whom it is for, taking it along |
//! | [`catalog`] | every instrument, declared once |
//! | [`snapshot`] | all numbers at one moment |
//! | [`export`] | where telemetry is sent, and how |
//! | [`metrics`] | storage: descriptors, caps, the recorder of the `metrics` facade |
//! | [`guide`] | [what delivery promises](guide::delivery), fault by fault, and beside others; [one error](guide::errors), field by field; [from a latency to its query](guide::correlation), with what each step shows |
//! | [`resource`], [`ids`], [`clock`], [`error`] | who is speaking, trace ids, time, the one error |
//!
//! # Features
//!
//! | feature | default | what it buys |
//! | --- | --- | --- |
//! | `axum` | yes | `http_layer()`, `metrics_route()`, `health_routes()`; without it, `tower_layer()` and the scrape listener |
//! | `grpc` | no | OTLP over gRPC |
//! | `redis` | no | funnels counted once over all replicas, by [`shared_state::Redis`](shared_state) |
//! | `sqlx-postgres`, `sqlx-mysql`, `sqlx-sqlite` | no | [`database()`](Telemetry::database): pools of sqlx whose queries are measured |
//! | `sqlx` | no | the same of any database, without connections and transactions of its own |
//! | `zstd` | no | OTLP compressed by zstd |
//! | `mutations` | no | for the crate's own tests: rules that can be broken on purpose; never for a service |

mod _guide;
pub mod catalog;
pub mod clock;
pub mod context;
mod delivery;
pub mod error;
pub mod export;
mod fork;
pub mod ids;
mod instrumentation;
pub mod metrics;
mod mutation;
mod pipeline;
mod records;
mod redaction;
pub mod resource;
mod semconv;
pub mod shared_state;
pub mod snapshot;
mod stack;
mod sync;
pub mod telemetry;
mod worker;

/// Pages to read: what the crate as a whole promises, and what it does not.
pub mod guide {
    pub use crate::_guide::*;
}

/// The facade crates, in the versions that orderscope was built with: what is recorded through
/// another major version does not arrive here.
pub mod reexport {
    pub use ::{metrics, opentelemetry};
}

/// What the macros need in a crate that depends on orderscope alone.
#[doc(hidden)]
pub mod __private {
    pub use tracing;
}

/// Compiles the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use error::Error;
pub use errors::capture_error;
pub use events::track_event;
pub use instrumentation::{database, errors, events, http, logs, tracing_layer};
pub use telemetry::Telemetry;
