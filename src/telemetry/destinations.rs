//! From what was said of the destinations to what sends to them.

use super::environment;
use crate::{
    clock::Clock,
    delivery::{Batching, Bounds, Delivery, HANGING_LOOKUPS, Handoff, Outlet, Parts, Stage},
    error::Error,
    export::{
        Connection, Destination, Signal,
        otlp::{Encoder, MetricsPush},
    },
    pipeline::Pipeline,
    resource::Resource,
    worker::Worker,
};
use std::{sync::Arc, time::Duration};

/// Of all bytes that may wait, those that may do so before the worker comes.
const HANDOFF_SHARE: usize = 4;

/// Destinations that were checked, and not opened yet.
pub(super) struct Connected {
    each: Vec<(Destination, Connection)>,
    queue_bytes: usize,
}

impl Connected {
    /// # Errors
    /// A destination's setting is not accepted.
    pub(super) fn new(
        destinations: Vec<Destination>,
        queue_bytes: usize,
        clock: &Clock,
    ) -> Result<Self, Error> {
        let connect = |destination: Destination| {
            let connection = destination.connect(clock)?;
            Ok((destination, connection))
        };
        let each = destinations.into_iter().map(connect);
        Ok(Self {
            each: each.collect::<Result<_, Error>>()?,
            queue_bytes,
        })
    }

    /// Lookups of names that may hang, and hold a thread each.
    pub(super) fn hanging_lookups(&self) -> usize {
        self.each.len() * HANGING_LOOKUPS
    }

    /// Where sources leave what these destinations want.
    pub(super) fn handoff(&self) -> Handoff {
        let of_one = |(_, connection): &(_, Connection)| connection.signals.clone();
        let wanted: Vec<Signal> = self.each.iter().flat_map(of_one).collect();
        Handoff::new(self.queue_bytes / HANDOFF_SHARE, &wanted)
    }

    /// Sends what is handed off, from here on.
    pub(super) fn open(
        self,
        pipeline: &'static Pipeline,
        resource: &Resource,
        worker: &Worker,
        stages: Vec<Box<dyn Stage>>,
        push_interval: Duration,
        environment: &environment::Settings,
    ) -> Arc<Delivery> {
        let started = pipeline.clock.anchor();
        let bytes = self.queue_bytes - self.queue_bytes / HANDOFF_SHARE;
        let share = bytes / self.each.len().max(1);
        let batching = |given: &environment::Batching| Batching {
            records: given.records,
            delay: given.delay,
            timeout: given.timeout,
        };
        // A manual clock that stands still does not hold delivery up.
        let delays = Clock::system();
        let outlets = self.each.into_iter().map(|(destination, connection)| {
            let Connection {
                signals,
                endpoints,
                transport,
            } = connection;
            let push = MetricsPush::new(
                &pipeline.registry,
                resource,
                pipeline.clock.clone(),
                &started,
                destination.metrics_temporality(),
            );
            let parts = Parts {
                name: destination.name().to_owned(),
                encode: Arc::new(Encoder::new(resource)),
                endpoints,
                transport,
                push: Box::new(push),
                push_interval,
                push_timeout: environment.pushes.timeout,
                bounds: Bounds {
                    bytes: share,
                    batching: [batching(&environment.spans), batching(&environment.logs)],
                    ..Bounds::default()
                },
                duration: pipeline.export_duration(destination.name()),
                signals,
            };
            Outlet::new(parts, delays.clone())
        });
        let delivery = Arc::new(Delivery::new(
            &pipeline.handoff,
            outlets.collect(),
            stages,
            pipeline.clock.clone(),
            delays,
            pipeline.settings.record_limits,
        ));
        let intake = Arc::clone(&delivery);
        worker.settle(move |stop| {
            let intake = Arc::clone(&intake);
            async move { intake.run_intake(stop).await }
        });
        for outlet in delivery.outlets() {
            for signal in outlet.signals() {
                let (delivery, outlet) = (Arc::clone(&delivery), Arc::clone(outlet));
                worker.settle(move |_| {
                    let (delivery, outlet) = (Arc::clone(&delivery), Arc::clone(&outlet));
                    async move { delivery.run_outlet(outlet, signal).await }
                });
            }
        }
        delivery
    }
}
