//! Follows units over time: tells their events to the state, and makes turns of what is due.

use super::{
    Change, Changes, Found, Id, Left, MOST_DUE, Shard, SharedState, Space, Taken, Told, Unavailable,
};
use crate::mutation::{self, Mutation};
use serde::{Serialize, de::DeserializeOwned};

/// What one unit's events come to.
pub(crate) trait Machine: Serialize + DeserializeOwned + Default + Send {
    type Rules: Send + Sync;
    /// Ordered as they are applied.
    type Event: Serialize + DeserializeOwned + Ord + Send + Sync;
    type Turn: Send;

    fn at(event: &Self::Event) -> u64;

    /// Whether something is under way that is counted as open.
    fn is_open(&self) -> bool;

    /// The last moment at which an event would find it as it is; `None`: it is as one that nothing is
    /// known of.
    fn end(&self, rules: &Self::Rules) -> Option<u64>;

    /// Ends what ended before `at`.
    fn expire(&mut self, rules: &Self::Rules, at: u64, tell: &mut dyn FnMut(Self::Turn));

    /// Applies an event; nothing of what it finds ended before it.
    fn apply(&mut self, rules: &Self::Rules, event: Self::Event, tell: &mut dyn FnMut(Self::Turn));
}

/// All units that are followed in one way.
#[derive(Debug)]
pub(crate) struct Follower<M: Machine> {
    space: Space,
    rules: M::Rules,
    lateness: u64,
    /// Of each shard that this one looks after.
    open: Vec<u64>,
    /// Until when others look after each shard, as far as is known.
    others: Vec<u64>,
    /// The shard to go on with.
    next: u16,
    token: u64,
    /// Of what is being told.
    telling: u64,
    /// What was to be put in place, and has not been answered.
    unanswered: Option<Unanswered<M::Turn>>,
    /// Units that could not be read.
    garbled: u64,
}

#[derive(Debug)]
struct Unanswered<T> {
    shard: u16,
    changes: Changes,
    /// Of each unit.
    turns: Vec<Vec<T>>,
}

impl<M: Machine> Follower<M> {
    pub(crate) fn new(space: Space, rules: M::Rules, lateness: u64) -> Self {
        Self {
            space,
            rules,
            lateness,
            open: Vec::new(),
            others: Vec::new(),
            next: 0,
            token: 0,
            telling: 0,
            unanswered: None,
            garbled: 0,
        }
    }

    /// Units that are open in the shards that this one looks after: over all that follow them, each
    /// once.
    pub(crate) fn open(&self) -> u64 {
        self.open.iter().sum()
    }

    /// For when nobody answers: somebody else may look after the shards by now.
    pub(crate) fn looks_after_none(&mut self) {
        self.open.fill(0);
    }

    /// Microseconds for which events may be late.
    pub(crate) fn lateness(&self) -> u64 {
        self.lateness
    }

    /// Units that held what no machine of this kind writes, and were given up.
    pub(crate) fn garbled(&self) -> u64 {
        self.garbled
    }

    /// Tells events, and says what became of each. Those that were not answered stay in `told`, to be
    /// told again before any other.
    pub(crate) async fn tell(
        &mut self,
        state: &dyn SharedState,
        told: &mut Vec<(Id, M::Event)>,
        mut became: impl FnMut(Taken),
    ) -> Result<(), Unavailable> {
        let shards = state.shards();
        told.sort_by_key(|(unit, _)| unit.shard(shards));
        let mut answer = Ok(());
        while let Some(&(first, _)) = told.first() {
            let at = first.shard(shards);
            let of_one = told.partition_point(|(unit, _)| unit.shard(shards) <= at);
            let of_one = of_one.min(MOST_DUE);
            let encoded: Vec<_> = told[..of_one]
                .iter()
                .map(|told| self.encoded(told))
                .collect();
            let token = self.telling;
            match state.append(self.shard(at), token, &encoded).await {
                Ok(taken) => taken.into_iter().for_each(&mut became),
                // It will be no other the next time, and the other shards are none the worse.
                Err(wrong @ Unavailable::WrongType) => {
                    (0..of_one).for_each(|_| became(Taken::Impossible));
                    answer = Err(wrong);
                }
                Err(unavailable) => return Err(unavailable),
            }
            told.drain(..of_one);
            self.telling += 1;
        }
        answer
    }

    fn encoded(&self, (unit, event): &(Id, M::Event)) -> Told {
        let at = M::at(event);
        Told {
            unit: *unit,
            at,
            due: self.due(at),
            event: postcard::to_allocvec(event).unwrap_or_default(),
        }
    }

    /// The first moment at which what happened at `at` is older than the lateness.
    fn due(&self, at: u64) -> u64 {
        at.saturating_add(self.lateness).saturating_add(1)
    }

    fn shard(&self, at: u16) -> Shard<'_> {
        Shard {
            space: &self.space,
            at,
        }
    }

    /// Applies what is older than the lateness by now, and ends what can go on no more.
    #[cfg(test)]
    pub(crate) async fn settle(
        &mut self,
        state: &dyn SharedState,
        now: u64,
        tell: impl FnMut(M::Turn) + Send,
    ) -> Result<(), Unavailable> {
        self.settle_some(state, now, tell, &|| false).await
    }

    /// As `settle`, until it is enough: then the next time it goes on where it stopped.
    pub(crate) async fn settle_some(
        &mut self,
        state: &dyn SharedState,
        now: u64,
        mut tell: impl FnMut(M::Turn) + Send,
        is_enough: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), Unavailable> {
        let shards = state.shards();
        self.open.resize(shards.into(), 0);
        self.others.resize(shards.into(), 0);
        if mutation::is_on(Mutation::UnansweredForgotten) {
            self.unanswered = None;
        }
        self.commit(state, &mut tell).await?;
        let mut answer = Ok(());
        for _ in 0..shards {
            let shard = self.next;
            self.next = (shard + 1) % shards.max(1);
            match self.settle_shard(state, shard, now, &mut tell).await {
                Err(wrong @ Unavailable::WrongType) => answer = Err(wrong),
                settled => settled?,
            }
            if is_enough() {
                break;
            }
        }
        answer
    }

    async fn settle_shard(
        &mut self,
        state: &dyn SharedState,
        shard: u16,
        now: u64,
        tell: &mut (impl FnMut(M::Turn) + Send),
    ) -> Result<(), Unavailable> {
        let settled = now.saturating_sub(self.lateness);
        let at = usize::from(shard);
        if self.others.get(at).is_some_and(|until| now < *until) {
            return Ok(());
        }
        loop {
            let due = state.due(self.shard(shard), settled, now).await?;
            if let Some(open) = self.open.get_mut(at) {
                *open = due.open;
            }
            if let Some(until) = self.others.get_mut(at) {
                *until = now.saturating_add(due.others_for);
            }
            self.garbled += due.garbled;
            self.advance(shard, due.settled, due.units);
            self.commit(state, tell).await?;
            if !due.is_cut {
                return Ok(());
            }
        }
    }

    fn advance(&mut self, shard: u16, settled: u64, units: Vec<Found>) {
        if units.is_empty() {
            return;
        }
        let (mut changes, mut turns) = (Vec::new(), Vec::new());
        for found in units {
            let read = read::<M>(&found.bytes);
            self.garbled += u64::from(read.is_none());
            let (machine, waiting) = read.unwrap_or_default();
            let mut of_unit = Vec::new();
            let mut tell = |turn| of_unit.push(turn);
            let (left, opened) = self.advanced(machine, waiting, settled, &mut tell);
            changes.push(Change {
                unit: found.unit,
                version: found.version,
                left,
                opened,
            });
            turns.push(of_unit);
        }
        self.token += 1;
        let token = self.token;
        self.unanswered = Some(Unanswered {
            shard,
            changes: Changes { token, changes },
            turns,
        });
    }

    /// What is left of a unit, and how many more of it are open.
    fn advanced(
        &self,
        mut machine: M,
        mut waiting: Vec<M::Event>,
        settled: u64,
        tell: &mut dyn FnMut(M::Turn),
    ) -> (Option<Left>, i8) {
        let was_open = machine.is_open();
        waiting.sort();
        // Told again, since nobody answered: once.
        waiting.dedup_by(|later, earlier| later == earlier);
        let later = waiting.split_off(waiting.partition_point(|event| M::at(event) < settled));
        for event in waiting {
            machine.expire(&self.rules, M::at(&event), tell);
            machine.apply(&self.rules, event, tell);
        }
        machine.expire(&self.rules, settled, tell);
        let opened = i8::from(machine.is_open()) - i8::from(was_open);
        let end = machine.end(&self.rules);
        let next = later.first().map(M::at).into_iter().chain(end).min();
        let left = next.map(|next| Left {
            bytes: written(end.map(|_| &machine), &later),
            due: self.due(next),
        });
        (left, opened)
    }

    async fn commit(
        &mut self,
        state: &dyn SharedState,
        tell: &mut (impl FnMut(M::Turn) + Send),
    ) -> Result<(), Unavailable> {
        let Some(unanswered) = &self.unanswered else {
            return Ok(());
        };
        let shard = unanswered.shard;
        let done = state.commit(self.shard(shard), &unanswered.changes).await?;
        if let Some(open) = self.open.get_mut(usize::from(shard)) {
            *open = done.open;
        }
        let of_units = self.unanswered.take().into_iter().flat_map(|it| it.turns);
        for (turns, is_done) in of_units.zip(done.are_done) {
            if is_done {
                turns.into_iter().for_each(&mut *tell);
            }
        }
        Ok(())
    }
}

fn written<M: Machine>(machine: Option<&M>, waiting: &[M::Event]) -> Vec<u8> {
    // Never an error: it grows, and nothing of ours refuses to be serialised.
    let mut bytes = postcard::to_allocvec(&machine).unwrap_or_default();
    for event in waiting {
        bytes.extend(postcard::to_allocvec(event).unwrap_or_default());
    }
    bytes
}

/// `None`: no machine of this kind wrote it.
fn read<M: Machine>(bytes: &[u8]) -> Option<(M, Vec<M::Event>)> {
    let (machine, mut rest) = postcard::take_from_bytes::<Option<M>>(bytes).ok()?;
    let mut waiting = Vec::new();
    while !rest.is_empty() {
        let (event, after) = postcard::take_from_bytes(rest).ok()?;
        waiting.push(event);
        rest = after;
    }
    Some((machine.unwrap_or_default(), waiting))
}
