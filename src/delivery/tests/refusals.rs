//! Requests that are refused for what is in them.

use super::world::{Backend, Kind, TAKEN, World, denied, malformed, of_records, too_large};
use crate::delivery::Reason;
use proptest::prelude::*;
use std::{collections::BTreeSet, time::Duration};

fn simulated<T>(world: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn of_a_request_with_bad_records_these_alone_are_lost(
        records in 1_u32..=512,
        bad in proptest::collection::btree_set(0_u32..512, 0..=4),
    ) {
        let bad: BTreeSet<u32> = bad.into_iter().filter(|id| *id < records).collect();
        prop_assume!(bad.len() < records as usize);
        let planted = bad.clone();
        simulated(async move {
            let backend = Backend::that(move |asked| {
                match asked.ids.iter().any(|id| planted.contains(id)) {
                    true => malformed(),
                    false => TAKEN,
                }
            });
            let world = World::of(&backend);
            world.offer(Kind::Line, 0..records);
            world.flush().await;
            let row = world.logs();
            assert_eq!(row.dropped_for(Reason::NonRetryable), bad.len() as u64, "{row}");
            let good: Vec<_> = (0..records).filter(|id| !bad.contains(id)).collect();
            assert_eq!(backend.taken(), good);
            assert!(backend.asked().len() <= 1 + 18 * bad.len(), "{}", backend.asked().len());
        });
    }

    #[test]
    fn a_limit_of_size_costs_nothing_but_what_is_larger_alone(
        records in 1_usize..=512,
        most in 1_usize..=512,
    ) {
        simulated(async move {
            let backend = Backend::that(move |asked| {
                match asked.ids.len() > most || asked.ids.contains(&13) {
                    true => too_large(),
                    false => TAKEN,
                }
            });
            let world = World::of(&backend);
            world.offer(Kind::Line, 0..records as u32);
            world.flush().await;
            let row = world.logs();
            if records > 14 {
                assert_eq!(row.dropped_for(Reason::TooLarge), 1, "{row}");
                assert_eq!(row.acknowledged(), records as u64 - 1);
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn bad_records_that_stand_together_hide_no_good_ones() {
    for (records, bad) in [
        (3, 2),
        (4, 3),
        (8, 5),
        (8, 7),
        (512, 8),
        (512, 16),
        (512, 40),
    ] {
        let backend = Backend::that(move |asked| match asked.ids.iter().any(|id| *id < bad) {
            true => malformed(),
            false => TAKEN,
        });
        let world = World::of(&backend);
        world.offer(Kind::Line, 0..records);
        world.flush().await;
        let row = world.logs();
        let lost = row.dropped_for(Reason::NonRetryable);
        assert_eq!(lost, u64::from(bad), "{bad} of {records}: {row}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_denied_before_costs_no_good_record_later() {
    for (first, size_limit) in [(0, 512), (0, 31)] {
        let backend = Backend::that(move |asked| {
            if asked.ids.contains(&9_999) {
                denied()
            } else if asked.ids.len() > size_limit {
                too_large()
            } else if asked.ids.contains(&first) {
                malformed()
            } else {
                TAKEN
            }
        });
        let world = World::of(&backend);
        world.offer(Kind::Line, [9_999]);
        super::world::after(5.0).await;
        world.offer(Kind::Line, 0..512);
        world.flush().await;
        let row = world.logs();
        assert_eq!(row.dropped_for(Reason::NonRetryable), 2, "{row}");
        assert_eq!(row.acknowledged(), 511, "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_size_that_was_learnt_is_not_asked_about_again_and_forgotten_in_the_end() {
    let backend = Backend::that(|asked| match asked.ids.len() > 20_000 {
        true => too_large(),
        false => TAKEN,
    });
    let world = World::with(&[&backend], of_records(100_000));
    // As one batch: less than what a record waits for others.
    let offer = async || {
        for part in 0..4 {
            world.offer(Kind::Line, part * 10_000..(part + 1) * 10_000);
            super::world::after(0.21).await;
        }
        world.flush().await;
    };
    let refused = || {
        backend
            .asked()
            .iter()
            .filter(|asked| !asked.is_taken())
            .count()
    };
    offer().await;
    assert_eq!(refused(), 1);
    offer().await;
    assert_eq!(refused(), 1);
    super::world::after(601.0).await;
    offer().await;
    assert_eq!(refused(), 2);
    assert!(world.logs().is_settled());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_finds_everything_bad_is_left_alone_after_a_few_requests() {
    let backend = Backend::that(|_| malformed());
    let mut world = World::with(&[&backend], of_records(512));
    world.offer(Kind::Line, 0..1_024);
    super::world::after(2.0).await;
    let row = world.logs();
    assert!(backend.asked().len() <= 20, "{}", backend.asked().len());
    assert_eq!(row.dropped_for(Reason::NonRetryable), 512);
    assert_eq!(row.queued(), 512);
    // From then on a few records, in six requests, find out whether that has changed.
    super::world::after(60.0).await;
    assert!(backend.asked().len() <= 50, "{}", backend.asked().len());
    world.shut_down(Duration::from_secs(10)).await;
    assert_eq!(world.logs().queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_very_many_bad_records_is_given_up_before_it_costs_too_much() {
    let backend = Backend::that(|asked| match asked.ids.iter().any(|id| id % 3 == 0) {
        true => malformed(),
        false => TAKEN,
    });
    let world = World::of(&backend);
    world.offer(Kind::Line, 0..512);
    world.flush().await;
    assert!(backend.asked().len() <= 130, "{}", backend.asked().len());
    let row = world.logs();
    assert!(row.dropped_for(Reason::NonRetryable) >= 171, "{row}");
    assert!(row.acknowledged() > 0);
}
