//! Two replicas of one state, which is away at times.

use super::*;
use crate::{
    clock::ManualClock,
    metrics::Limits,
    shared_state::{SharedState, replicas::Replicas},
    snapshot::Snapshot,
};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

struct Replica {
    hands: ManualClock,
    registry: Registry,
    ids: GivenIds,
}

/// What became of what was held.
#[derive(Debug, Default, PartialEq, Eq)]
struct Became {
    let_go: usize,
    refused: usize,
    is_answered: bool,
}

impl Replica {
    fn of(state: &Arc<Replicas>) -> Self {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
        let registry = Registry::new(Limits::default(), hands.clock());
        let state = Arc::<Replicas>::clone(state) as Arc<dyn SharedState>;
        let sharing = Arc::new(Sharing::new(state, hands.clock(), &registry));
        Self {
            ids: GivenIds::new(hands.clock(), &registry, sharing),
            hands,
            registry,
        }
    }

    /// Whether it is held.
    fn hold(&self, id: u32) -> bool {
        let event = Held {
            name: "payment_succeeded",
            id: id.to_string().into(),
            at: self.hands.clock().now(),
            record: None,
            fields: Vec::new(),
            meeting: Held::meeting("payment_succeeded", &id.to_string()),
            since: self.hands.clock().now(),
        };
        self.ids.hold(event).is_none()
    }

    fn settle(&self) -> Became {
        let mut became = Became::default();
        let (mut let_go, mut refused) = (0, 0);
        let settling = self.ids.settle(|_| let_go += 1, || refused += 1);
        match pin!(settling).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => became.is_answered = answer.is_ok(),
            Poll::Pending => panic!("it answers at once"),
        }
        Became {
            let_go,
            refused,
            ..became
        }
    }

    fn unchecked(&self) -> u64 {
        Snapshot::of(&self.registry).counter("orderscope.events.unchecked", &[])
    }
}

fn became(let_go: usize, refused: usize, is_answered: bool) -> Became {
    Became {
        let_go,
        refused,
        is_answered,
    }
}

#[test]
fn of_many_that_come_to_two_replicas_each_is_let_go_once() {
    let state = Arc::<Replicas>::default();
    let [one, other] = [Replica::of(&state), Replica::of(&state)];
    for id in 0..1_000 {
        assert!(one.hold(id));
        assert!(other.hold(id + 500));
    }
    assert_eq!(one.settle(), became(1_000, 0, true));
    assert_eq!(other.settle(), became(500, 500, true));
    assert_eq!(one.settle(), became(0, 0, true));
    assert_eq!((one.unchecked(), other.unchecked()), (0, 0));
}

#[test]
fn what_waited_too_long_is_let_go_and_counted_and_refused_where_it_comes_again() {
    let state = Arc::<Replicas>::default();
    let [one, other] = [Replica::of(&state), Replica::of(&state)];
    state.are_away(true);
    assert!(one.hold(1));
    one.hands.advance(Duration::from_secs(9));
    assert_eq!(one.settle(), became(0, 0, false));
    assert!(one.hold(2));
    one.hands.advance(Duration::from_secs(1));
    assert_eq!(one.settle(), became(1, 0, false));
    assert_eq!(one.unchecked(), 1);
    state.are_away(false);
    assert_eq!(one.settle(), became(1, 0, true), "the second, checked");
    assert!(other.hold(1) && other.hold(2) && other.hold(3));
    assert_eq!(other.settle(), became(1, 2, true));
    assert_eq!(one.unchecked(), 1);
}

#[test]
fn what_finds_no_room_is_let_go_at_once_and_counted_and_claimed_later() {
    let state = Arc::<Replicas>::default();
    let [one, other] = [Replica::of(&state), Replica::of(&state)];
    let most = MOST_HELD as u32;
    for id in 0..most {
        assert!(one.hold(id));
    }
    // As many again: they take no room that they would give back.
    for id in most..2 * most {
        assert!(!one.hold(id));
    }
    assert_eq!(one.unchecked(), u64::from(most));
    assert_eq!(one.settle(), became(MOST_HELD, 0, true));
    assert!(one.hold(2 * most), "there is room again");
    assert_eq!(one.settle(), became(1, 0, true));
    assert!(other.hold(most));
    assert_eq!(other.settle(), became(0, 1, true));
}

#[test]
fn at_the_end_what_is_held_is_let_go_and_counted() {
    let one = Replica::of(&Arc::default());
    assert!(one.hold(1) && one.hold(2));
    let mut let_go = 0;
    one.ids.let_all_go(|_| let_go += 1);
    assert_eq!((let_go, one.unchecked()), (2, 2));
}

#[test]
fn who_is_cut_off_amid_a_question_leaves_what_it_asked_for_held() {
    let state = Arc::<Replicas>::default();
    let one = Replica::of(&state);
    assert!(one.hold(1) && one.hold(2));
    state.are_silent(true);
    {
        let settling = pin!(
            one.ids
                .settle(|_| panic!("{SILENT}"), || panic!("{SILENT}"))
        );
        let asked = settling.poll(&mut Context::from_waker(Waker::noop()));
        assert!(asked.is_pending());
    }
    state.are_silent(false);
    assert_eq!(one.settle(), became(2, 0, true));
}

const SILENT: &str = "nobody has answered";

#[test]
fn what_is_held_is_bounded_while_it_is_asked_for_too() {
    let state = Arc::<Replicas>::default();
    let one = Replica::of(&state);
    assert!((0..MOST_HELD as u32).all(|id| one.hold(id)));
    state.are_silent(true);
    let settling = pin!(
        one.ids
            .settle(|_| panic!("{SILENT}"), || panic!("{SILENT}"))
    );
    let asked = settling.poll(&mut Context::from_waker(Waker::noop()));
    assert!(asked.is_pending());
    assert!(!one.hold(MOST_HELD as u32), "they are held still");
}
