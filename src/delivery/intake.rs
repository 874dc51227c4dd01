//! The worker's side of the hand-off: stages, then every destination that wants the record.

use super::{
    Entry, LedgerRow, Stage,
    handoff::Held,
    losses::Losses,
    outlet::{Orders, Outlet},
};
use crate::{
    clock::Clock,
    delivery::Handoff,
    mutation::{self, Mutation},
    records::{Fields, Limits, Record, Signal},
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError},
    time::Duration,
};
use tokio::{sync::watch, time};

/// How often the worker looks when nothing calls it.
const TICK: Duration = Duration::from_millis(200);
/// And when much comes: nobody has to call it then.
const SHORT_TICK: Duration = Duration::from_millis(5);

/// Rounds in which not much came, after which a burst is over: some seconds.
const CALM_AFTER: u32 = 50;

/// All destinations of one telemetry, and what leads to them.
pub(crate) struct Delivery {
    handoff: &'static Handoff,
    outlets: Vec<Arc<Outlet>>,
    /// The rows of what others deliver.
    others: OnceLock<RowOfOther>,
    work: Mutex<Work>,
    /// What gives records their time of the day.
    clock: Clock,
    /// What delivery itself goes by.
    delays: Clock,
    limits: Limits,
    /// The number of the last flush that was asked for.
    asked: watch::Sender<u64>,
    /// The number of the flush up to which the hand-off has been emptied.
    emptied: watch::Sender<u64>,
    is_last: watch::Sender<bool>,
}

/// Reads the row of something that is delivered by others than the outlets.
pub(crate) type RowOfOther = Box<dyn Fn() -> LedgerRow + Send + Sync>;

/// What the intake uses again and again.
#[derive(Default)]
struct Work {
    stages: Vec<Box<dyn Stage>>,
    taken: Held,
    encoded: Vec<u8>,
    staged: Vec<u8>,
    /// Since much came at once.
    calm_rounds: u32,
}

impl Delivery {
    pub(crate) fn new(
        handoff: &'static Handoff,
        outlets: Vec<Outlet>,
        stages: Vec<Box<dyn Stage>>,
        clock: Clock,
        delays: Clock,
        limits: Limits,
    ) -> Self {
        Self {
            handoff,
            outlets: outlets.into_iter().map(Arc::new).collect(),
            others: OnceLock::new(),
            work: Mutex::new(Work {
                stages,
                ..Work::default()
            }),
            clock,
            delays,
            limits,
            asked: watch::Sender::new(0),
            emptied: watch::Sender::new(0),
            is_last: watch::Sender::new(false),
        }
    }

    pub(crate) fn outlets(&self) -> &[Arc<Outlet>] {
        &self.outlets
    }

    /// Tells of something more in the ledger, once.
    pub(crate) fn tell_of(&self, other: RowOfOther) {
        let _ = self.others.set(other);
    }

    /// What became of everything, by destination and signal.
    pub(crate) fn rows(&self) -> Vec<LedgerRow> {
        let rows = self.outlets.iter().map(|outlet| outlet.rows(self.handoff));
        let others = self.others.get().map(|row| row());
        rows.flatten().chain(others).collect()
    }

    /// The tenant that empties the hand-off, until it is told to stop and has emptied it for the
    /// last time.
    pub(crate) async fn run_intake(&self, mut stop: watch::Receiver<bool>) {
        let mut losses = Losses::default();
        let mut was_full = false;
        loop {
            let (is_last, asked) = (*stop.borrow(), *self.asked.borrow());
            if is_last {
                self.handoff.close();
            }
            // As long as much comes, the worker comes of itself.
            let is_awaited = !was_full;
            if is_awaited {
                self.handoff.await_filling();
            }
            was_full = self.empty();
            self.emptied.send_replace(asked);
            if is_last {
                self.is_last.send_replace(true);
                return;
            }
            losses.tell(|| self.rows(), self.delays.now());
            let mut flushes = self.asked.subscribe();
            if *flushes.borrow_and_update() > asked || !is_awaited && !was_full {
                continue;
            }
            let tick = if was_full { SHORT_TICK } else { TICK };
            tokio::select! {
                () = self.handoff.filled(), if is_awaited => {}
                () = time::sleep(tick) => {}
                _ = flushes.changed() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// The tenant that sends one signal to one destination.
    pub(crate) async fn run_outlet(&self, outlet: Arc<Outlet>, signal: Signal) {
        let orders = Orders {
            emptied: self.emptied.subscribe(),
            is_last: self.is_last.subscribe(),
        };
        outlet.run(signal, orders).await;
    }

    /// Sends all that was recorded before, at most `within`. Whether it came to its end.
    pub(crate) async fn flush(&self, within: Duration) -> bool {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        self.handoff.wake();
        let all = async {
            for outlet in &self.outlets {
                outlet.flushed(number).await;
            }
        };
        time::timeout(within, all).await.is_ok()
    }

    /// The end: what is left is counted as given up, by the reason that its time was over.
    pub(crate) fn close(&self) {
        self.handoff.close();
        for outlet in &self.outlets {
            outlet.close();
        }
        match self.work.try_lock() {
            Ok(work) => _ = self.empty_with(work),
            Err(TryLockError::Poisoned(work)) => _ = self.empty_with(work.into_inner()),
            // Held by the worker, which then counts what it has in hand, and looks once more: it is
            // not waited for.
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Whether so much had come that it is to be done again soon.
    fn empty(&self) -> bool {
        let was_closed = self.are_closed();
        let was_full = self.empty_once();
        if !was_closed && self.are_closed() {
            // What came into shards that had been looked at is nobody else's.
            self.empty_once();
        }
        was_full
    }

    fn empty_once(&self) -> bool {
        if mutation::is_on(Mutation::SharedFate) && self.outlets.iter().any(|o| o.is_paused()) {
            return false;
        }
        self.empty_with(self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn empty_with(&self, mut work: MutexGuard<'_, Work>) -> bool {
        let Work {
            stages,
            taken,
            encoded,
            staged,
            calm_rounds,
        } = &mut *work;
        let anchor = self.clock.anchor();
        let now = self.delays.now();
        let mut has_any = false;
        let was_full = self.handoff.take(taken, |held| {
            has_any = true;
            for (record, fields) in held.iter() {
                let fields = match self.handoff.is_closed() && self.are_closed() {
                    // Given up by all: nobody will read what a stage adds.
                    true => fields,
                    false => stage(stages, record, fields, self.limits, staged),
                };
                let entry = Entry {
                    record,
                    fields,
                    anchor: &anchor,
                };
                for outlet in &self.outlets {
                    outlet.accept(entry, now, encoded);
                }
            }
        });
        if has_any {
            self.outlets.iter().for_each(|outlet| outlet.announce());
        }
        *calm_rounds = match was_full {
            true => 0,
            false => calm_rounds.saturating_add(1),
        };
        if *calm_rounds == CALM_AFTER {
            self.handoff.shrink(taken);
        }
        was_full
    }

    fn are_closed(&self) -> bool {
        self.outlets.iter().all(|outlet| outlet.is_closed())
    }
}

/// The fields as the stages leave them; `staged` is memory for what they add.
fn stage<'a>(
    stages: &mut [Box<dyn Stage>],
    record: &Record,
    fields: &'a [u8],
    limits: Limits,
    staged: &'a mut Vec<u8>,
) -> &'a [u8] {
    if !matches!(record, Record::Error(..)) {
        return fields;
    }
    staged.clear();
    staged.extend_from_slice(fields);
    let mut more = Fields::new(limits, std::mem::take(staged));
    for stage in stages {
        // One that panics adds nothing more; the record goes on without.
        let _ = catch_unwind(AssertUnwindSafe(|| stage.apply(record, &mut more)));
    }
    *staged = more.into_bytes();
    staged
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("outlets", &self.outlets)
            .finish_non_exhaustive()
    }
}
