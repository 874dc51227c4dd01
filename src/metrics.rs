//! What can be summed: counters, up-down counters, gauges and histograms, in one storage that
//! both wire formats read.
//!
//! Recording returns no error. Into a series that is known it takes no lock and allocates nothing;
//! the first record of a thread finds the thread its shard, and that of a series makes the series.
//! What is beyond a cap is looked up each time, under a short lock. What is bounded:
//!
//! | bound | default | beyond it |
//! | --- | --- | --- |
//! | attribute sets of one instrument | 2,000 | one more set, `otel_metric_overflow="true"`; counted in `orderscope.series.overflowed` |
//! | instruments of the `metrics` facade and of the OpenTelemetry API | 2,000 | refused; counted in `orderscope.instruments.refused{reason="limit"}` |
//! | bytes over all series | 32 MiB | as the first line |
//! | length of an instrument's name | 255 bytes | refused (`reason="invalid_name"`) |
//! | length of an attribute's name, value | 255, 1,024 bytes | cut at a character; counted in `orderscope.values.truncated` |
//! | routes; combinations of method, version, scheme, status and error of one route | 1,000; 512 | `http.route="_OTHER"`; the overflow set |
//! | label sets of the facade that are remembered as written; attribute sets of the OpenTelemetry API | 8,192 of each kind; 8,192; each of 1 KiB | looked up each time, under a lock |
//!
//! Two instruments whose Prometheus names would collide are one too many: the second is refused
//! and counted (`reason="name_collision"`). A counter and a histogram keep the name with `_created`
//! too, where OpenMetrics has their start time. An instrument is refused as well that has a label
//! which Prometheus reserves: `le` on a histogram, or a name that begins with `__`
//! (`reason="reserved_label"`). A gauge or a
//! histogram refuses NaN and infinities (`orderscope.values.refused`).

mod by_value;
mod counter;
mod descriptor;
mod exemplar;
mod foreign;
mod gauge;
mod histogram;
mod insert_only;
mod instrument;
mod labels;
mod naming;
mod recorder;
mod registry;
mod shards;
mod shared;
mod units;

pub use descriptor::{Descriptor, Kind, Unit};
pub(crate) use {
    by_value::CountersByValue,
    counter::{Counter, ObservedCounter, UpDownCounter},
    exemplar::Exemplar,
    foreign::{Foreign, Form, Found},
    gauge::Gauge,
    histogram::{Histogram, HistogramReading},
    insert_only::InsertOnlyMap,
    instrument::{Family, Instrument, Series, Storage, Stored},
    labels::render as render_labels,
    naming::ends_in_unit,
    recorder::Recorder,
    registry::{Limits, Registry},
};
