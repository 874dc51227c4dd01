//! What the definitions say, written down without regard to cost: a whole history at once, each
//! answer found by looking at all of it again. The machine is held against it.

use super::{
    Attempts, Follower, Happening, Id, Memory, Outcome, Rules, SharedState, Space, Taken, Turn,
    What,
};
use crate::catalog::funnel::Reentry;
use proptest::prelude::*;
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// What a history comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    opened: u64,
    reached: Vec<u64>,
    /// By outcome and last step.
    closed: Vec<(&'static str, u8)>,
    pub(super) open: u64,
}

impl Counts {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            reached: vec![0; rules.steps.into()],
            ..Self::default()
        }
    }

    pub(super) fn tell(&mut self, turn: Turn) {
        match turn {
            Turn::Opened => self.opened += 1,
            Turn::Reached { step, .. } => self.reached[usize::from(step)] += 1,
            Turn::Closed { outcome, last, .. } => self.close(outcome, last),
        }
    }

    /// Those of both.
    pub(super) fn add(&mut self, others: &Self) {
        self.opened += others.opened;
        self.open += others.open;
        for (mine, theirs) in self.reached.iter_mut().zip(&others.reached) {
            *mine += theirs;
        }
        self.closed.extend(&others.closed);
        self.closed.sort_unstable();
    }

    fn close(&mut self, outcome: Outcome, last: u8) {
        let word = match outcome {
            Outcome::Converted => "converted",
            Outcome::Abandoned => "abandoned",
            Outcome::Excluded => "excluded",
        };
        self.closed.push((word, last));
        self.closed.sort_unstable();
    }
}

fn is_step(happening: &Happening, step: u8) -> bool {
    matches!(happening.what, What::Step(steps) if steps & (1 << step) != 0)
}

/// How many steps a way has come to that began with `history[0]`, and with which event it came to the
/// last of all.
fn way(rules: &Rules, history: &[Happening]) -> (u8, Option<usize>) {
    let end = history[0].at + rules.window;
    let mut reached = 1;
    for (index, happening) in history.iter().enumerate().skip(1) {
        if happening.at <= end && is_step(happening, reached) {
            reached += 1;
            if reached == rules.steps {
                return (reached, Some(index));
            }
        }
    }
    (reached, None)
}

/// How an attempt ends that begins with `history[0]`, when it is known to have been `settled` up to
/// some time: its outcome, how far it came, and how many events it takes along. No outcome: it is
/// open.
fn attempt(rules: &Rules, history: &[Happening], settled: u64) -> (Option<Outcome>, u8, usize) {
    // Every first step that counts is a way of its own; which count, the mode says.
    let mut begun = vec![0];
    let mut furthest = 1;
    for index in 1..=history.len() {
        let at = history.get(index).map_or(settled, |happening| happening.at);
        let alive = |from: &usize| history[*from].at + rules.window >= at;
        if !begun.iter().any(alive) {
            return (Some(Outcome::Abandoned), furthest, index);
        }
        let Some(happening) = history.get(index) else {
            break;
        };
        if happening.what == What::Exclusion {
            return (Some(Outcome::Excluded), furthest, index + 1);
        }
        let so_far = |from: usize| way(rules, &history[from..=index]).0;
        let before = |from: usize| way(rules, &history[from..index]).0;
        let has_moved = begun.iter().any(|from| so_far(*from) > before(*from));
        furthest = furthest.max(begun.iter().map(|from| so_far(*from)).max().unwrap());
        if furthest == rules.steps {
            return (Some(Outcome::Converted), furthest, index + 1);
        }
        if is_step(happening, 0) {
            match rules.reentry {
                Reentry::FirstEntry => {}
                Reentry::LatestEntry if has_moved || so_far(begun[0]) > 1 => {}
                Reentry::LatestEntry => begun = vec![index],
                Reentry::LongestPath => begun.push(index),
            }
        }
    }
    (None, furthest, history.len())
}

pub(super) fn by_the_book(rules: &Rules, history: &[Happening], now: u64) -> Counts {
    let settled = now.saturating_sub(LATENESS);
    let mut history: Vec<_> = history.to_vec();
    history.sort();
    history.retain(|happening| happening.at < settled);
    let mut counts = Counts::new(rules);
    let mut rest = &history[..];
    while let Some(first) = rest.first() {
        if !is_step(first, 0) {
            rest = &rest[1..];
            continue;
        }
        let (outcome, reached, taken) = attempt(rules, rest, settled);
        counts.opened += 1;
        for step in 0..reached {
            counts.reached[usize::from(step)] += 1;
        }
        match outcome {
            Some(outcome) => counts.close(outcome, reached - 1),
            None => counts.open += 1,
        }
        rest = &rest[taken..];
    }
    counts
}

pub(super) const LATENESS: u64 = 10;

pub(super) fn rules(steps: u8, window: u64, reentry: Reentry) -> Rules {
    Rules {
        steps,
        window,
        reentry,
    }
}

fn at(at: u64, what: What) -> Happening {
    let id = Id::from(u128::from(at));
    Happening { at, what, id }
}

const A: What = What::Step(1);
const B: What = What::Step(2);

/// Units that are followed in a state, by one process.
struct Followed<'a> {
    state: &'a dyn SharedState,
    follower: Follower<Attempts>,
}

impl<'a> Followed<'a> {
    fn new(state: &'a dyn SharedState, rules: Rules, most_units: usize) -> Self {
        let space = Space {
            name: "funnel:any".into(),
            most_units,
            most_bytes: usize::MAX,
            keep: 1_000_000,
        };
        Self {
            state,
            follower: Follower::new(space, rules, LATENESS),
        }
    }

    fn tell(&mut self, unit: Id, happening: Happening) -> Taken {
        let mut taken = Vec::new();
        let mut told = vec![(unit, happening)];
        let telling = self
            .follower
            .tell(self.state, &mut told, |became| taken.push(became));
        at_once(telling).unwrap();
        assert!(told.is_empty() && taken.len() == 1);
        taken.remove(0)
    }

    fn settle(&mut self, now: u64, tell: impl FnMut(Turn) + Send) {
        at_once(self.follower.settle(self.state, now, tell)).unwrap();
    }
}

fn at_once<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a memory answers at once"),
    }
}

/// Counts by the machine, told everything at once and asked at `now`.
fn by_the_machine(rules: &Rules, history: &[Happening], now: u64) -> Counts {
    let mut counts = Counts::new(rules);
    let memory = Memory::default();
    let mut followed = Followed::new(&memory, *rules, 10);
    for happening in history {
        followed.tell(Id::from(7), *happening);
    }
    followed.settle(now, |turn| counts.tell(turn));
    counts.open = followed.follower.open();
    counts
}

#[track_caller]
fn assert_counts(
    reentry: Reentry,
    history: &[(u64, What)],
    [opened, converted, abandoned]: [usize; 3],
) {
    let rules = rules(2, 60, reentry);
    let history: Vec<_> = history
        .iter()
        .map(|(time, what)| at(*time, *what))
        .collect();
    for counts in [
        by_the_book(&rules, &history, 1_000),
        by_the_machine(&rules, &history, 1_000),
    ] {
        let of = |outcome| counts.closed.iter().filter(|(o, _)| *o == outcome).count();
        let found = [counts.opened as usize, of("converted"), of("abandoned")];
        assert_eq!(
            found,
            [opened, converted, abandoned],
            "{reentry:?} {counts:?}"
        );
        assert_eq!(counts.open, 0);
    }
}

#[test]
fn the_divergence_vector_has_its_three_answers() {
    let history = [(0, A), (50, A), (70, B)];
    assert_counts(Reentry::FirstEntry, &history, [1, 0, 1]);
    assert_counts(Reentry::LatestEntry, &history, [1, 1, 0]);
    assert_counts(Reentry::LongestPath, &history, [1, 1, 0]);
}

#[test]
fn a_step_at_the_very_end_of_the_window_counts_and_one_after_it_does_not() {
    for reentry in [
        Reentry::FirstEntry,
        Reentry::LatestEntry,
        Reentry::LongestPath,
    ] {
        assert_counts(reentry, &[(5, A), (65, B)], [1, 1, 0]);
        assert_counts(reentry, &[(5, A), (66, B)], [1, 0, 1]);
        assert_counts(reentry, &[(5, A), (5, B)], [1, 1, 0]);
        assert_counts(reentry, &[(5, B), (6, A)], [1, 0, 1]);
    }
}

#[test]
fn one_event_is_one_step_though_two_are_of_its_name() {
    let twice = What::Step(0b11);
    for reentry in [
        Reentry::FirstEntry,
        Reentry::LatestEntry,
        Reentry::LongestPath,
    ] {
        assert_counts(reentry, &[(5, twice)], [1, 0, 1]);
        assert_counts(reentry, &[(5, twice), (9, twice)], [1, 1, 0]);
    }
}

/// Events that are told in an order and at moments of their own.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// With how long each is under way, no longer than the lateness.
    pub(super) happenings: Vec<(Happening, u64)>,
    pub(super) now: u64,
}

pub(super) fn any_reentry() -> impl Strategy<Value = Reentry> {
    prop_oneof![
        Just(Reentry::FirstEntry),
        Just(Reentry::LatestEntry),
        Just(Reentry::LongestPath),
    ]
}

pub(super) fn any_history() -> impl Strategy<Value = History> {
    let what = prop_oneof![
        12 => (0_u8..4).prop_map(|step| What::Step(1 << step)),
        2 => (1_u16..16).prop_map(What::Step),
        1 => Just(What::Exclusion),
    ];
    let happening = (0_u64..120, what, 0..=LATENESS);
    let happenings = proptest::collection::vec(happening, 0..14);
    (happenings, 0_u64..200).prop_map(|(happenings, now)| History {
        happenings: happenings
            .into_iter()
            .enumerate()
            .map(|(id, (at, what, delay))| {
                let id = Id::from(id as u128);
                (Happening { at, what, id }, delay)
            })
            .collect(),
        now: now + 20,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_history_comes_to_what_the_definitions_say(
        history in any_history(),
        steps in 2_u8..=4,
        window in 1_u64..60,
        reentry in any_reentry(),
    ) {
        let rules = rules(steps, window, reentry);
        let mut told: Vec<_> = history.happenings.clone();
        told.retain(|(happening, delay)| happening.at + delay <= history.now);
        told.sort_by_key(|(happening, delay)| happening.at + delay);
        let memory = Memory::default();
        let mut followed = Followed::new(&memory, rules, 10);
        let mut counts = Counts::new(&rules);
        for (happening, delay) in &told {
            let now = happening.at + delay;
            prop_assert_eq!(followed.tell(Id::from(7), *happening), Taken::InTime);
            followed.settle(now, |turn| counts.tell(turn));
        }
        followed.settle(history.now, |turn| counts.tell(turn));
        counts.open = followed.follower.open();
        let told: Vec<_> = told.into_iter().map(|(happening, _)| happening).collect();
        prop_assert_eq!(counts, by_the_book(&rules, &told, history.now));
    }
}

#[test]
fn what_comes_too_late_is_said_to_and_changes_nothing() {
    let memory = Memory::default();
    let mut followed = Followed::new(&memory, rules(2, 60, Reentry::default()), 10);
    followed.settle(110, |_| ());
    assert_eq!(followed.tell(Id::from(7), at(100, A)), Taken::InTime);
    let mut turns = Vec::new();
    followed.settle(111, |turn| turns.push(turn));
    assert_eq!(followed.tell(Id::from(7), at(100, B)), Taken::Late);
    followed.settle(170, |turn| turns.push(turn));
    assert_eq!(turns.len(), 2, "{turns:?}");
    followed.settle(171, |turn| turns.push(turn));
    let closed = Turn::Closed {
        outcome: Outcome::Abandoned,
        last: 0,
        lasted: None,
    };
    assert_eq!(turns[2..], [closed]);
    assert_eq!(followed.follower.open(), 0);
}

#[test]
fn units_are_bounded_and_leave_no_trace_when_they_are_done() {
    let memory = Memory::default();
    let mut followed = Followed::new(&memory, rules(2, 60, Reentry::default()), 100);
    let taken =
        (0_u128..150).filter(|unit| followed.tell(Id::from(*unit), at(5, A)) == Taken::InTime);
    assert_eq!(taken.count(), 100);
    assert_eq!(
        followed.tell(Id::from(7), at(6, B)),
        Taken::InTime,
        "one that is known"
    );
    assert_eq!(followed.tell(Id::from(120), at(6, B)), Taken::Full);
    followed.settle(20, |_| ());
    assert_eq!(followed.follower.open(), 99);
    followed.settle(200, |_| ());
    assert_eq!(followed.follower.open(), 0);
    assert_eq!(followed.tell(Id::from(120), at(201, A)), Taken::InTime);
}

#[test]
fn an_event_that_is_told_again_while_it_waits_is_told_once() {
    let memory = Memory::default();
    let mut followed = Followed::new(&memory, rules(2, 60, Reentry::LongestPath), 10);
    let twice = What::Step(0b11);
    for _ in 0..2 {
        followed.tell(Id::from(7), at(5, twice));
    }
    let mut turns = Vec::new();
    followed.settle(100, |turn| turns.push(turn));
    assert_eq!(turns.len(), 3, "it is not both steps: {turns:?}");
}

#[test]
fn events_of_one_unit_are_bounded_and_what_no_machine_wrote_is_given_up_and_counted() {
    let memory = Memory::default();
    let mut followed = Followed::new(&memory, rules(2, 60, Reentry::default()), 10);
    let taken = (0..5_000).filter(|id| {
        let id = Id::from(*id);
        let (at, what) = (5, A);
        followed.tell(Id::from(7), Happening { at, what, id }) == Taken::InTime
    });
    let taken = taken.count();
    assert!((1_000..5_000).contains(&taken), "{taken}");
    let foreign = super::Told {
        unit: Id::from(8),
        at: 5,
        due: 16,
        event: vec![0xff; 30],
    };
    let space = super::Space {
        name: "funnel:any".into(),
        most_units: 10,
        most_bytes: usize::MAX,
        keep: 0,
    };
    let shard = super::Shard {
        space: &space,
        at: 0,
    };
    at_once(memory.append(shard, 0, &[foreign])).unwrap();
    let mut opened = 0;
    followed.settle(30, |turn| opened += u32::from(turn == Turn::Opened));
    assert_eq!((opened, followed.follower.garbled()), (1, 1));
}
