//! What the collector has seen and kept, shared with the test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use orderscope::export::Signal;
use tokio::time::Instant;

use super::decoded::Carried;
use super::{Behaviour, Id};

/// A request whose head has come.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) when: Instant,
    /// When it was answered, or the sender went away; `None`: it is under way.
    pub(crate) ended: Option<Instant>,
    pub(crate) signal: Signal,
    /// Requests of the signal that were under way when it came.
    pub(crate) alongside: usize,
    /// Of its body as it was on the wire, as far as it came.
    pub(crate) bytes: usize,
    /// Known once the whole body has come.
    pub(crate) ids: Vec<Id>,
    /// Spans, log records or metrics.
    pub(crate) records: u64,
    /// What the counter `dishes.ordered` says, where metrics carry it.
    pub(crate) dishes: i64,
    /// Of the body of a flood, as far as it went.
    pub(crate) flooded: usize,
    pub(crate) answered: Answered,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Not, as far as is known: it is under way, or the sender went away.
    Not,
    Taken,
    /// All but these, by partial success.
    Partly {
        rejected: u64,
    },
    /// With this HTTP status, or number of a gRPC status: nothing was taken.
    Refused(u16),
    /// By a reset connection; `kept`: what the request said was taken all the same.
    Reset {
        kept: bool,
    },
    /// Taken, with an answer that is slow, endless or cut.
    Badly,
}

#[derive(Debug)]
pub(super) struct State(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    behaviour: Behaviour,
    script: VecDeque<Behaviour>,
    requests: Vec<Seen>,
    taken: BTreeMap<Id, u32>,
    connections: u64,
    chance: fastrand::Rng,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(Inner {
            behaviour: Behaviour::Healthy,
            script: VecDeque::new(),
            requests: Vec::new(),
            taken: BTreeMap::new(),
            connections: 0,
            chance: fastrand::Rng::with_seed(seed),
        }))
    }

    pub(super) fn set(&self, behaviour: Behaviour) {
        let mut inner = self.lock();
        inner.script.clear();
        inner.behaviour = match behaviour {
            Behaviour::Script(steps) => {
                inner.script = steps.into();
                Behaviour::Healthy
            }
            behaviour => behaviour,
        };
    }

    /// What becomes of the next connection.
    pub(super) fn connected(&self) -> Behaviour {
        let mut inner = self.lock();
        inner.connections += 1;
        inner.behaviour.clone()
    }

    /// What becomes of the next request.
    pub(super) fn asked(&self, signal: Signal) -> Behaviour {
        let mut inner = self.lock();
        let scripted = inner.script.pop_front();
        match scripted.unwrap_or_else(|| inner.behaviour.clone()) {
            Behaviour::Only(of, then) if of == signal => *then,
            Behaviour::Only(..) => Behaviour::Healthy,
            behaviour => behaviour,
        }
    }

    pub(super) fn flips(&self) -> bool {
        self.lock().chance.bool()
    }

    pub(super) fn take(&self, ids: &[Id]) {
        let mut inner = self.lock();
        for id in ids {
            *inner.taken.entry(*id).or_default() += 1;
        }
    }

    pub(super) fn requests(&self) -> Vec<Seen> {
        self.lock().requests.clone()
    }

    pub(super) fn taken(&self) -> BTreeMap<Id, u32> {
        self.lock().taken.clone()
    }

    pub(super) fn connections(&self) -> u64 {
        self.lock().connections
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

/// A request under way; it ends with this.
#[derive(Debug)]
pub(super) struct Visit {
    state: Arc<State>,
    number: usize,
}

impl Visit {
    pub(super) fn begin(state: &Arc<State>, signal: Signal) -> Self {
        let mut inner = state.lock();
        let is_beside = |seen: &&Seen| seen.signal == signal && seen.ended.is_none();
        let alongside = inner.requests.iter().rev().filter(is_beside).count();
        let number = inner.requests.len();
        inner.requests.push(Seen {
            when: Instant::now(),
            ended: None,
            signal,
            alongside,
            bytes: 0,
            ids: Vec::new(),
            records: 0,
            dishes: 0,
            flooded: 0,
            answered: Answered::Not,
        });
        drop(inner);
        let state = Arc::clone(state);
        Self { state, number }
    }

    pub(super) fn read(&self, bytes: usize) {
        self.seen(|seen| seen.bytes += bytes);
    }

    pub(super) fn carries(&self, carried: &Carried) {
        self.seen(|seen| {
            seen.ids.clone_from(&carried.ids);
            seen.records = carried.records;
            seen.dishes = carried.dishes;
        });
    }

    pub(super) fn floods(&self, bytes: usize) {
        self.seen(|seen| seen.flooded += bytes);
    }

    pub(super) fn answered(&self, answered: Answered) {
        self.seen(|seen| seen.answered = answered);
    }

    fn seen(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.state.lock().requests[self.number]);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.seen(|seen| seen.ended = Some(Instant::now()));
    }
}
