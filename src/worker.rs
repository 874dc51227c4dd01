//! The telemetry's own thread and runtime: the host's are never borrowed.
//!
//! Tenants are tasks that live as long as the worker; one that panics is counted and started
//! again, at most once a second.

mod waiting;

pub(crate) use waiting::{Said, at_most, block_on};

use crate::{
    fork::{self, Lock, Process},
    mutation::{self, Mutation},
};
use std::{
    cell::Cell,
    fmt, io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    runtime::{self, Handle},
    sync::{oneshot, watch},
    time,
};

/// Threads for what blocks beside a worker: the log file, the host's certificates.
const BLOCKING_THREADS: usize = 2;
/// What a wait may take beyond the time that the worker keeps itself.
pub(crate) const GRACE: Duration = Duration::from_millis(40);
/// What tenants that end last have, though the others took all the time there was.
const LAST_WORDS: Duration = Duration::from_millis(20);
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

/// Runs `job` on a thread of ours beside a worker's. `false`: there is none to be had.
pub(crate) fn spawn(job: impl FnOnce() + Send + 'static) -> bool {
    let thread = thread::Builder::new().name("orderscope-end".to_owned());
    let spawned = thread.spawn(|| {
        IS_OURS.set(true);
        job();
    });
    spawned.is_ok()
}

/// A thread named `orderscope` with a runtime of one thread.
///
/// A forked child has the runtime's memory without its thread, and shares its descriptors with the
/// parent: there nothing of it may be woken or dropped. Who owns one sees to that by
/// [`is_forked`](Self::is_forked); what is asked of it is answered as if it had ended.
pub(crate) struct Worker {
    process: Process,
    handle: Handle,
    stop: watch::Sender<bool>,
    /// As `stop`, for tenants that end when the others have.
    stop_last: watch::Sender<bool>,
    /// Handed over once: how long to wait for the tenants.
    ending: Lock<Option<oneshot::Sender<Duration>>>,
    /// Whether they had all ended in time, once that is known.
    ended: Arc<Said<bool>>,
    tenants: watch::Sender<usize>,
    last_tenants: watch::Sender<usize>,
    restarts: Arc<AtomicU64>,
}

impl Worker {
    #[cfg(test)]
    pub(crate) fn start() -> io::Result<Self> {
        Self::with_room_for(0)
    }

    /// `hangs`: how many may block a thread and never give it back. Each has one beside the others.
    ///
    /// # Errors
    /// The operating system refuses a thread, the runtime's descriptors, or to tell of forks.
    pub(crate) fn with_room_for(hangs: usize) -> io::Result<Self> {
        notice_forks()?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS + hangs)
            .on_thread_start(|| IS_OURS.set(true))
            .build()?;
        let handle = runtime.handle().clone();
        let (ending, told) = oneshot::channel();
        let ended = Arc::<Said<bool>>::default();
        let (stop, stop_last) = (watch::Sender::new(false), watch::Sender::new(false));
        let (tenants, mut remaining) = watch::channel(0);
        let (last_tenants, mut last_remaining) = watch::channel(0);
        let (stopping, stopping_last, tell) = (stop.clone(), stop_last.clone(), ended.clone());
        thread::Builder::new()
            .name("orderscope".to_owned())
            .spawn(move || {
                IS_OURS.set(true);
                runtime.block_on(async move {
                    // An error: the worker was dropped without being stopped.
                    let Ok(within) = told.await else {
                        return;
                    };
                    let mut time_is_over = pin!(time::sleep(within));
                    stopping.send_replace(true);
                    let in_time = tokio::select! {
                        biased;
                        _ = remaining.wait_for(|tenants| *tenants == 0) => true,
                        () = &mut time_is_over => false,
                    };
                    stopping_last.send_replace(true);
                    let mut last_gone = pin!(last_remaining.wait_for(|tenants| *tenants == 0));
                    let last_in_time = in_time
                        && tokio::select! {
                            biased;
                            _ = &mut last_gone => true,
                            () = time_is_over => false,
                        };
                    if !last_in_time {
                        let _ = time::timeout(LAST_WORDS, last_gone).await;
                    }
                    tell.say(last_in_time);
                });
                // What is left of the tenants ends here, with their sockets; code of the host's
                // that blocks is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            process: Process::current(),
            handle,
            stop,
            stop_last,
            ending: Lock::new(Some(ending)),
            ended,
            tenants,
            last_tenants,
            restarts: Arc::default(),
        })
    }

    /// Whether the caller runs in a forked child of the process that has the worker's thread.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.process.is_forked()
    }

    /// Keeps a task running until it returns of itself or the worker stops. `make` is given what
    /// tells a tenant to come to its end.
    pub(crate) fn settle<F, T>(&self, make: F)
    where
        F: Fn(watch::Receiver<bool>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        self.keep(&self.stop, &self.tenants, make);
    }

    /// As [`settle`](Self::settle), for one that is needed until the others have come to their end.
    pub(crate) fn settle_to_the_last<F, T>(&self, make: F)
    where
        F: Fn(watch::Receiver<bool>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        self.keep(&self.stop_last, &self.last_tenants, make);
    }

    fn keep<F, T>(&self, stop: &watch::Sender<bool>, tenants: &watch::Sender<usize>, make: F)
    where
        F: Fn(watch::Receiver<bool>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let (stop, restarts) = (stop.clone(), Arc::clone(&self.restarts));
        let tenants = tenants.clone();
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
        match self.is_forked() {
            true => None,
            false => self.handle.spawn(async move { job() }).await.ok(),
        }
    }

    /// Has the worker wait for `job`, at most `within`, so that whoever awaits this lends it nothing
    /// but a waker. `None`: the time was over, the worker is gone, or the job panicked.
    pub(crate) async fn attend<T: Send + 'static>(
        &self,
        within: Duration,
        job: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        if self.is_forked() {
            return None;
        }
        let (mut answer, answered) = oneshot::channel();
        self.handle.spawn(async move {
            let done = tokio::select! {
                biased;
                // Nobody waits any more.
                () = answer.closed() => return,
                done = time::timeout(within, job) => done,
            };
            let _ = answer.send(done.ok());
        });
        // The thread may be busy, and late.
        let answered = at_most(within.saturating_add(GRACE), answered).await;
        answered?.ok().flatten()
    }

    /// How often a tenant was started again.
    pub(crate) fn restarts(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.restarts)
    }

    /// Tells the tenants to end, which then have `within`, and ends the thread. Only the first call
    /// has an effect.
    pub(crate) fn begin_to_stop(&self, within: Duration) {
        let ending = self.ending.hold().and_then(|mut ending| ending.take());
        if let Some(ending) = ending {
            // An error: the thread is gone, and says nothing.
            let _ = ending.send(within);
        }
    }

    /// Whether all tenants had ended in time; `None` as long as that is not known.
    pub(crate) fn has_ended(&self) -> Option<bool> {
        match self.is_forked() {
            true => Some(false),
            false => self.ended.heard(),
        }
    }

    /// Tells the tenants to end and waits for them, at most `within` and a little more: whether all
    /// had ended in time.
    pub(crate) async fn stop(&self, within: Duration) -> bool {
        self.begin_to_stop(within);
        at_most(within.saturating_add(GRACE), self.ended()).await == Some(true)
    }

    /// Waits until the worker has stopped: whether all tenants had ended in time.
    pub(crate) async fn ended(&self) -> bool {
        !self.is_forked() && self.ended.hear().await
    }
}

/// Has forks of this process counted in their children, from the first worker on. `vfork` and a bare
/// `clone` are not told of, but what follows those is `exec`.
#[cfg(unix)]
fn notice_forks() -> io::Result<()> {
    extern "C" fn in_the_child() {
        fork::count();
    }
    static IS_REGISTERED: Lock<bool> = Lock::of_the_program(false);
    if mutation::is_on(Mutation::ForksUnnoticed) {
        return Ok(());
    }
    // None: in a child, which was noticed by what is registered.
    if let Some(mut is_registered) = IS_REGISTERED.hold()
        && !*is_registered
    {
        // SAFETY: the handler may run in a child of any thread at any moment, where only what is
        // safe in a signal handler is: it adds to an atomic, takes no lock, allocates nothing and
        // cannot unwind. It is a function of this program and so is there as long as the process;
        // a shared library that holds us and is unloaded has its handlers taken off by the C
        // library. No handler is given for the other two places.
        #[expect(
            unsafe_code,
            reason = "nothing safe tells of a fork without a call a record"
        )]
        let refused = unsafe { libc::pthread_atfork(None, None, Some(in_the_child)) };
        if refused != 0 {
            return Err(io::Error::from_raw_os_error(refused));
        }
        *is_registered = true;
    }
    Ok(())
}

/// There is no fork.
#[cfg(not(unix))]
fn notice_forks() -> io::Result<()> {
    Ok(())
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{atomic::AtomicUsize, mpsc};
    use tokio::sync::Notify;

    /// For what comes, on a machine that also compiles.
    const PATIENCE: Duration = Duration::from_secs(60);

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
        assert!(block_on(worker.stop(PATIENCE)));
    }

    #[test]
    fn a_tenant_that_does_not_end_is_cut_off_at_the_deadline() {
        let worker = Worker::start().unwrap();
        worker.settle(|_| std::future::pending());
        assert!(!block_on(worker.stop(Duration::from_millis(50))));
        assert!(!block_on(worker.stop(Duration::ZERO)));
        // Both may have given up before a thread that is late.
        assert!(!block_on(worker.ended()));
        assert_eq!(block_on(worker.run(|| 1)), None);
    }

    #[test]
    fn the_deadline_holds_though_the_thread_itself_is_blocked() {
        let worker = Worker::start().unwrap();
        let (entered, has_entered) = mpsc::channel();
        let (blocks, is_over) = mpsc::channel::<()>();
        let is_over = Arc::new(Lock::new(is_over));
        worker.settle(move |_| {
            let (entered, is_over) = (entered.clone(), Arc::clone(&is_over));
            async move {
                let _ = entered.send(());
                let _ = is_over.hold().unwrap().recv_timeout(PATIENCE);
            }
        });
        has_entered.recv().unwrap();
        let clock = crate::clock::Clock::system();
        let began = clock.now();
        assert!(!block_on(worker.stop(Duration::from_millis(50))));
        assert!(clock.now() - began < PATIENCE / 3);
        drop(blocks);
    }

    #[test]
    fn a_stop_that_was_given_up_is_taken_up_by_the_next() {
        let worker = Worker::start().unwrap();
        let is_given_up = Arc::new(Notify::new());
        let waited_for = Arc::clone(&is_given_up);
        worker.settle(move |mut stop| {
            let waited_for = Arc::clone(&waited_for);
            async move {
                let _ = stop.wait_for(|stop| *stop).await;
                waited_for.notified().await;
            }
        });
        let (first, second) = block_on(async {
            let first = worker.stop(PATIENCE);
            let first = time::timeout(Duration::from_millis(20), first).await;
            is_given_up.notify_one();
            (first, worker.stop(PATIENCE).await)
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
