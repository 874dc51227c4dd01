//! The telemetry's own thread and runtime: the host's are never borrowed.
//!
//! Tenants are tasks that live as long as the worker; one that panics is counted and started
//! again, at most once a second.

use std::{
    cell::Cell,
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

thread_local! {
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is one of a worker's: what it logs speaks of telemetry, and must not
/// become telemetry again.
#[inline]
pub(crate) fn is_this_thread() -> bool {
    IS_OURS.try_with(Cell::get).unwrap_or_default()
}

/// A thread named `orderscope` with a runtime of one thread.
pub(crate) struct Worker {
    handle: Handle,
    stop: watch::Sender<bool>,
    /// Handed over once: how long to wait for the tenants.
    ending: Mutex<Option<oneshot::Sender<Duration>>>,
    /// Whether they had all ended in time, once that is known.
    ended: watch::Sender<Option<bool>>,
    tenants: watch::Sender<usize>,
    restarts: Arc<AtomicU64>,
}

impl Worker {
    /// # Errors
    /// The operating system refuses a thread or the runtime's descriptors.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .on_thread_start(|| IS_OURS.set(true))
            .build()?;
        let handle = runtime.handle().clone();
        let (ending, told) = oneshot::channel();
        let (ended, _) = watch::channel(None);
        let (tenants, mut remaining) = watch::channel(0);
        let (stop, _) = watch::channel(false);
        let (stopping, tell) = (stop.clone(), ended.clone());
        thread::Builder::new()
            .name("orderscope".to_owned())
            .spawn(move || {
                IS_OURS.set(true);
                runtime.block_on(async move {
                    // An error: the worker was dropped without being stopped.
                    let Ok(within) = told.await else {
                        return;
                    };
                    stopping.send_replace(true);
                    let all_gone = remaining.wait_for(|tenants| *tenants == 0);
                    let in_time = time::timeout(within, all_gone).await.is_ok();
                    tell.send_replace(Some(in_time));
                });
                // What is left of the tenants ends here, with their sockets; code of the host's
                // that blocks is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            stop,
            ending: Mutex::new(Some(ending)),
            ended,
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

    /// Tells the tenants to end and waits for them, at most `within`; then ends the thread. Whether
    /// all of them had ended by then. A later call waits for the end that an earlier one began,
    /// though that one may have been given up.
    pub(crate) async fn stop(&self, within: Duration) -> bool {
        let mut ended = self.ended.subscribe();
        let late = deadline(within.saturating_add(GRACE));
        let ending = self
            .ending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(ending) = ending {
            // An error: the thread is gone, and says nothing; the deadline ends the wait.
            let _ = ending.send(within);
        }
        tokio::select! {
            ended = ended.wait_for(Option::is_some) => ended.is_ok_and(|in_time| *in_time == Some(true)),
            () = late => false,
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
        assert!(block_on(worker.stop(Duration::from_secs(1))));
    }

    #[test]
    fn a_tenant_that_does_not_end_is_cut_off_at_the_deadline() {
        let worker = Worker::start().unwrap();
        worker.settle(|_| std::future::pending());
        assert!(!block_on(worker.stop(Duration::from_millis(50))));
        assert!(!block_on(worker.stop(Duration::ZERO)));
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
        assert!(!block_on(worker.stop(Duration::from_millis(50))));
        assert!(clock.now() - began < Duration::from_secs(1));
    }

    #[test]
    fn a_stop_that_was_given_up_is_taken_up_by_the_next() {
        let worker = Worker::start().unwrap();
        worker.settle(|mut stop| async move {
            let _ = stop.wait_for(|stop| *stop).await;
            time::sleep(Duration::from_millis(200)).await;
        });
        let (first, second) = block_on(async {
            let first = worker.stop(Duration::from_secs(5));
            let first = time::timeout(Duration::from_millis(20), first).await;
            (first, worker.stop(Duration::from_secs(5)).await)
        });
        assert!(first.is_err());
        assert!(second);
        assert!(block_on(worker.stop(Duration::ZERO)));
    }

    #[test]
    fn a_job_that_panics_takes_nobody_with_it() {
        let worker = Worker::start().unwrap();
        assert_eq!(block_on(worker.run(|| panic!("planted"))), None::<()>);
        assert_eq!(block_on(worker.run(|| 2)), Some(2));
    }
}
