//! The log lines of the process: for now, human-readable ones on stderr.

use std::io::{self, IsTerminal as _};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::LevelFilter, layer::SubscriberExt as _,
};

/// What `install()` makes the process's `tracing` subscriber: lines on stderr, at the levels that
/// `filter` names, `info` by default.
pub(crate) fn subscriber(filter: EnvFilter) -> impl tracing::Subscriber + Send + Sync {
    let mut lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    if !io::stderr().is_terminal() {
        // Asked for only here: to ask for colours would override NO_COLOR.
        lines.set_ansi(false);
    }
    Registry::default().with(lines.with_filter(filter))
}

/// Parses the directives of `RUST_LOG`, such as `info,orders=debug`.
pub(crate) fn filter(directives: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(directives)
        .map_err(|error| error.to_string())
}
