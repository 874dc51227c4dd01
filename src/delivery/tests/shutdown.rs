//! The end: in time, and with everything counted.

use super::world::{Backend, Kind, TAKEN, World, away, busy, of_records, too_large};
use crate::delivery::Reason;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn before_a_silent_destination_it_tells_what_may_have_arrived_and_what_has_not() {
    let backend = Backend::that_replies(|_| None);
    let mut world = World::with(&[&backend], of_records(3));
    world.offer(Kind::Line, 0..10);
    world.shut_down(Duration::from_millis(300)).await;
    let row = world.logs();
    assert_eq!(row.ambiguous(), 3, "{row}");
    assert_eq!(row.dropped_for(Reason::Deadline), 7);
    world.offer(Kind::Line, [1]);
    assert_eq!(world.logs().dropped_for(Reason::AfterShutdown), 1);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_asked_for_time_is_not_waited_for_nor_asked_early() {
    let backend = Backend::that(|_| busy(Some(Duration::from_secs(60))));
    let mut world = World::of(&backend);
    world.offer(Kind::Line, 0..10);
    let began = Instant::now();
    world.shut_down(Duration::from_secs(20)).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.logs().dropped_for(Reason::Deadline), 10);
    assert_eq!(backend.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_away_is_asked_a_few_times() {
    let backend = Backend::that(|_| away());
    let mut world = World::of(&backend);
    world.offer(Kind::Line, 0..10);
    let began = Instant::now();
    world.shut_down(Duration::from_secs(20)).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.logs().dropped_for(Reason::Deadline), 10);
    assert_eq!(backend.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn all_that_waits_goes_without_waiting_for_more() {
    let backend = Backend::that(|_| TAKEN);
    let mut world = World::of(&backend);
    world.offer(Kind::Span, 0..2_000);
    world.offer(Kind::Error, 0..3);
    let began = Instant::now();
    world.shut_down(Duration::from_secs(20)).await;
    assert!(began.elapsed() < Duration::from_millis(100));
    assert!(world.rows().iter().all(|row| row.is_settled()));
}

#[tokio::test(start_paused = true)]
async fn amid_a_split_nothing_is_counted_twice() {
    let backend = Backend::that_replies(|asked| match asked.ids.len() {
        1 => None,
        _ => Some((Duration::ZERO, too_large())),
    });
    let mut world = World::of(&backend);
    world.offer(Kind::Line, 0..8);
    world.shut_down(Duration::from_millis(400)).await;
    let row = world.logs();
    assert_eq!(row.ambiguous(), 1, "{row}");
    assert_eq!(row.dropped_for(Reason::Deadline), 7, "{row}");
    world.shut_down(Duration::from_millis(100)).await;
    assert_eq!(world.logs(), row);
}
