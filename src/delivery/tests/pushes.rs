//! Metrics, in one request or several.

use super::world::{
    Backend, Kind, TAKEN, World, after, away, busy, malformed, too_large, unanswered,
};
use crate::{
    delivery::{Answer, Conclusion, Push, Reason},
    records::Signal,
};
use std::time::Duration;

/// A reading of so many parts, each a request with its number.
struct Parts {
    parts: u32,
    keeps_what_is_left: bool,
    left: Vec<u32>,
}

impl Parts {
    fn cumulative(parts: u32) -> Self {
        Self {
            parts,
            keeps_what_is_left: false,
            left: Vec::new(),
        }
    }

    fn delta(parts: u32) -> Self {
        Self {
            keeps_what_is_left: true,
            ..Self::cumulative(parts)
        }
    }
}

impl Push for Parts {
    fn begin(&mut self) {
        if !self.keeps_what_is_left || self.left.is_empty() {
            self.left = (0..self.parts).collect();
        }
    }

    fn request(&mut self, _: usize) -> Option<Vec<u8>> {
        let part = self.left.first()?;
        Some(part.to_le_bytes().to_vec())
    }

    fn concluded(&mut self, conclusion: Conclusion) -> bool {
        // One point each: what is too large cannot be less.
        if conclusion != Conclusion::NotDelivered {
            self.left.remove(0);
        }
        conclusion == Conclusion::TooLarge
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn slow(seconds: u32, answer: Answer) -> Option<(Duration, Answer)> {
    Some((seconds * SECOND, answer))
}

#[tokio::test(start_paused = true)]
async fn what_an_endpoint_asks_for_is_heard_between_two_requests_of_a_push() {
    let mut is_busy = true;
    let backend = Backend::that_replies(move |asked| match asked.signal {
        Signal::Logs if std::mem::take(&mut is_busy) => slow(0, busy(Some(30 * SECOND))),
        Signal::Metrics => slow(2, TAKEN),
        _ => slow(0, TAKEN),
    });
    let world = World::pushing(&backend, Parts::cumulative(3));
    after(59.5).await;
    world.offer(Kind::Line, 0..1);
    after(40.0).await;
    let asked = backend.asked();
    let busy_at = asked
        .iter()
        .find(|asked| asked.signal == Signal::Logs)
        .unwrap()
        .at;
    let early = asked
        .iter()
        .filter(|asked| asked.at > busy_at && asked.at < busy_at + 30 * SECOND);
    assert_eq!(early.count(), 0);
    let metrics = world.row(Signal::Metrics);
    assert_eq!(
        (metrics.accepted(), metrics.acknowledged()),
        (1, 1),
        "{metrics}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_gets_every_part_once_in_an_interval() {
    let backend = Backend::that_replies(|_| slow(3, TAKEN));
    let world = World::pushing(&backend, Parts::cumulative(12));
    after(60.0 * 5.0 + 50.0).await;
    let last = backend
        .asked()
        .iter()
        .filter(|asked| asked.ids == [11])
        .count();
    assert_eq!((backend.asked().len(), last), (60, 5));
    assert_eq!(world.row(Signal::Metrics).acknowledged(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_push_goes_on_where_it_stopped() {
    for push in [Parts::cumulative(4), Parts::delta(4)] {
        let mut asked = 0;
        let backend = Backend::that(move |_| {
            asked += 1;
            if asked == 3 { away() } else { TAKEN }
        });
        let world = World::pushing(&backend, push);
        after(70.0).await;
        let ids: Vec<u32> = backend
            .asked()
            .iter()
            .flat_map(|asked| asked.ids.clone())
            .collect();
        assert_eq!(ids, [0, 1, 2, 2, 3]);
        assert!(world.row(Signal::Metrics).is_settled());
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_that_is_always_too_large_is_given_up_once_an_interval() {
    let backend = Backend::that(|asked| match asked.signal {
        Signal::Metrics => too_large(),
        _ => TAKEN,
    });
    let world = World::pushing(&backend, Parts::cumulative(2));
    assert!(world.delivery.flush(20 * SECOND).await);
    assert_eq!(backend.asked().len(), 2);
    assert_eq!(world.row(Signal::Metrics).dropped_for(Reason::TooLarge), 1);
    after(200.0).await;
    assert!(backend.asked().len() <= 8);
}

#[tokio::test(start_paused = true)]
async fn a_gap_stays_counted_though_the_rest_arrives_later() {
    for (first, expected) in [(unanswered(), "ambiguous"), (malformed(), "dropped")] {
        let mut answers = vec![away(), first];
        let backend = Backend::that(move |_| answers.pop().unwrap_or(TAKEN));
        let world = World::pushing(&backend, Parts::delta(2));
        after(80.0).await;
        let row = world.row(Signal::Metrics);
        let gap = match expected {
            "ambiguous" => row.ambiguous(),
            _ => row.dropped_for(Reason::NonRetryable),
        };
        assert_eq!((row.accepted(), gap), (1, 1), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_is_left_alone_for_a_while() {
    let backend = Backend::that(|asked| {
        assert!(asked.ids != [1], "planted");
        TAKEN
    });
    let world = World::pushing(&backend, Parts::delta(3));
    after(65.0).await;
    assert!(backend.asked().len() <= 4, "{}", backend.asked().len());
    let row = world.row(Signal::Metrics);
    assert_eq!(row.ambiguous() + row.queued(), 1, "{row}");
}

#[tokio::test(start_paused = true)]
async fn rejected_points_make_a_push_rejected() {
    let backend = Backend::that(|_| Answer::Accepted {
        rejected: 100,
        message: None,
    });
    let world = World::pushing(&backend, Parts::cumulative(1));
    world.flush().await;
    let row = world.row(Signal::Metrics);
    assert_eq!((row.rejected(), row.acknowledged()), (1, 0), "{row}");
}

#[tokio::test(start_paused = true)]
async fn the_end_amid_a_push_is_the_end() {
    let backend = Backend::that_replies(|_| slow(3, TAKEN));
    let mut world = World::pushing(&backend, Parts::cumulative(3));
    after(61.0).await;
    world.delivery.close();
    after(30.0).await;
    assert_eq!(backend.asked().len(), 1);
    let row = world.row(Signal::Metrics);
    assert_eq!((row.accepted(), row.ambiguous()), (1, 1), "{row}");
    world.shut_down(SECOND).await;
    assert_eq!(world.row(Signal::Metrics), row);
}

#[tokio::test(start_paused = true)]
async fn the_last_push_says_what_came_since_the_one_that_waited() {
    let mut asked = 0;
    let backend = Backend::that(move |_| {
        asked += 1;
        if asked == 1 { away() } else { TAKEN }
    });
    let mut world = World::pushing(&backend, Parts::delta(1));
    after(60.1).await;
    world.shut_down(5 * SECOND).await;
    let row = world.row(Signal::Metrics);
    assert_eq!((row.accepted(), row.acknowledged()), (2, 2), "{row}");
}
