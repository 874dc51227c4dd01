//! What the numbers of a metrics push count from.

/// Whether a push says what was counted since the start, or since the push before. Each
/// destination has its own. Default: cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Temporality {
    /// Since the start of the process: `cumulative`. A push that is lost loses nothing.
    #[default]
    Cumulative,
    /// Counters and histograms since the push before, up-down counters since the start: `delta`.
    Delta,
    /// As [`Delta`](Self::Delta), but for counters that are observed at the push: those since the
    /// start. `lowmemory`.
    LowMemory,
}
