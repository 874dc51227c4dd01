//! Waiting for the worker from anywhere: on any executor or none, and never longer than was said.

use crate::{
    clock::Clock,
    fork::Lock,
    mutation::{self, Mutation},
};
use std::{
    future::{pending, poll_fn},
    mem,
    pin::pin,
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};
use tokio::{sync::oneshot, task, time};

/// Waits for `future`, at most `within`, whatever runtime this is awaited on. `None`: the time was
/// over first.
pub(crate) async fn at_most<T>(within: Duration, future: impl Future<Output = T>) -> Option<T> {
    if mutation::is_on(Mutation::BorrowedTimer) {
        return time::timeout(within, future).await.ok();
    }
    let mut future = pin!(future);
    let at_once = poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    });
    if let Some(done) = at_once.await {
        return Some(done);
    }
    if within.is_zero() {
        return None;
    }
    tokio::select! {
        biased;
        done = future => Some(done),
        () = deadline(within) => None,
    }
}

/// Something that is said once, and heard by all who wait for it or come later. Unlike tokio's
/// `watch` it asks nothing of the thread that waits, which may have lost its own storage.
#[derive(Debug)]
pub(crate) struct Said<T>(Lock<Hearing<T>>);

#[derive(Debug)]
struct Hearing<T> {
    said: Option<T>,
    waiting: Vec<oneshot::Sender<T>>,
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self(Lock::new(Hearing {
            said: None,
            waiting: Vec::new(),
        }))
    }
}

impl<T: Clone> Said<T> {
    /// What is said first stands.
    pub(crate) fn say(&self, what: T) {
        let Some(mut hearing) = self.0.hold() else {
            return;
        };
        if hearing.said.is_some() {
            return;
        }
        hearing.said = Some(what.clone());
        let waiting = mem::take(&mut hearing.waiting);
        drop(hearing);
        for waiting in waiting {
            // An error: it has given up.
            let _ = waiting.send(what.clone());
        }
    }

    pub(crate) fn heard(&self) -> Option<T> {
        self.0.hold()?.said.clone()
    }

    pub(crate) async fn hear(&self) -> T {
        let (tell, told) = oneshot::channel();
        if let Some(mut hearing) = self.0.hold() {
            if let Some(said) = &hearing.said {
                return said.clone();
            }
            hearing.waiting.retain(|waiting| !waiting.is_closed());
            hearing.waiting.push(tell);
        }
        match told.await {
            Ok(said) => said,
            // In a forked child nobody says anything.
            Err(_) => pending().await,
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
        // Without a thread to spare the worker's own clock has to do, or that of a blocked caller.
        Err(_) => pending().await,
    }
}

/// Blocks the calling thread until `future` is ready, at most `within`. It may be the thread of a
/// runtime, whose tasks then wait as well.
pub(crate) fn block_on<T>(within: Duration, future: impl Future<Output = T>) -> Option<T> {
    let clock = Clock::system();
    let until = clock.now().checked_add(within);
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    // A task of tokio's that has done much would be told to let others go first, for ever.
    let mut future = pin!(task::unconstrained(future));
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
        let left = until.map(|until| until.saturating_duration_since(clock.now()));
        if left.is_some_and(|left| left.is_zero()) {
            return None;
        }
        alarm.wait(left.unwrap_or(Duration::MAX));
    }
}

/// Wakes a thread, though it may be one whose own storage is gone already.
#[derive(Default)]
struct Alarm {
    rings: Mutex<bool>,
    rang: Condvar,
}

impl Alarm {
    /// Until it rings, at most `within`.
    fn wait(&self, within: Duration) {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.rang.wait_timeout_while(rings, within, |rings| !*rings);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rings.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rang.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_without_a_runtime_ends_by_what_comes_or_at_its_deadline() {
        let clock = Clock::system();
        let began = clock.now();
        let never = std::future::pending::<()>;
        let soon = Duration::from_millis(20);
        assert_eq!(block_on(Duration::MAX, at_most(soon, never())), Some(None));
        assert_eq!(block_on(soon, never()), None);
        assert_eq!(
            block_on(Duration::ZERO, at_most(Duration::MAX, never())),
            None
        );
        assert!(clock.now() - began >= 2 * soon);
        let (tell, told) = oneshot::channel();
        let teller = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            tell.send(7)
        });
        let heard = block_on(Duration::MAX, at_most(Duration::MAX, told));
        assert_eq!(heard, Some(Some(Ok(7))));
        assert_eq!(teller.join().unwrap(), Ok(()));
    }
}
