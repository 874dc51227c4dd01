//! The machine, held against the definitions, written down without regard to cost.

use super::*;
use crate::shared_state::{Follower, Memory, Space, Taken};
use proptest::prelude::*;
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

pub(in crate::shared_state) const LIMITS: Limits = Limits {
    idle: 30,
    longest: 100,
    remembered: 200,
};
pub(in crate::shared_state) const LATENESS: u64 = 10;

fn deed(at: u64, id: u128, what: Doing, step: &str) -> Deed {
    Deed {
        at,
        what,
        id: Id::from(id),
        step: step.into(),
        session: "s-1".into(),
        user: "u-1".into(),
    }
}

fn step(at: u64, name: &str) -> Deed {
    deed(at, at.into(), Doing::Event, name)
}

/// What happened from the first of these to the end of its session: how many deeds are of it, when and
/// why it ended. `None`: it is open.
fn session(history: &[Deed], settled: u64) -> (usize, Option<(u64, Reason)>) {
    let began = history[0].at;
    for next in 1..=history.len() {
        let active = history[next - 1].at;
        let at = history.get(next).map_or(settled, |deed| deed.at);
        if at > active + LIMITS.idle && active + LIMITS.idle <= began + LIMITS.longest {
            return (next, Some((active, Reason::Timeout)));
        }
        if at > began + LIMITS.longest {
            return (next, Some((began + LIMITS.longest, Reason::MaxDuration)));
        }
        if history
            .get(next)
            .is_some_and(|deed| deed.what == Doing::End)
        {
            return (next + 1, Some((at, Reason::Explicit)));
        }
    }
    (history.len(), None)
}

/// By the ids of the deeds that begin them: what of each session is told.
pub(in crate::shared_state) fn by_the_book(history: &[Deed], now: u64) -> Vec<Visited> {
    let settled = now.saturating_sub(LATENESS);
    let mut history = history.to_vec();
    history.sort();
    history.retain(|deed| deed.at < settled);
    let mut told: Vec<Visited> = Vec::new();
    let mut rest = &history[..];
    while let Some(first) = rest.first() {
        if first.what == Doing::End {
            rest = &rest[1..];
            continue;
        }
        let before = told
            .last()
            .filter(|before| before.at + LIMITS.remembered >= first.at);
        let (taken, end) = session(rest, settled);
        let begun = Visited {
            session: match before {
                Some(_) => made(first.at, first.id),
                None => first.session.clone(),
            },
            previous: before.map(|before| before.session.clone()),
            user: first.user.clone(),
            at: first.at,
            end: None,
        };
        told.push(begun.clone());
        if let Some((at, reason)) = end {
            let steps = rest[..taken].iter().filter(|deed| deed.what != Doing::End);
            let names: Vec<&str> = steps.map(|deed| &*deed.step).collect();
            let end = End {
                reason,
                lasted: at - first.at,
                path: names.join(" > "),
                beyond: 0,
                last: (*names.last().unwrap()).into(),
            };
            told.push(Visited {
                at,
                end: Some(end),
                ..begun
            });
        }
        rest = &rest[taken..];
    }
    told
}

/// Units that are followed in a memory.
struct Followed {
    memory: Memory,
    follower: Follower<Visits>,
    told: Vec<Visited>,
}

impl Followed {
    fn new() -> Self {
        let space = Space {
            name: "sessions".into(),
            most_units: 100,
            most_bytes: usize::MAX,
            keep: 0,
        };
        Self {
            memory: Memory::default(),
            follower: Follower::new(space, LIMITS, LATENESS),
            told: Vec::new(),
        }
    }

    fn tell(&mut self, deed: Deed) -> Taken {
        let mut taken = Vec::new();
        let mut told = vec![(Id::from(7), deed)];
        let became = |became| taken.push(became);
        at_once(self.follower.tell(&self.memory, &mut told, became)).unwrap();
        taken.remove(0)
    }

    fn settle(&mut self, now: u64) {
        let told = &mut self.told;
        let tell = |turn| told.push(turn);
        at_once(self.follower.settle(&self.memory, now, tell)).unwrap();
    }
}

fn at_once<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a memory answers at once"),
    }
}

/// By the machine, which is told in this order.
fn visits(history: &[Deed], now: u64) -> Vec<Visited> {
    let mut followed = Followed::new();
    for deed in history {
        assert_eq!(followed.tell(deed.clone()), Taken::InTime);
    }
    followed.settle(now);
    followed.told
}

/// How each session ended, and with which steps.
fn ends(told: &[Visited]) -> Vec<(Reason, u64, &str)> {
    let ends = told.iter().filter_map(|turn| turn.end.as_ref());
    ends.map(|end| (end.reason, end.lasted, end.path.as_str()))
        .collect()
}

#[test]
fn a_session_goes_on_at_exactly_the_end_of_its_quiet_time_and_not_after_it() {
    let told = visits(&[step(5, "a"), step(35, "b"), step(66, "c")], 200);
    assert_eq!(
        ends(&told),
        [(Reason::Timeout, 30, "a > b"), (Reason::Timeout, 0, "c")]
    );
    assert_eq!(&*told[0].session, "s-1");
    assert_eq!(told[2].previous.as_deref(), Some("s-1"));
    assert_ne!(&*told[2].session, "s-1");
}

#[test]
fn a_session_ends_at_its_longest_and_the_next_deed_begins_a_continuation() {
    let history: Vec<_> = (0..=5).map(|n| step(n * 25, "a")).collect();
    let told = visits(&history, 140);
    assert_eq!(
        ends(&told),
        [(Reason::MaxDuration, 100, "a > a > a > a > a")]
    );
    assert_eq!(told.len(), 3, "the second is open");
    assert_eq!(told[2].at, 125);
}

#[test]
fn a_session_that_is_ended_is_so_at_once_and_what_is_none_cannot_be() {
    let end = |at| deed(at, 99, Doing::End, "");
    let told = visits(&[end(1), step(5, "a"), end(9), end(10), step(12, "b")], 30);
    assert_eq!(ends(&told), [(Reason::Explicit, 4, "a")]);
    assert_eq!(told.len(), 3);
}

#[test]
fn what_is_told_out_of_order_is_put_in_order() {
    let told = visits(&[step(9, "b"), step(5, "a"), step(12, "c")], 200);
    assert_eq!(ends(&told), [(Reason::Timeout, 7, "a > b > c")]);
}

#[test]
fn a_previous_session_is_known_for_a_time_and_leaves_nothing_behind() {
    let told = visits(&[step(5, "a"), step(206, "b")], 300);
    assert_eq!(told[2].previous, None);
    assert_eq!(&*told[2].session, "s-1", "the id is free again");
    let told = visits(&[step(5, "a"), step(205, "b")], 300);
    assert_eq!(told[2].previous.as_deref(), Some("s-1"));
    let mut followed = Followed::new();
    followed.tell(step(5, "a"));
    for now in [20, 46, 216] {
        followed.settle(now);
    }
    let space = Space {
        name: "sessions".into(),
        most_units: 0,
        most_bytes: usize::MAX,
        keep: 0,
    };
    followed.follower = Follower::new(space, LIMITS, LATENESS);
    assert_eq!(followed.tell(step(217, "a")), Taken::Full, "it was gone");
}

#[test]
fn fifty_steps_are_told_and_the_rest_is_counted() {
    let history: Vec<_> = (0..53).map(|at| step(at, "a")).collect();
    let told = visits(&history, 200);
    let end = told[1].end.as_ref().unwrap();
    assert_eq!((end.path.matches('a').count(), end.beyond), (50, 3));
    let long = "x".repeat(256);
    let history: Vec<_> = (0..50).map(|at| step(at, &long)).collect();
    let told = visits(&history, 200);
    let end = told[1].end.as_ref().unwrap();
    assert!(
        end.path.len() <= 4_000 && end.beyond == 35,
        "{}",
        end.beyond
    );
}

#[test]
fn an_id_that_is_made_is_a_uuid_of_version_7_and_the_same_wherever_it_is_made() {
    let id = made(1_700_000_000_123_456, Id::from(7));
    assert_eq!(id, made(1_700_000_000_123_456, Id::from(7)));
    assert_ne!(id, made(1_700_000_000_123_456, Id::from(8)));
    let id = uuid::Uuid::parse_str(&id).unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_700_000_000);
}

/// Deeds of one unit in the order in which they are told, each with when it is.
pub(in crate::shared_state) type Lived = Vec<(u64, Deed)>;

pub(in crate::shared_state) fn any_life() -> impl Strategy<Value = Lived> {
    // When, how long each is under way, and what.
    let deeds = proptest::collection::vec((0_u64..400, 0..=LATENESS, 0_u8..8), 0..24);
    deeds.prop_map(|deeds| {
        let told = deeds.iter().enumerate().map(|(id, (at, delay, what))| {
            let doing = match what {
                7 => Doing::End,
                6 => Doing::Request,
                _ => Doing::Event,
            };
            (at + delay, deed(*at, id as u128, doing, &what.to_string()))
        });
        let mut told: Vec<_> = told.collect();
        told.sort_by_key(|(now, _)| *now);
        told
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_history_comes_to_the_sessions_that_the_definitions_say(
        told in any_life(),
        later in 0_u64..300,
    ) {
        let now = told.last().map_or(0, |(now, _)| *now) + later;
        let mut followed = Followed::new();
        for (now, deed) in &told {
            prop_assert_eq!(followed.tell(deed.clone()), Taken::InTime);
            followed.settle(*now);
        }
        followed.settle(now);
        let history: Vec<_> = told.into_iter().map(|(_, deed)| deed).collect();
        prop_assert_eq!(&followed.told, &by_the_book(&history, now));
        let begun = followed.told.iter().filter(|turn| turn.end.is_none()).count();
        let ended = followed.told.len() - begun;
        prop_assert_eq!(followed.follower.open(), (begun - ended) as u64);
    }
}
