//! Any course of events: what comes, what is answered and when the end is, by chance.

use super::world::{
    Backend, Kind, RECORD_BYTES, Reply, TAKEN, World, away, busy, denied, malformed, of_records,
    too_large, unanswered,
};
use crate::{
    delivery::{Answer, Bounds, Reason},
    records::Signal,
};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Offer(Kind, u32),
    Wait(Duration),
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kinds = (0..Kind::ALL.len()).prop_map(|kind| Kind::ALL[kind]);
    let step = prop_oneof![
        6 => (kinds, 1_u32..60).prop_map(|(kind, records)| Step::Offer(kind, records)),
        3 => (1_u64..4_000).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        1 => (5_u64..400).prop_map(|s| Step::Wait(Duration::from_secs(s))),
        1 => Just(Step::Flush),
    ];
    proptest::collection::vec(step, 1..60)
}

fn replies() -> impl Strategy<Value = Vec<Reply>> {
    let answer = prop_oneof![
        8 => Just(Some(TAKEN)),
        1 => (0_u64..5).prop_map(|rejected| Some(Answer::Accepted { rejected, message: None })),
        2 => Just(Some(busy(None))),
        1 => (0_u64..300).prop_map(|s| Some(busy(Some(Duration::from_secs(s))))),
        2 => Just(Some(away())),
        1 => Just(Some(malformed())),
        1 => Just(Some(too_large())),
        1 => Just(Some(denied())),
        1 => Just(Some(unanswered())),
        1 => Just(Some(Answer::Refused { reason: "refused".to_owned() })),
    ];
    let reply = (answer, 0_u64..3_000);
    let reply = reply.prop_map(|(answer, ms)| Some((Duration::from_millis(ms), answer?)));
    proptest::collection::vec(reply, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn at_every_moment_every_record_is_in_one_place(
        steps in steps(),
        replies in replies(),
        bytes in 20_usize..2_000,
        batch in 1_usize..100,
        within in 0_u64..5_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps, replies, bytes, batch, Duration::from_millis(within)));
    }
}

async fn run(steps: Vec<Step>, replies: Vec<Reply>, bytes: usize, batch: usize, within: Duration) {
    // What comes when the list is over is taken.
    let mut replies = replies.into_iter();
    let backend = Backend::that_replies(move |_| match replies.next() {
        Some(reply) => reply,
        None => Some((Duration::ZERO, TAKEN)),
    });
    let bounds = Bounds {
        bytes: bytes * RECORD_BYTES,
        ..of_records(batch)
    };
    let mut world = World::with(&[&backend], bounds);
    // Of spans, and of log records.
    let mut issued = [0_u32; 2];
    for step in steps {
        match step {
            Step::Offer(kind, records) => {
                let signal = match kind {
                    Kind::Span => Signal::Traces,
                    _ => Signal::Logs,
                };
                let next = &mut issued[signal as usize];
                world.offer(kind, *next..*next + records);
                *next += records;
            }
            Step::Wait(pause) => tokio::time::sleep(pause).await,
            Step::Flush => {
                world.delivery.flush(Duration::from_secs(1)).await;
            }
        }
        for row in world.rows() {
            assert!(row.in_flight() <= batch as u64, "{row}");
        }
    }
    world.shut_down(within).await;
    for (signal, issued) in [Signal::Traces, Signal::Logs].into_iter().zip(issued) {
        let row = world.row(signal);
        let asked = backend.asked();
        let of_signal = || asked.iter().filter(|asked| asked.signal == signal);
        let mut taken: Vec<u32> = of_signal()
            .filter(|asked| asked.is_taken())
            .flat_map(|asked| asked.ids.clone())
            .collect();
        taken.sort_unstable();
        let all = taken.len() as u64;
        taken.dedup();
        assert_eq!(taken.len() as u64, all, "something was taken twice");
        assert!(
            taken.iter().all(|id| *id < issued),
            "something was invented"
        );
        assert_eq!(row.accepted(), u64::from(issued));
        assert_eq!(row.queued() + row.in_flight(), 0, "{row}");
        assert_eq!(row.acknowledged() + row.rejected(), all, "{row}");
        let missing = u64::from(issued) - all;
        let dropped: u64 = row.dropped().map(|(_, count)| count).sum();
        assert_eq!(missing, dropped + row.ambiguous(), "{row}");
        let unanswered: u64 = of_signal()
            .filter(|asked| matches!(asked.answer, None | Some(Answer::Unanswered { .. })))
            .map(|asked| asked.ids.len() as u64)
            .sum();
        assert_eq!(row.ambiguous(), unanswered, "{row}");
        assert_eq!(row.dropped_for(Reason::ExporterPanic), 0);
    }
}
