//! The other end of the peers: exporters that count, and drop.
//!
//! Two releases of OpenTelemetry's SDK have traits of the same shape: logfire is on the older one.

use crate::rounds::Delivered;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What came, over all signals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sink(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    spans: AtomicU64,
    logs: AtomicU64,
}

impl Sink {
    pub(crate) fn count_spans(&self, spans: usize) {
        self.0.spans.fetch_add(spans as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_logs(&self, logs: usize) {
        self.0.logs.fetch_add(logs as u64, Ordering::Relaxed);
    }

    pub(crate) fn delivered(&self) -> Delivered {
        Delivered {
            requests: self.0.requests.load(Ordering::Relaxed),
            spans: self.0.spans.load(Ordering::Relaxed),
            logs: self.0.logs.load(Ordering::Relaxed),
        }
    }
}

macro_rules! counts_for {
    ($sdk:ident) => {
        impl $sdk::trace::SpanExporter for Sink {
            async fn export(
                &self,
                batch: Vec<$sdk::trace::SpanData>,
            ) -> $sdk::error::OTelSdkResult {
                self.count_spans(batch.len());
                Ok(())
            }
        }

        impl $sdk::logs::LogExporter for Sink {
            async fn export(&self, batch: $sdk::logs::LogBatch<'_>) -> $sdk::error::OTelSdkResult {
                self.count_logs(batch.iter().count());
                Ok(())
            }
        }

        impl $sdk::metrics::exporter::PushMetricExporter for Sink {
            async fn export(
                &self,
                metrics: &$sdk::metrics::data::ResourceMetrics,
            ) -> $sdk::error::OTelSdkResult {
                use $sdk::metrics::data::{AggregatedMetrics, MetricData};
                let metrics = metrics.scope_metrics().flat_map(|scope| scope.metrics());
                for metric in metrics.filter(|m| m.name() == "http.server.request.duration") {
                    if let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data()
                    {
                        let requests = histogram.data_points().map(|point| point.count()).sum();
                        self.0.requests.store(requests, Ordering::Relaxed);
                    }
                }
                Ok(())
            }

            fn force_flush(&self) -> $sdk::error::OTelSdkResult {
                Ok(())
            }

            fn shutdown_with_timeout(&self, _: std::time::Duration) -> $sdk::error::OTelSdkResult {
                Ok(())
            }

            fn temporality(&self) -> $sdk::metrics::Temporality {
                $sdk::metrics::Temporality::Cumulative
            }
        }
    };
}

counts_for!(opentelemetry_sdk);
counts_for!(opentelemetry_sdk_of_logfire);
