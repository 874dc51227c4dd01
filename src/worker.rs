//! The telemetry's own thread and runtime: the host's are never borrowed.
//!
//! Tenants are tasks that live as long as the worker; one that panics is counted and started
//! again, at most once a second.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};
use tokio::{
    runtime::{self, Handle},
    sync::{oneshot, watch},
    time,
};

/// Threads for code of the host's that may block, such as readiness checks.
const BLOCKING_THREADS: usize = 4;
/// What the thread may take beyond a deadline that it keeps itself.
const GRACE: Duration = Duration::from_millis(50);
/// The pause before a tenant that failed is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// A thread named `orderscope` with a runtime of one thread.
pub(crate) struct Worker {
    handle: Handle,
    stop: watch::Sender<bool>,
    /// Handed over once: how long to wait for the tenants, and whom to tell.
    ending: Mutex<Option<oneshot::Sender<Ending>>>,
    tenants: watch::Sender<usize>,
    restarts: Arc<AtomicU64>,
}

struct Ending {
    within: Duration,
    ended: oneshot::Sender<bool>,
}

impl Worker {
    /// # Errors
    /// The operating system refuses a thread or the runtime's descriptors.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()?;
        let handle = runtime.handle().clone();
        let (ending, told) = oneshot::channel::<Ending>();
        let (tenants, mut remaining) = watch::channel(0);
        let (stop, _) = watch::channel(false);
        let stopping = stop.clone();
        thread::Builder::new()
            .name("orderscope".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    // An error: the worker was dropped without being stopped.
                    let Ok(Ending { within, ended }) = told.await else {
                        return;
                    };
                    stopping.send_replace(true);
                    let all_gone = remaining.wait_for(|tenants| *tenants == 0);
                    let in_time = time::timeout(within, all_gone).await.is_ok();
                    // Nobody waits any more: nobody to tell.
                    let _ = ended.send(in_time);
                });
                // What is left of the tenants ends here, with their sockets; code of the host's
                // that blocks is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            stop,
            ending: Mutex::new(Some(ending)),
            tenants,
            restarts: Arc::default(),
        })
    }

    /// Keeps a task running until it returns of itself or the worker stops. `make` is given what
    /// tells a tenant to come to its end.
    pub(crate) fn settle<F, T>(&self, make: F)
    where
        F: Fn(watch::Receiver<bool>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let (stop, restarts) = (self.stop.clone(), Arc::clone(&self.restarts));
        let tenants = self.tenants.clone();
        tenants.send_modify(|tenants| *tenants += 1);
        self.handle.spawn(async move {
            while tokio::spawn(make(stop.subscribe())).await.is_err() && !*stop.borrow() {
                restarts.fetch_add(1, Ordering::Relaxed);
                time::sleep(RESTART_PAUSE).await;
            }
            tenants.send_modify(|tenants| *tenants -= 1);
        });
    }

    /// Runs a short job on the worker's thread; `None` when it panics or the worker is gone.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.handle.spawn(async move { job() }).await.ok()
    }

    /// How often a tenant was started again.
    pub(crate) fn restarts(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.restarts)
    }

    /// Tells the tenants to end and waits for them, at most `within`; then ends the thread.
    /// Whether all of them had ended by then; `None` when the worker had been stopped before.
    pub(crate) async fn stop(&self, within: Duration) -> Option<bool> {
        let ending = self
            .ending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let (ended, when_ended) = oneshot::channel();
        let late = deadline(within.saturating_add(GRACE));
        ending.send(Ending { within, ended }).ok()?;
        tokio::select! {
            in_time = when_ended => in_time.ok(),
            _ = late => Some(false),
        }
    }
}

/// Ends after `within`, whatever runtime it is awaited on, and however busy the worker is.
async fn deadline(within: Duration) {
    let (passed, when_passed) = oneshot::channel::<()>();
    let (_awaited, no_longer) = mpsc::channel::<()>();
    let timer = thread::Builder::new().name("orderscope-end".to_owned());
    let started = timer.spawn(move || {
        // An error either way: the time is over, or nobody waits any more.
        let _ = no_longer.recv_timeout(within);
        drop(passed);
    });
    match started {
        Ok(_) => {
            let _ = when_passed.await;
        }
        // Without a thread to spare the worker's own clock has to do.
        Err(_) => std::future::pending().await,
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn a_tenant_that_panics_is_counted_and_started_again() {
        let worker = Worker::start().unwrap();
        let starts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&starts);
        worker.settle(move |mut stop| {
            let start = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(start > 0, "the first start fails");
                let _ = stop.wait_for(|stop| *stop).await;
            }
        });
        while starts.load(Ordering::Relaxed) < 2 {
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(worker.restarts().load(Ordering::Relaxed), 1);
        assert_eq!(block_on(worker.stop(Duration::from_secs(1))), Some(true));
    }

    #[test]
    fn a_tenant_that_does_not_end_is_cut_off_at_the_deadline() {
        let worker = Worker::start().unwrap();
        worker.settle(|_| std::future::pending());
        let stopped = block_on(worker.stop(Duration::from_millis(50)));
        assert_eq!(stopped, Some(false));
        assert_eq!(block_on(worker.stop(Duration::ZERO)), None);
        assert_eq!(block_on(worker.run(|| 1)), None);
    }

    #[test]
    fn the_deadline_holds_though_the_thread_itself_is_blocked() {
        let worker = Worker::start().unwrap();
        let (entered, has_entered) = mpsc::channel();
        worker.settle(move |_| {
            let entered = entered.clone();
            async move {
                let _ = entered.send(());
                thread::sleep(Duration::from_secs(2));
            }
        });
        has_entered.recv().unwrap();
        let clock = crate::clock::Clock::system();
        let began = clock.now();
        assert_eq!(
            block_on(worker.stop(Duration::from_millis(50))),
            Some(false)
        );
        assert!(clock.now() - began < Duration::from_secs(1));
    }

    #[test]
    fn a_job_that_panics_takes_nobody_with_it() {
        let worker = Worker::start().unwrap();
        assert_eq!(block_on(worker.run(|| panic!("planted"))), None::<()>);
        assert_eq!(block_on(worker.run(|| 2)), Some(2));
    }
}
