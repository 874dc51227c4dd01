//! The instruments that libraries hold, over our series.

use super::series::SeriesByAttributes;
use crate::metrics::{Registry, Stored};
use ::opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Callback, SyncInstrument},
};
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// An instrument that takes `V` and keeps it in a `T`.
pub(super) struct Measured<V, T> {
    pub(super) series: SeriesByAttributes<T>,
    pub(super) measure: fn(&T, V),
}

impl<V, T: Stored> Measured<V, T> {
    fn take(&self, value: V, attributes: &[KeyValue]) {
        self.series
            .with(attributes, |series| (self.measure)(series, value));
    }
}

impl<V, T: Stored + Send + Sync> SyncInstrument<V> for Measured<V, T> {
    fn measure(&self, value: V, attributes: &[KeyValue]) {
        self.take(value, attributes);
    }
}

impl<V, T: Stored + Send + Sync> AsyncInstrument<V> for Measured<V, T> {
    fn observe(&self, value: V, attributes: &[KeyValue]) {
        self.take(value, attributes);
    }
}

/// Runs `callbacks` at each collection; one that panics has said its last for this time.
pub(super) fn observe<V: 'static, T: Stored + Send + Sync + 'static>(
    registry: &Registry,
    measured: Measured<V, T>,
    callbacks: Vec<Callback<V>>,
) {
    thread_local! {
        static IS_OBSERVING: Cell<bool> = const { Cell::new(false) };
    }
    if measured.series.is_refused() || callbacks.is_empty() {
        return;
    }
    registry.observe(move || {
        // A callback that itself asks for a snapshot would call itself without end.
        if IS_OBSERVING.replace(true) {
            return;
        }
        for callback in &callbacks {
            // The panic hook has reported it.
            let _ = catch_unwind(AssertUnwindSafe(|| callback(&measured)));
        }
        IS_OBSERVING.set(false);
    });
}
