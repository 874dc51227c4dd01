//! The tokio runtime that the service runs on.

use crate::{
    catalog::tokio as catalog,
    clock::Clock,
    fork::Lock,
    metrics::{Family, Gauge, Registry},
    pipeline::Pipeline,
    semconv::TOKIO_WORKER,
};
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};

/// Readings that come sooner are told the last one.
const SHORTEST: Duration = Duration::from_secs(1);

/// The runtime that is watched, if any. Whoever drops it lets the runtime go, whose sockets and
/// timers a handle would keep.
#[derive(Debug)]
pub(crate) struct Watched {
    clock: Clock,
    runtime: Lock<Option<Runtime>>,
}

#[derive(Debug)]
struct Runtime {
    metrics: RuntimeMetrics,
    /// Whether its workers are driven all the time.
    is_driven: bool,
    since: Instant,
    workers: Vec<Seen>,
    /// Workers of the one before, of whom there is nothing to tell any more.
    before: usize,
}

/// A worker, as it was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    busy: Duration,
    /// Times that it began to wait, and that it stopped to.
    turns: u64,
}

impl Watched {
    /// Registers the metrics; they have no series before a runtime is watched.
    pub(crate) fn new(pipeline: &'static Pipeline) -> Arc<Self> {
        let watched = Arc::new(Self {
            clock: pipeline.clock.clone(),
            runtime: Lock::new(None),
        });
        let gauges = Gauges::new(&pipeline.registry);
        let weak = Arc::downgrade(&watched);
        pipeline.registry.observe(move || {
            if let Some(watched) = weak.upgrade()
                && let Some(mut runtime) = watched.runtime.hold()
                && let Some(runtime) = &mut *runtime
            {
                gauges.tell(runtime, watched.clock.now());
            }
        });
        watched
    }

    /// Watches the runtime that the caller is on, in place of any before; whether it is on one.
    pub(crate) fn watch_current(&self) -> bool {
        let Ok(handle) = Handle::try_current() else {
            return false;
        };
        let metrics = handle.metrics();
        let runtime = Runtime {
            is_driven: handle.runtime_flavor() == RuntimeFlavor::MultiThread,
            since: self.clock.now(),
            workers: seen(&metrics),
            metrics,
            before: 0,
        };
        if let Some(mut watched) = self.runtime.hold() {
            // Those of the one before that, if nobody asked meanwhile.
            let before = watched.as_ref();
            let before = before.map_or(0, |before| before.before.max(before.workers.len()));
            *watched = Some(Runtime { before, ..runtime });
        }
        true
    }
}

fn seen(metrics: &RuntimeMetrics) -> Vec<Seen> {
    (0..metrics.num_workers())
        .map(|number| Seen::of(metrics, number))
        .collect()
}

impl Seen {
    #[cfg(target_has_atomic = "64")]
    fn of(metrics: &RuntimeMetrics, number: usize) -> Self {
        Self {
            busy: metrics.worker_total_busy_duration(number),
            turns: metrics.worker_park_unpark_count(number),
        }
    }

    /// Tokio does not count these here.
    #[cfg(not(target_has_atomic = "64"))]
    fn of(_: &RuntimeMetrics, _: usize) -> Self {
        Self::default()
    }
}

impl Runtime {
    /// The share of time that each worker was at work; `None`: what was told last still holds.
    fn busy(&mut self, now: Instant) -> Option<Vec<f64>> {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < SHORTEST {
            return None;
        }
        let workers = seen(&self.metrics);
        let may_block = self.is_driven && self.metrics.num_alive_tasks() > 0;
        let ratios = self.workers.iter().zip(&workers).map(|(before, worker)| {
            // It is told of work when it waits again: one that neither waited nor was told of worked
            // all along.
            let is_at_work = worker.turns % 2 == 0;
            if may_block && is_at_work && worker == before {
                return 1.0;
            }
            let busy = worker.busy.saturating_sub(before.busy);
            busy.div_duration_f64(elapsed).min(1.0)
        });
        let ratios = ratios.collect();
        (self.since, self.workers) = (now, workers);
        Some(ratios)
    }
}

struct Gauges {
    workers: Family<Gauge>,
    alive_tasks: Family<Gauge>,
    global_queue_depth: Family<Gauge>,
    busy_ratio: Family<Gauge>,
    #[cfg(tokio_unstable)]
    unstable: unstable::Gauges,
}

impl Gauges {
    fn new(registry: &Registry) -> Self {
        Self {
            workers: registry.gauge(&catalog::WORKERS),
            alive_tasks: registry.gauge(&catalog::ALIVE_TASKS),
            global_queue_depth: registry.gauge(&catalog::GLOBAL_QUEUE_DEPTH),
            busy_ratio: registry.gauge(&catalog::BUSY_RATIO),
            #[cfg(tokio_unstable)]
            unstable: unstable::Gauges::new(registry),
        }
    }

    fn tell(&self, runtime: &mut Runtime, now: Instant) {
        let before = mem::take(&mut runtime.before);
        let metrics = &runtime.metrics;
        let set = |gauges: &Family<Gauge>, value: usize| gauges.kept(&[]).set(value as f64);
        set(&self.workers, metrics.num_workers());
        set(&self.alive_tasks, metrics.num_alive_tasks());
        set(&self.global_queue_depth, metrics.global_queue_depth());
        #[cfg(tokio_unstable)]
        self.unstable.tell(metrics, before);
        if cfg!(target_has_atomic = "64") {
            let of_worker = |worker: usize| {
                let mut digits = itoa::Buffer::new();
                let worker = [(TOKIO_WORKER, digits.format(worker))];
                self.busy_ratio.kept(&worker)
            };
            for worker in 0..before {
                of_worker(worker).withhold();
            }
            let ratios = runtime.busy(now).unwrap_or_default();
            for (ratio, worker) in ratios.into_iter().zip(0..) {
                of_worker(worker).set(ratio);
            }
        }
    }
}

/// What tokio tells to builds with `--cfg tokio_unstable`.
#[cfg(tokio_unstable)]
mod unstable {
    use super::{RuntimeMetrics, TOKIO_WORKER, catalog};
    use crate::metrics::{Family, Gauge, ObservedCounter, Registry};

    pub(super) struct Gauges {
        blocking_threads: Family<Gauge>,
        blocking_queue_depth: Family<Gauge>,
        forced_yields: Family<ObservedCounter>,
        local_queue_depth: Family<Gauge>,
        polls: Family<ObservedCounter>,
        steals: Family<ObservedCounter>,
    }

    impl Gauges {
        pub(super) fn new(registry: &Registry) -> Self {
            Self {
                blocking_threads: registry.gauge(&catalog::BLOCKING_THREADS),
                blocking_queue_depth: registry.gauge(&catalog::BLOCKING_QUEUE_DEPTH),
                forced_yields: registry.observed_counter(&catalog::FORCED_YIELDS),
                local_queue_depth: registry.gauge(&catalog::LOCAL_QUEUE_DEPTH),
                polls: registry.observed_counter(&catalog::POLLS),
                steals: registry.observed_counter(&catalog::STEALS),
            }
        }

        pub(super) fn tell(&self, metrics: &RuntimeMetrics, before: usize) {
            let threads = metrics.num_blocking_threads() as f64;
            self.blocking_threads.kept(&[]).set(threads);
            let depth = metrics.blocking_queue_depth() as f64;
            self.blocking_queue_depth.kept(&[]).set(depth);
            let yields = metrics.budget_forced_yield_count() as f64;
            self.forced_yields.kept(&[]).set(yields);
            for worker in metrics.num_workers()..before {
                let mut digits = itoa::Buffer::new();
                let of = [(TOKIO_WORKER, digits.format(worker))];
                self.local_queue_depth.kept(&of).withhold();
            }
            for worker in 0..metrics.num_workers() {
                let mut digits = itoa::Buffer::new();
                let of = [(TOKIO_WORKER, digits.format(worker))];
                let depth = metrics.worker_local_queue_depth(worker) as f64;
                self.local_queue_depth.kept(&of).set(depth);
                let polls = metrics.worker_poll_count(worker) as f64;
                self.polls.kept(&of).set(polls);
                let steals = metrics.worker_steal_count(worker) as f64;
                self.steals.kept(&of).set(steals);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, snapshot::Snapshot};
    use std::{sync::mpsc, time::SystemTime};
    use tokio::runtime::Builder;

    const RATIO: &str = "orderscope.tokio.worker.busy_ratio";

    /// The value of the only series.
    fn told(pipeline: &'static Pipeline, name: &str) -> Option<f64> {
        let snapshot = Snapshot::of(&pipeline.registry);
        snapshot.metric(name)?.series().first()?.number()
    }

    #[test]
    fn without_a_runtime_there_is_nothing_to_tell() {
        let pipeline = Pipeline::for_tests(&[]);
        let watched = Watched::new(pipeline);
        assert!(!watched.watch_current());
        assert_eq!(told(pipeline, "orderscope.tokio.workers"), None);
    }

    #[test]
    fn a_worker_that_a_task_blocks_is_busy_all_the_time_and_one_that_waits_is_not() {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
        let pipeline = Pipeline::for_tests_by(hands.clock(), &[]);
        let watched = Watched::new(pipeline);
        let runtime = Builder::new_multi_thread().worker_threads(1).build();
        let runtime = runtime.unwrap();
        let (started, starts) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let blocking = runtime.spawn(async move {
            started.send(()).unwrap();
            ends.recv()
        });
        starts.recv().unwrap();
        {
            let _entered = runtime.enter();
            assert!(watched.watch_current());
        }
        assert_eq!(told(pipeline, "orderscope.tokio.workers"), Some(1.0));
        assert_eq!(told(pipeline, "orderscope.tokio.alive_tasks"), Some(1.0));
        let ratio = || told(pipeline, RATIO);
        assert_eq!(ratio(), None);
        hands.advance(SHORTEST);
        assert_eq!(ratio(), Some(1.0));
        end.send(()).unwrap();
        runtime.block_on(blocking).unwrap().unwrap();
        // Until it waits, which it does before it can be told of.
        let waits = || {
            watched.runtime.hold().is_some_and(|held| {
                let runtime = held.as_ref();
                runtime.is_some_and(|r| seen(&r.metrics)[0].turns % 2 == 1)
            })
        };
        while !waits() {
            std::thread::yield_now();
        }
        hands.advance(SHORTEST * 1_000);
        assert!(ratio().is_some());
        hands.advance(SHORTEST * 1_000);
        assert_eq!(ratio(), Some(0.0));
    }

    #[test]
    fn of_a_runtime_that_another_takes_the_place_of_no_worker_is_told_any_more() {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
        let pipeline = Pipeline::for_tests_by(hands.clock(), &[]);
        let watched = Watched::new(pipeline);
        let ratios = || {
            let snapshot = Snapshot::of(&pipeline.registry);
            snapshot.metric(RATIO).map_or(0, |ratio| {
                let told = ratio.series().iter();
                told.filter(|series| series.number().is_some()).count()
            })
        };
        for workers in [3, 2] {
            let runtime = Builder::new_multi_thread().worker_threads(workers).build();
            let runtime = runtime.unwrap();
            let _entered = runtime.enter();
            assert!(watched.watch_current());
            assert_eq!(ratios(), 0, "within the first second");
            hands.advance(SHORTEST);
            assert_eq!(ratios(), workers);
        }
    }

    #[test]
    fn a_runtime_is_let_go_with_who_watches_it() {
        let pipeline = Pipeline::for_tests(&[]);
        let watched = Watched::new(pipeline);
        let of_runtime = Arc::new(());
        let held = Arc::clone(&of_runtime);
        let runtime = Builder::new_current_thread()
            .on_thread_park(move || drop(Arc::clone(&held)))
            .build();
        let runtime = runtime.unwrap();
        runtime.block_on(async { watched.watch_current() });
        assert!(told(pipeline, "orderscope.tokio.workers").is_some());
        drop(runtime);
        assert_eq!(Arc::strong_count(&of_runtime), 2);
        drop(watched);
        assert_eq!(Arc::strong_count(&of_runtime), 1);
    }
}
