//! The names of what is asserted, and the numbers behind them.

use orderscope::snapshot::Snapshot;

pub(super) const STARTED: &str = "orderscope.http.server.requests.started";
pub(super) const FINISHED: &str = "orderscope.http.server.requests.finished";
pub(super) const ACTIVE: &str = "http.server.active_requests";
pub(super) const DURATION: &str = "http.server.request.duration";
pub(super) const FIRST_BYTE: &str = "orderscope.http.server.time_to_first_byte";
pub(super) const REQUEST_SIZE: &str = "http.server.request.body.size";
pub(super) const RESPONSE_SIZE: &str = "http.server.response.body.size";
pub(super) const STREAMS_ACTIVE: &str = "orderscope.http.server.streams.active";
pub(super) const STREAMS_DURATION: &str = "orderscope.http.server.streams.duration";

pub(super) const METHOD: &str = "http.request.method";
pub(super) const ROUTE: &str = "http.route";
pub(super) const STATUS: &str = "http.response.status_code";
pub(super) const ERROR: &str = "error.type";
pub(super) const VERSION: &str = "network.protocol.version";
pub(super) const KIND: &str = "stream.kind";

/// Short questions to a snapshot.
pub(super) trait Numbers {
    fn started(&self) -> u64;
    fn finished(&self) -> u64;
    fn active(&self) -> f64;
    fn open_streams(&self) -> f64;
    /// How many requests ended in this way.
    fn outcome(&self, outcome: &str) -> u64;
    /// Each outcome that some request had, with how many.
    fn outcomes(&self) -> Vec<(&'static str, u64)>;
    /// How many values the duration holds for these attributes.
    fn durations(&self, attributes: &[(&str, &str)]) -> u64;
    /// How many series an instrument has.
    fn series(&self, name: &str) -> usize;
}

impl Numbers for Snapshot {
    fn started(&self) -> u64 {
        self.counter(STARTED, &[])
    }

    fn finished(&self) -> u64 {
        self.counter(FINISHED, &[])
    }

    fn active(&self) -> f64 {
        self.gauge(ACTIVE, &[])
    }

    fn open_streams(&self) -> f64 {
        self.gauge(STREAMS_ACTIVE, &[])
    }

    fn outcome(&self, outcome: &str) -> u64 {
        self.counter(FINISHED, &[("outcome", outcome)])
    }

    fn outcomes(&self) -> Vec<(&'static str, u64)> {
        orderscope::http::Outcome::ALL
            .into_iter()
            .map(|outcome| (outcome.as_str(), self.outcome(outcome.as_str())))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn durations(&self, attributes: &[(&str, &str)]) -> u64 {
        self.histogram(DURATION, attributes).count()
    }

    fn series(&self, name: &str) -> usize {
        self.metric(name).map_or(0, |metric| metric.series().len())
    }
}
