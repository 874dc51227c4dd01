//! What becomes of records one by one.

use super::world::{
    Backend, Kind, POISONOUS, RECORD_BYTES, TAKEN, World, away, busy, of_records, unanswered,
};
use crate::{
    delivery::{Answer, Bounds, Reason},
    records::Signal,
};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn all_that_was_recorded_before_a_flush_is_acknowledged_after_it() {
    let backend = Backend::that(|_| TAKEN);
    let mut world = World::of(&backend);
    world.offer(Kind::Line, 0..100);
    world.flush().await;
    let row = world.logs();
    assert_eq!((row.accepted(), row.acknowledged()), (100, 100));
    assert_eq!(backend.taken(), (0..100).collect::<Vec<_>>());
    world.shut_down(Duration::from_secs(5)).await;
    assert!(world.logs().is_settled());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_sent_again() {
    let backend = Backend::that_begins_with([busy(None), away(), busy(None)]);
    let world = World::of(&backend);
    world.offer(Kind::Event, 0..10);
    world.flush().await;
    assert!(world.logs().is_settled());
    assert_eq!(backend.taken(), (0..10).collect::<Vec<_>>());
    assert!(!world.delivery.outlets()[0].is_paused());
}

#[tokio::test(start_paused = true)]
async fn what_the_destination_rejects_is_counted_and_not_sent_again() {
    let backend = Backend::that_begins_with([Answer::Accepted {
        rejected: 3,
        message: Some("three".to_owned()),
    }]);
    let world = World::of(&backend);
    world.offer(Kind::Line, 0..10);
    world.flush().await;
    let row = world.logs();
    assert_eq!((row.rejected(), row.acknowledged()), (3, 7));
    assert_eq!(backend.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_it_refuses_or_never_answers_is_not_sent_again() {
    let refused = Answer::Refused {
        reason: "refused".to_owned(),
    };
    let backend = Backend::that_begins_with([refused, unanswered()]);
    let world = World::of(&backend);
    world.offer(Kind::Line, 0..4);
    world.flush().await;
    assert_eq!(world.logs().dropped_for(Reason::NonRetryable), 4);
    world.offer(Kind::Line, 4..6);
    world.flush().await;
    assert_eq!(world.logs().ambiguous(), 2);
    assert!(backend.taken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_encoder_or_a_transport_that_panics_loses_what_it_had_in_hand() {
    let backend = Backend::that(|asked| match asked.ids.contains(&7) {
        true => panic!("planted"),
        false => TAKEN,
    });
    let world = World::with(&[&backend], of_records(1));
    world.offer(Kind::Line, [6, 7, 8, POISONOUS]);
    world.flush().await;
    let row = world.logs();
    assert_eq!(row.acknowledged(), 2);
    assert_eq!(row.dropped_for(Reason::ExporterPanic), 1, "{row}");
    // What was being sent may have arrived.
    assert_eq!(row.ambiguous(), 1, "{row}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_gives_up_the_oldest_of_what_may_be_lost_sooner() {
    let backend = Backend::that(|_| away());
    let bounds = Bounds {
        bytes: 20 * RECORD_BYTES,
        ..of_records(4)
    };
    let mut world = World::with(&[&backend], bounds);
    world.offer(Kind::Line, 0..40);
    world.offer(Kind::Event, 100..104);
    world.offer(Kind::Error, 200..204);
    world.delivery.flush(Duration::from_secs(1)).await;
    let row = world.logs();
    assert_eq!(row.dropped_for(Reason::BytesFull), 28, "{row}");
    // Errors push everything else out, and then keep the first.
    world.offer(Kind::Error, 204..220);
    world.offer(Kind::Error, 220..230);
    world.offer(Kind::Line, 40..50);
    world.delivery.flush(Duration::from_secs(1)).await;
    let errors: Vec<u32> = (200..220).collect();
    let last = backend
        .asked()
        .into_iter()
        .rfind(|asked| !asked.ids.is_empty());
    assert!(errors.contains(&last.unwrap().ids[0]));
    let row = world.logs();
    assert_eq!((row.accepted(), row.queued()), (84, 20), "{row}");
    world.shut_down(Duration::from_secs(60)).await;
    assert_eq!(world.logs().dropped_for(Reason::Deadline), 20);
}

#[tokio::test(start_paused = true)]
async fn one_destination_that_never_answers_costs_the_other_nothing() {
    let (dead, live) = (Backend::that_replies(|_| None), Backend::that(|_| TAKEN));
    let bounds = Bounds {
        bytes: 10 * RECORD_BYTES,
        ..of_records(4)
    };
    let world = World::with(&[&dead, &live], bounds);
    for second in 0..100 {
        world.offer(Kind::Event, second * 4..second * 4 + 4);
        super::world::after(1.5).await;
    }
    let rows = world.rows();
    let of = |name: &str| {
        let mut rows = rows
            .iter()
            .filter(|row| row.signal() == Signal::Logs.name());
        rows.find(|row| row.destination() == name).unwrap()
    };
    assert!(of("backend 1").is_settled(), "{}", of("backend 1"));
    assert_eq!(of("backend 0").acknowledged(), 0);
    let latest = live.asked().last().unwrap().at;
    assert!(latest >= Duration::from_secs(148), "{latest:?}");
}
