//! Endpoints that are away, for a moment or for long.

use super::world::{
    Backend, Kind, RECORD_BYTES, TAKEN, World, after, away, busy, denied, of_records,
};
use crate::{
    delivery::{Bounds, Reason},
    records::Signal,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_what_is_fresh_goes_first_and_the_rest_no_faster_than_that() {
    let is_away = Arc::new(AtomicBool::new(true));
    let away_or_not = Arc::clone(&is_away);
    let backend = Backend::that(move |_| match away_or_not.load(Ordering::Relaxed) {
        true => away(),
        false => TAKEN,
    });
    let bounds = Bounds {
        bytes: 100_000 * RECORD_BYTES,
        ..of_records(512)
    };
    let world = World::with(&[&backend], bounds);
    // 1,000 lines a second, and an error every tenth of one.
    const LIVE: u32 = 1_000;
    let (mut lines, mut errors) = (0, 1_000_000_000);
    let mut tenth = async |world: &World| {
        world.offer(Kind::Line, lines..lines + LIVE / 10);
        world.offer(Kind::Error, errors..errors + 1);
        (lines, errors) = (lines + LIVE / 10, errors + 1);
        after(0.1).await;
        (lines, errors)
    };
    for _ in 0..6_000 {
        tenth(&world).await;
    }
    assert!(world.logs().dropped_for(Reason::BytesFull) > 450_000);
    let (asked_before, back) = (backend.asked().len(), tokio::time::Instant::now());
    is_away.store(false, Ordering::Relaxed);
    let (fresh, _) = tenth(&world).await;
    for _ in 0..2_000 {
        tenth(&world).await;
    }
    let row = world.logs();
    assert!(row.queued() < 2 * u64::from(LIVE), "{row}");
    let asked = &backend.asked()[asked_before..];
    let began = asked[0].at - Duration::from_secs(1).min(asked[0].at);
    let first = asked.iter().find(|asked| {
        asked.is_taken()
            && asked
                .ids
                .iter()
                .any(|id| (fresh..1_000_000_000).contains(id))
    });
    let waited = first.unwrap().at - began;
    assert!(waited <= Duration::from_secs(3), "{waited:?}");
    // In no second more than twice of what came in one, and a request.
    let end = back.elapsed().as_secs();
    for second in 0..end {
        let from = began + Duration::from_secs(second);
        let within = asked.iter().filter(|asked| {
            asked.is_taken() && (from..from + Duration::from_secs(1)).contains(&asked.at)
        });
        let records: usize = within.map(|asked| asked.ids.len()).sum();
        assert!(
            records <= 2 * LIVE as usize + 2 * 512,
            "{second}: {records}"
        );
    }
    // Not one of the errors is lost.
    world.flush().await;
    let taken = backend.taken();
    let errors_taken = taken.iter().filter(|id| **id >= 1_000_000_000).count();
    assert_eq!(errors_taken, 8_001);
    let mut distinct = taken.clone();
    distinct.dedup();
    assert_eq!(taken, distinct);
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_lasts_through_an_outage_ends_when_all_from_before_it_is_taken() {
    let backend = Backend::that(|asked| match asked.at < Duration::from_secs(12) {
        true => away(),
        false => TAKEN,
    });
    let world = World::of(&backend);
    world.offer(Kind::Line, 0..100);
    world.offer(Kind::Span, 0..100);
    assert!(world.delivery.flush(Duration::from_secs(60)).await);
    assert!(
        world.rows().iter().all(|row| row.is_settled()),
        "{:?}",
        world.rows()
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_waited_for_on_every_signal() {
    let pause = Duration::from_secs(300);
    let backend = Backend::that_begins_with([busy(Some(pause))]);
    let world = World::of(&backend);
    world.offer(Kind::Span, 0..1);
    after(2.0).await;
    assert_eq!(backend.asked().len(), 1);
    for second in 0..298 {
        world.offer(Kind::Line, second * 2 + 10..second * 2 + 12);
        world.offer(Kind::Error, second + 10_000..second + 10_001);
        after(1.0).await;
    }
    assert_eq!(backend.asked().len(), 1);
    after(10.0).await;
    let asked = backend.asked();
    assert!(asked[1].at >= asked[0].at + pause);
    assert!(world.rows().iter().all(|row| row.is_settled()));
}

#[tokio::test(start_paused = true)]
async fn one_request_finds_out_whether_an_endpoint_is_back() {
    let backend = Backend::that_replies(|asked| {
        let is_back = asked.at > Duration::from_secs(60);
        let answer = if is_back { TAKEN } else { busy(None) };
        Some((Duration::from_millis(100), answer))
    });
    let world = World::of(&backend);
    for n in 0..120 {
        world.offer(Kind::Span, [n]);
        world.offer(Kind::Line, [n]);
        after(1.0).await;
    }
    world.flush().await;
    assert!(world.rows().iter().all(|row| row.is_settled()));
    let asked = backend.asked();
    let failed: Vec<_> = asked.iter().filter(|asked| !asked.is_taken()).collect();
    // After the first, never two at a time.
    let gaps = failed[2..].windows(2).map(|pair| pair[1].at - pair[0].at);
    assert!(gaps.min().unwrap() >= Duration::from_millis(350));
    assert!(failed.len() <= 14, "{}", failed.len());
}

#[tokio::test(start_paused = true)]
async fn a_record_is_given_up_five_minutes_after_its_first_request() {
    let backend = Backend::that(|_| busy(None));
    let world = World::of(&backend);
    world.offer(Kind::Line, 0..5);
    after(290.0).await;
    assert_eq!(world.logs().queued(), 5);
    after(60.0).await;
    assert_eq!(world.logs().dropped_for(Reason::RetryExhausted), 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_is_given_up_in_time_though_older_records_wait() {
    let backend = Backend::that(|asked| match asked.at < Duration::from_secs(100) {
        true => away(),
        false => busy(None),
    });
    let bounds = Bounds {
        bytes: 50_000 * RECORD_BYTES,
        ..of_records(10)
    };
    let world = World::with(&[&backend], bounds);
    for n in 0..1_000 {
        world.offer(Kind::Line, [n]);
        after(1.0).await;
    }
    let asked = backend.asked();
    for n in 0..1_000 {
        let mut of_it = asked
            .iter()
            .filter(|asked| asked.ids.contains(&n) && asked.at >= Duration::from_secs(100));
        if let Some(first) = of_it.next() {
            let last = of_it.next_back().map_or(first.at, |asked| asked.at);
            let tried = last - first.at;
            assert!(tried <= Duration::from_secs(331), "{n}: {tried:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_denies_is_asked_rarely_and_loses_what_it_was_asked_with_alone() {
    let backend = Backend::that(|asked| match asked.at > Duration::from_secs(3_600) {
        true => TAKEN,
        false => denied(),
    });
    let world = World::with(&[&backend], of_records(10));
    for n in 0..4_000 {
        world.offer(Kind::Line, [n]);
        after(1.0).await;
    }
    world.flush().await;
    let row = world.logs();
    let refusals = backend
        .asked()
        .iter()
        .filter(|asked| !asked.is_taken())
        .count();
    assert!((10..=30).contains(&refusals), "{refusals}");
    let lost = row.dropped_for(Reason::NonRetryable);
    assert!(lost <= 10 * refusals as u64);
    assert_eq!(row.acknowledged(), 4_000 - lost);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_of_its_own_is_not_held_up_by_another() {
    let backend = Backend::that(|asked| match asked.signal {
        Signal::Traces => busy(None),
        _ => TAKEN,
    });
    let world = World::with_endpoints(&backend, [0, 1, 2]);
    world.offer(Kind::Span, 0..1);
    after(3.0).await;
    world.offer(Kind::Line, 0..8);
    after(2.0).await;
    assert_eq!(world.logs().acknowledged(), 8);
    assert_eq!(world.row(Signal::Traces).acknowledged(), 0);
    assert!(world.delivery.outlets()[0].is_paused());
}
