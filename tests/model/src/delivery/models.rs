//! What holds whatever the order.

use super::{
    custody::{Bounds, Custody, Due, Fate},
    handoff::{Handoff, Held},
    ledger::{LedgerRow, Reason},
};
use crate::{
    records::{Priority, Record, Signal},
    sync::Arc,
};
use loom::thread;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

pub(crate) const MODELS: [(&str, fn()); 5] = [
    (
        "a record that meets the closing is taken or counted and never left behind",
        a_record_that_meets_the_closing_is_taken_or_counted_and_never_left_behind,
    ),
    (
        "a source that must not wait leaves its record or is told that it is lost",
        a_source_that_must_not_wait_leaves_its_record_or_is_told_that_it_is_lost,
    ),
    (
        "whoever reads the ledger amid a step finds every record in one place",
        whoever_reads_the_ledger_amid_a_step_finds_every_record_in_one_place,
    ),
    (
        "shutdown and the task that sends agree on who counts what is under way",
        shutdown_and_the_task_that_sends_agree_on_who_counts_what_is_under_way,
    ),
    (
        "what makes room for another is counted while its like is sent",
        what_makes_room_for_another_is_counted_while_its_like_is_sent,
    ),
];

/// Runs a model once for each order of its threads' steps.
fn in_every_order(model: impl Fn() + Send + Sync + 'static) {
    loom::model::Builder::new().check(move || {
        ORDERS.fetch_add(1, Ordering::Relaxed);
        model();
    });
}

/// Orders that were run.
pub(crate) static ORDERS: AtomicUsize = AtomicUsize::new(0);

fn handoff() -> Arc<Handoff> {
    Arc::new(Handoff::with_shards(1, 1 << 16, &[Signal::Logs]))
}

fn custody(bounds: Bounds) -> Arc<Custody> {
    Arc::new(Custody::new("there".to_owned(), vec![Signal::Logs], bounds))
}

fn row(custody: &Custody, handoff: &Handoff) -> LedgerRow {
    let row = custody.rows(handoff).next().unwrap();
    assert_eq!(row.difference(), 0, "{row}");
    row
}

/// Takes what lies in the hand-off into custody, as the intake does.
fn empty(handoff: &Handoff, custody: &Custody, now: Instant) {
    handoff.take(&mut Held::default(), |held| {
        for (record, fields) in held.iter() {
            custody.accept(Signal::Logs, record.priority(), fields, now);
        }
    });
}

fn dropped(row: &LedgerRow) -> u64 {
    row.dropped().map(|(_, count)| count).sum()
}

fn a_record_that_meets_the_closing_is_taken_or_counted_and_never_left_behind() {
    in_every_order(|| {
        let handoff = handoff();
        let sources = [Priority::Routine, Priority::Errors].map(|priority| {
            let handoff = Arc::clone(&handoff);
            thread::spawn(move || handoff.offer(Record(priority), b"id"))
        });
        // The intake's last round.
        let mut taken = 0;
        handoff.close();
        handoff.take(&mut Held::default(), |held| taken += held.iter().count());
        for source in sources {
            source.join().unwrap();
        }
        let mut left = 0;
        handoff.take(&mut Held::default(), |held| left += held.iter().count());
        let counts = handoff.counts(Signal::Logs);
        assert_eq!(left, 0, "left behind");
        assert_eq!(counts.accepted, 2);
        assert_eq!(counts.accepted - counts.after_shutdown, taken as u64);
    });
}

fn a_source_that_must_not_wait_leaves_its_record_or_is_told_that_it_is_lost() {
    in_every_order(|| {
        let handoff = handoff();
        let source = {
            let handoff = Arc::clone(&handoff);
            thread::spawn(move || handoff.offer(Record(Priority::Routine), b"id"))
        };
        let is_left = handoff.offer_without_waiting(Record(Priority::Errors), b"id");
        source.join().unwrap();
        let counts = handoff.counts(Signal::Logs);
        assert_eq!(counts.accepted, 2);
        assert_eq!(counts.queue_full, u64::from(!is_left));
    });
}

fn whoever_reads_the_ledger_amid_a_step_finds_every_record_in_one_place() {
    in_every_order(|| {
        let (handoff, custody, now) = (handoff(), custody(Bounds::default()), Instant::now());
        let source = {
            let handoff = Arc::clone(&handoff);
            thread::spawn(move || handoff.offer(Record(Priority::Events), b"id"))
        };
        let worker = {
            let (handoff, custody) = (Arc::clone(&handoff), Arc::clone(&custody));
            thread::spawn(move || {
                empty(&handoff, &custody, now);
                if let Some(batch) = custody.take(Signal::Logs, now, Due::All, 512) {
                    assert!(custody.depart(Signal::Logs));
                    drop(batch);
                    custody.settle(Signal::Logs, Fate::Taken { rejected: 0 });
                }
            })
        };
        let amid = row(&custody, &handoff);
        let later = row(&custody, &handoff);
        assert!(later.accepted() >= amid.accepted());
        assert!(later.acknowledged() >= amid.acknowledged());
        source.join().unwrap();
        worker.join().unwrap();
        let last = row(&custody, &handoff);
        assert_eq!(last.accepted(), 1);
        assert_eq!(last.acknowledged() + last.queued(), 1);
    });
}

fn shutdown_and_the_task_that_sends_agree_on_who_counts_what_is_under_way() {
    for is_taken in [true, false] {
        in_every_order(move || {
            let (handoff, custody, now) = (handoff(), custody(Bounds::default()), Instant::now());
            handoff.offer(Record(Priority::Routine), b"a");
            let source = {
                let handoff = Arc::clone(&handoff);
                thread::spawn(move || handoff.offer(Record(Priority::Errors), b"b"))
            };
            let task = {
                let (handoff, custody) = (Arc::clone(&handoff), Arc::clone(&custody));
                thread::spawn(move || {
                    empty(&handoff, &custody, now);
                    let mut sent = 0;
                    while let Some(batch) = custody.take(Signal::Logs, now, Due::All, 512) {
                        if !custody.depart(Signal::Logs) {
                            break;
                        }
                        sent += batch.len();
                        match is_taken {
                            true => custody.settle(Signal::Logs, Fate::Taken { rejected: 0 }),
                            false => {
                                custody.put_back(Signal::Logs, Some(batch));
                                break;
                            }
                        }
                    }
                    sent
                })
            };
            handoff.close();
            custody.close();
            empty(&handoff, &custody, now);
            let amid = row(&custody, &handoff);
            assert_eq!(amid.in_flight(), 0, "{amid}");
            source.join().unwrap();
            let sent = task.join().unwrap();
            let last = row(&custody, &handoff);
            assert_eq!(
                (last.accepted(), last.queued(), last.in_flight()),
                (2, 0, 0),
                "{last}"
            );
            // What was not sent is never ambiguous; what was taken is never dropped.
            assert!(last.ambiguous() + last.acknowledged() <= sent, "{last}");
            assert_eq!(
                last.acknowledged() + last.ambiguous() + dropped(&last),
                2,
                "{last}"
            );
            if is_taken {
                assert_eq!(last.acknowledged() + last.ambiguous(), sent, "{last}");
            }
        });
    }
}

fn what_makes_room_for_another_is_counted_while_its_like_is_sent() {
    in_every_order(|| {
        let bounds = Bounds {
            // Of two records, each with where it ends.
            bytes: 2 * (1 + size_of::<usize>()),
            ..Bounds::default()
        };
        let (handoff, custody, now) = (handoff(), custody(bounds), Instant::now());
        for _ in 0..4 {
            handoff.offer(Record(Priority::Routine), b"r");
        }
        let task = {
            let custody = Arc::clone(&custody);
            thread::spawn(move || {
                let Some(batch) = custody.take(Signal::Logs, now, Due::All, 512) else {
                    return 0;
                };
                assert!(custody.depart(Signal::Logs));
                custody.settle(Signal::Logs, Fate::Ambiguous);
                batch.len()
            })
        };
        empty(&handoff, &custody, now);
        let sent = task.join().unwrap();
        let last = row(&custody, &handoff);
        assert_eq!(last.ambiguous(), sent);
        assert_eq!(
            last.queued() + last.dropped_for(Reason::BytesFull) + sent,
            4,
            "{last}"
        );
        assert!(custody.bytes() <= 2 * (1 + size_of::<usize>()));
    });
}
