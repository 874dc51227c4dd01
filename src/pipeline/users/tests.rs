use super::*;
use crate::{
    catalog::active_users::ActiveUsers,
    clock::ManualClock,
    metrics,
    records::{self, Fields},
    shared_state::{Memory, SharedState, replicas::Replicas},
    snapshot::{self, Snapshot},
};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Users in a time of their own, from the noon of a day.
struct Watched {
    hands: ManualClock,
    registry: Registry,
    users: &'static Users,
}

impl Watched {
    fn by(state: Arc<dyn SharedState>, declared: &Declared) -> Self {
        let noon = SystemTime::UNIX_EPOCH + 20_000 * DAY + DAY / 2;
        let hands = ManualClock::starting_at(noon);
        let registry = Registry::new(metrics::Limits::default(), hands.clock());
        let sharing = Arc::new(Sharing::new(state, hands.clock(), &registry));
        let users = Users::new(declared, hands.clock(), &registry, sharing);
        let users: &'static Users = Box::leak(Box::new(users));
        users.observe(&registry);
        Self {
            hands,
            registry,
            users,
        }
    }

    fn in_memory() -> Self {
        Self::by(Arc::new(Memory::default()), &declared())
    }

    fn see(&self, user: &str) {
        self.users.tell_request(self.hands.clock().now(), user);
    }

    fn track(&self, event: &str, user: &str) {
        records::Fields::compose(records::Limits::default(), |fields: &mut Fields| {
            fields.word(semconv::USER_ID, user);
            if let Some(sighting) = self.users.tracked(event) {
                sighting.tell(self.hands.clock().now(), fields.as_bytes());
            }
        });
    }

    fn settle(&self) -> Result<(), Unavailable> {
        let mut settling = pin!(self.users.settle());
        match settling
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    fn active(&self) -> Option<[u64; 3]> {
        let active = Snapshot::of(&self.registry).active_users()?;
        Some([active.day, active.week, active.month])
    }

    fn refused(&self, reason: &str) -> u64 {
        let snapshot = Snapshot::of(&self.registry);
        snapshot.counter("orderscope.users.refused", &[("reason", reason)])
    }
}

fn declared() -> Declared {
    Declared {
        active_users: Some(ActiveUsers::new()),
        features: vec![
            Feature::new("favorites").used_by("favorite_added"),
            Feature::new("search").used_by("search").used_by("filter"),
        ],
        ..Declared::default()
    }
}

#[test]
fn a_user_is_active_once_a_day_however_often_they_are_seen() {
    let watched = Watched::in_memory();
    assert_eq!(watched.active(), Some([0, 0, 0]));
    for _ in 0..3 {
        watched.see("u-1");
        watched.track("dish_viewed", "u-2");
        watched.see("");
        watched.see("***");
    }
    assert_eq!(watched.active(), Some([2, 2, 2]));
    watched.hands.advance(DAY);
    watched.see("u-2");
    watched.see("u-3");
    assert_eq!(watched.active(), Some([2, 3, 3]));
    watched.hands.advance(6 * DAY);
    assert_eq!(watched.active(), Some([0, 2, 3]));
    watched.hands.advance(21 * DAY);
    assert_eq!(watched.active(), Some([0, 0, 2]), "today is one of the 28");
    watched.hands.advance(DAY);
    assert_eq!(watched.active(), Some([0, 0, 0]));
}

#[test]
fn a_feature_has_its_uses_and_its_users_and_a_share_of_those_who_are_active() {
    let watched = Watched::in_memory();
    for user in ["u-1", "u-1", "u-2", ""] {
        watched.track("favorite_added", user);
    }
    watched.track("filter", "u-1");
    watched.track("search", "u-1");
    watched.see("u-3");
    watched.see("u-4");
    let features = Snapshot::of(&watched.registry).features();
    let counted: Vec<_> = features
        .iter()
        .map(|feature| {
            let users = feature.users.unwrap();
            let usage = feature.usage(snapshot::Period::Week);
            (feature.name.as_str(), feature.uses, users.month, usage)
        })
        .collect();
    assert_eq!(
        counted,
        [("favorites", 4, 2, Some(0.5)), ("search", 2, 1, Some(0.25))]
    );
}

#[test]
fn without_active_users_features_are_counted_all_the_same() {
    let features = declared().features;
    let declared = Declared {
        features,
        ..Declared::default()
    };
    let watched = Watched::by(Arc::new(Memory::default()), &declared);
    watched.see("u-1");
    watched.track("dish_viewed", "u-1");
    watched.track("search", "u-2");
    let snapshot = Snapshot::of(&watched.registry);
    assert_eq!(snapshot.active_users(), None);
    let search = &snapshot.features()[1];
    assert_eq!((search.uses, search.users.unwrap().day), (1, 1));
    assert_eq!(search.usage(snapshot::Period::Day), None);
}

#[track_caller]
fn assert_near(counted: u64, exactly: u64) {
    let error = (counted as f64 - exactly as f64).abs() / exactly as f64;
    assert!(error <= 0.025, "{counted} for {exactly}");
}

#[test]
fn distinct_users_are_counted_within_two_and_a_half_percent_up_to_a_million() {
    for exactly in [100_u64, 10_000, 1_000_000] {
        let watched = Watched::in_memory();
        for user in 0..exactly {
            watched.see(&format!("customer-{user}"));
            if user % 50_000 == 0 {
                watched.settle().unwrap();
            }
        }
        let counted = watched.active().unwrap();
        for counted in counted {
            assert_near(counted, exactly);
        }
        assert_eq!(watched.refused("queue_full"), 0);
    }
}

#[test]
fn users_who_come_again_on_other_days_are_one_over_the_week() {
    let watched = Watched::in_memory();
    for day in 0..7_u64 {
        // Every day 20,000, of whom half were there the day before.
        for user in day * 10_000..day * 10_000 + 20_000 {
            watched.see(&format!("customer-{user}"));
        }
        let [today, week, _] = watched.active().unwrap();
        assert_near(today, 20_000);
        assert_near(week, 10_000 * (day + 2));
        watched.hands.advance(DAY);
    }
    let [today, week, month] = watched.active().unwrap();
    assert_eq!(today, 0);
    assert_near(week, 70_000);
    assert_near(month, 80_000);
}

#[test]
fn what_finds_no_place_to_wait_is_counted_and_told_when_seen_again() {
    let watched = Watched::in_memory();
    watched.settle().unwrap();
    for user in 0..MOST_WAITING + 100 {
        watched.see(&user.to_string());
    }
    assert_eq!(watched.refused("queue_full"), 100);
    for user in MOST_WAITING..MOST_WAITING + 100 {
        watched.see(&user.to_string());
    }
    assert_eq!(watched.refused("queue_full"), 100, "there is room again");
    assert_near(watched.active().unwrap()[0], MOST_WAITING as u64 + 100);
}

#[test]
fn a_shared_number_is_told_while_it_is_known_and_nobody_is_lost_meanwhile() {
    let shared = Arc::new(Replicas::default());
    let watched = Watched::by(Arc::<Replicas>::clone(&shared), &declared());
    assert_eq!(watched.active(), None, "nobody has asked yet");
    watched.see("u-1");
    watched.settle().unwrap();
    assert_eq!(watched.active(), Some([1, 1, 1]));
    watched.see("u-2");
    watched.settle().unwrap();
    assert_eq!(watched.active(), Some([1, 1, 1]), "asked every ten seconds");
    watched.hands.advance(PAUSE);

    shared.are_away(true);
    watched.see("u-3");
    assert_eq!(watched.settle(), Err(Unavailable::Unreachable));
    assert_eq!(watched.active(), None);
    assert!(
        Snapshot::of(&watched.registry).features()[0]
            .users
            .is_none()
    );
    shared.are_away(false);
    watched.settle().unwrap();
    assert_eq!(watched.active(), Some([3, 3, 3]));
    assert_eq!(watched.refused("queue_full"), 0);
}
