//! The worker's side of the hand-off: stages, then every destination that wants the record.

use super::{
    Entry, LedgerRow, Stage,
    handoff::Held,
    losses::Losses,
    outlet::{Orders, Outlet},
};
use crate::{
    clock::Clock,
    delivery::Handoff,
    mutation::{self, Mutation},
    records::{Fields, Limits, Record, Signal},
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time};

/// How often the worker looks when nothing calls it.
const TICK: Duration = Duration::from_millis(200);
/// And when much comes: nobody has to call it then.
const SHORT_TICK: Duration = Duration::from_millis(5);

/// All destinations of one telemetry, and what leads to them.
pub(crate) struct Delivery {
    handoff: &'static Handoff,
    outlets: Vec<Arc<Outlet>>,
    /// The rows of what others deliver.
    others: OnceLock<RowOfOther>,
    work: Mutex<Work>,
    clock: Clock,
    limits: Limits,
    /// The number of the last flush that was asked for.
    asked: watch::Sender<u64>,
    /// The number of the flush up to which the hand-off has been emptied.
    emptied: watch::Sender<u64>,
    is_last: watch::Sender<bool>,
}

/// Reads the row of something that is delivered by others than the outlets.
pub(crate) type RowOfOther = Box<dyn Fn() -> LedgerRow + Send + Sync>;

/// What the intake uses again and again.
#[derive(Default)]
struct Work {
    stages: Vec<Box<dyn Stage>>,
    taken: Held,
    encoded: Vec<u8>,
    staged: Vec<u8>,
}

impl Delivery {
    pub(crate) fn new(
        handoff: &'static Handoff,
        outlets: Vec<Outlet>,
        stages: Vec<Box<dyn Stage>>,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        Self {
            handoff,
            outlets: outlets.into_iter().map(Arc::new).collect(),
            others: OnceLock::new(),
            work: Mutex::new(Work {
                stages,
                ..Work::default()
            }),
            clock,
            limits,
            asked: watch::Sender::new(0),
            emptied: watch::Sender::new(0),
            is_last: watch::Sender::new(false),
        }
    }

    pub(crate) fn outlets(&self) -> &[Arc<Outlet>] {
        &self.outlets
    }

    /// Tells of something more in the ledger, once.
    pub(crate) fn tell_of(&self, other: RowOfOther) {
        let _ = self.others.set(other);
    }

    /// What became of everything, by destination and signal.
    pub(crate) fn rows(&self) -> Vec<LedgerRow> {
        let rows = self.outlets.iter().map(|outlet| outlet.rows(self.handoff));
        let others = self.others.get().map(|row| row());
        rows.flatten().chain(others).collect()
    }

    /// The tenant that empties the hand-off, until it is told to stop and has emptied it for the
    /// last time.
    pub(crate) async fn run_intake(&self, mut stop: watch::Receiver<bool>) {
        let mut losses = Losses::default();
        loop {
            let (is_last, asked) = (*stop.borrow(), *self.asked.borrow());
            if is_last {
                self.handoff.close();
            }
            let was_full = self.empty();
            losses.tell(|| self.rows(), self.clock.now());
            self.emptied.send_replace(asked);
            if is_last {
                self.is_last.send_replace(true);
                return;
            }
            let mut flushes = self.asked.subscribe();
            if *flushes.borrow_and_update() > asked {
                continue;
            }
            let woken = async {
                match was_full {
                    true => time::sleep(SHORT_TICK).await,
                    false => {
                        let _ = time::timeout(TICK, self.handoff.filled()).await;
                    }
                }
            };
            tokio::select! {
                () = woken => {}
                _ = flushes.changed() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// The tenant that sends one signal to one destination.
    pub(crate) async fn run_outlet(&self, outlet: Arc<Outlet>, signal: Signal) {
        let orders = Orders {
            emptied: self.emptied.subscribe(),
            is_last: self.is_last.subscribe(),
        };
        outlet.run(signal, orders).await;
    }

    /// Sends all that was recorded before, at most `within`. Whether it came to its end.
    pub(crate) async fn flush(&self, within: Duration) -> bool {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        self.handoff.wake();
        let all = async {
            for outlet in &self.outlets {
                outlet.flushed(number).await;
            }
        };
        time::timeout(within, all).await.is_ok()
    }

    /// The end: what is left is counted as given up, by the reason that its time was over.
    pub(crate) fn close(&self) {
        self.handoff.close();
        for outlet in &self.outlets {
            outlet.close();
        }
        // Held by the worker, which then counts what it has in hand: it is not waited for.
        if let Ok(work) = self.work.try_lock() {
            self.empty_with(work);
        }
    }

    /// Whether so much had come that it is to be done again soon.
    fn empty(&self) -> bool {
        if mutation::is_on(Mutation::SharedFate) && self.outlets.iter().any(|o| o.is_paused()) {
            return false;
        }
        self.empty_with(self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn empty_with(&self, mut work: MutexGuard<'_, Work>) -> bool {
        let Work {
            stages,
            taken,
            encoded,
            staged,
        } = &mut *work;
        let anchor = self.clock.anchor();
        let now = self.clock.now();
        let mut has_any = false;
        let was_full = self.handoff.take(taken, |held| {
            has_any = true;
            for (record, fields) in held.iter() {
                let fields = match self.handoff.is_closed() && self.are_closed() {
                    // Given up by all: nobody will read what a stage adds.
                    true => fields,
                    false => stage(stages, record, fields, self.limits, staged),
                };
                let entry = Entry {
                    record,
                    fields,
                    anchor: &anchor,
                };
                for outlet in &self.outlets {
                    outlet.accept(entry, now, encoded);
                }
            }
        });
        if has_any {
            self.outlets.iter().for_each(|outlet| outlet.announce());
        }
        was_full
    }

    fn are_closed(&self) -> bool {
        self.outlets.iter().all(|outlet| outlet.is_closed())
    }
}

/// The fields as the stages leave them; `staged` is memory for what they add.
fn stage<'a>(
    stages: &mut [Box<dyn Stage>],
    record: &Record,
    fields: &'a [u8],
    limits: Limits,
    staged: &'a mut Vec<u8>,
) -> &'a [u8] {
    if !matches!(record, Record::Error(..)) {
        return fields;
    }
    staged.clear();
    staged.extend_from_slice(fields);
    let mut more = Fields::new(limits, std::mem::take(staged));
    for stage in stages {
        // One that panics adds nothing more; the record goes on without.
        let _ = catch_unwind(AssertUnwindSafe(|| stage.apply(record, &mut more)));
    }
    *staged = more.into_bytes();
    staged
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("outlets", &self.outlets)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::{Answer, Batching, Bounds, Encode, Parts, Reason, Sending, Transport},
        ids::{SpanContext, SpanId, TraceId},
        metrics::{self, Descriptor, Registry, Unit},
        records::{Log, Severity, Span, SpanKind, Value, read},
    };
    use bytes::Bytes;
    use compact_str::CompactString;
    use std::collections::VecDeque;

    /// Spells a record as its number.
    struct Numbers;

    impl Encode for Numbers {
        fn record(&self, entry: Entry<'_>, out: &mut Vec<u8>) {
            for (_, value) in read(entry.fields) {
                let Value::Integer(number) = value else {
                    panic!("planted");
                };
                out.push(u8::try_from(number).unwrap());
            }
        }

        fn request(&self, _: Signal, records: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
            records.flatten().copied().collect()
        }
    }

    /// What a request is answered, by its bytes; `None`: nothing, ever.
    type ByBytes = dyn Fn(Signal, &[u8]) -> Option<Answer> + Send + Sync;

    /// Answers by a function of the request's bytes and keeps what it took.
    #[derive(Clone)]
    struct Backend {
        answer: Arc<ByBytes>,
        script: Arc<Mutex<VecDeque<Answer>>>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl fmt::Debug for Backend {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Backend")
        }
    }

    impl Transport for Backend {
        fn send(&self, signal: Signal, body: Bytes) -> Sending<'_> {
            Box::pin(async move {
                let scripted = self.script.lock().unwrap().pop_front();
                let answer = scripted.or_else(|| (self.answer)(signal, &body));
                let Some(answer) = answer else {
                    return std::future::pending().await;
                };
                if matches!(answer, Answer::Accepted { .. }) {
                    self.taken.lock().unwrap().extend_from_slice(&body);
                }
                answer
            })
        }
    }

    const ACCEPTED: Answer = Answer::Accepted {
        rejected: 0,
        message: None,
    };

    fn unavailable() -> Answer {
        Answer::Unavailable {
            after: None,
            reason: "busy".to_owned(),
        }
    }

    impl Backend {
        fn that(answer: impl Fn(&[u8]) -> Option<Answer> + Send + Sync + 'static) -> Self {
            Self::that_by_signal(move |_, body| answer(body))
        }

        fn that_by_signal(
            answer: impl Fn(Signal, &[u8]) -> Option<Answer> + Send + Sync + 'static,
        ) -> Self {
            Self {
                answer: Arc::new(answer),
                script: Arc::default(),
                taken: Arc::default(),
            }
        }

        fn that_begins_with(answers: impl IntoIterator<Item = Answer>) -> Self {
            let backend = Self::that(|_| Some(ACCEPTED));
            backend.script.lock().unwrap().extend(answers);
            backend
        }

        fn taken(&self) -> Vec<u8> {
            let mut taken = self.taken.lock().unwrap().clone();
            taken.sort_unstable();
            taken
        }
    }

    struct Rig {
        delivery: Arc<Delivery>,
        worker: crate::worker::Worker,
    }

    impl Rig {
        fn new(backend: Backend, bounds: Bounds) -> Self {
            let clock = Clock::system();
            let handoff: &'static Handoff = Box::leak(Box::new(Handoff::new(
                1 << 20,
                &[Signal::Traces, Signal::Logs],
            )));
            let registry = Registry::new(metrics::Limits::default(), clock.clone());
            const DURATION: Descriptor = Descriptor::histogram("duration", Unit::SECONDS, "Time.");
            let duration = registry.histogram(&DURATION);
            let outlet = Outlet::new(
                Parts {
                    name: "backend".to_owned(),
                    signals: vec![Signal::Traces, Signal::Logs],
                    endpoints: [0, 1, 2],
                    encode: Arc::new(Numbers),
                    transport: Arc::new(backend),
                    push: None,
                    push_interval: Duration::from_secs(60),
                    push_timeout: Duration::from_secs(30),
                    bounds,
                    duration: duration.kept(&[]),
                },
                clock.clone(),
            );
            let limits = Limits::default();
            let delivery = Delivery::new(handoff, vec![outlet], Vec::new(), clock, limits);
            let delivery = Arc::new(delivery);
            let worker = crate::worker::Worker::start().unwrap();
            let intake = Arc::clone(&delivery);
            worker.settle(move |stop| {
                let intake = Arc::clone(&intake);
                async move { intake.run_intake(stop).await }
            });
            for signal in delivery.outlets[0].signals() {
                let sender = Arc::clone(&delivery);
                worker.settle(move |_| {
                    let sender = Arc::clone(&sender);
                    async move {
                        let outlet = Arc::clone(&sender.outlets[0]);
                        sender.run_outlet(outlet, signal).await;
                    }
                });
            }
            Self { delivery, worker }
        }

        fn offer(&self, numbers: impl IntoIterator<Item = u8>) {
            for number in numbers {
                let log = Log {
                    context: None,
                    at: self.delivery.clock.now(),
                    severity: Severity::Info,
                    event_name: CompactString::default(),
                };
                Fields::compose(Limits::default(), |fields| {
                    match number {
                        u8::MAX => fields.word("n", "no number"),
                        number => fields.integer("n", number.into()),
                    }
                    self.delivery
                        .handoff
                        .offer(Record::Log(log), fields.as_bytes());
                });
            }
        }

        fn flush(&self) -> LedgerRow {
            assert!(block_on(self.delivery.flush(Duration::from_secs(10))));
            self.row()
        }

        fn shut_down(&self, within: Duration) -> LedgerRow {
            block_on(self.worker.stop(within));
            self.delivery.close();
            self.row()
        }

        fn row(&self) -> LedgerRow {
            self.row_of(Signal::Logs)
        }

        fn row_of(&self, signal: Signal) -> LedgerRow {
            let mut rows = self.delivery.rows().into_iter();
            let row = rows.find(|row| row.signal() == signal.name()).unwrap();
            assert_eq!(row.difference(), 0, "{row}");
            row
        }

        fn offer_span(&self) {
            let now = self.delivery.clock.now();
            let span = Span {
                context: SpanContext {
                    trace_id: TraceId::random(),
                    span_id: SpanId::random(),
                    is_sampled: true,
                },
                parent: None,
                kind: SpanKind::Internal,
                name: CompactString::const_new("span"),
                started: now,
                duration: Duration::ZERO,
                is_error: false,
            };
            self.delivery.handoff.offer(Record::Span(span), &[]);
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(future)
    }

    fn bounds(batch_records: usize) -> Bounds {
        let batching = Batching {
            records: batch_records,
            ..Batching::default()
        };
        Bounds {
            batching: [batching; 2],
            ..Bounds::default()
        }
    }

    fn dropped(row: &LedgerRow, reason: Reason) -> u64 {
        row.dropped()
            .find(|(known, _)| *known == reason)
            .map_or(0, |(_, count)| count)
    }

    #[test]
    fn all_that_was_recorded_before_a_flush_is_acknowledged_after_it() {
        let backend = Backend::that(|_| Some(ACCEPTED));
        let rig = Rig::new(backend.clone(), Bounds::default());
        rig.offer(0..100);
        let row = rig.flush();
        assert_eq!((row.accepted(), row.acknowledged()), (100, 100));
        assert_eq!(backend.taken(), (0..100).collect::<Vec<_>>());
        assert!(rig.shut_down(Duration::from_secs(5)).is_settled());
    }

    #[test]
    fn what_is_not_taken_is_sent_again() {
        let backend = Backend::that_begins_with([unavailable(), unavailable()]);
        let rig = Rig::new(backend.clone(), Bounds::default());
        rig.offer(0..10);
        assert!(rig.flush().is_settled());
        assert_eq!(backend.taken().len(), 10);
        assert!(!rig.delivery.outlets[0].is_paused());
    }

    #[test]
    fn of_a_request_that_is_too_large_one_record_is_lost_at_most() {
        let backend = Backend::that(|body| match body.contains(&13) {
            true => Some(Answer::TooLarge {
                reason: "13".to_owned(),
            }),
            false => Some(ACCEPTED),
        });
        let rig = Rig::new(backend.clone(), Bounds::default());
        rig.offer(0..50);
        let row = rig.flush();
        assert_eq!(row.acknowledged(), 49);
        assert_eq!(dropped(&row, Reason::TooLarge), 1);
        assert!(!backend.taken().contains(&13));
    }

    #[test]
    fn what_the_destination_rejects_is_counted_and_not_sent_again() {
        let backend = Backend::that_begins_with([Answer::Accepted {
            rejected: 3,
            message: Some("three".to_owned()),
        }]);
        let rig = Rig::new(backend.clone(), Bounds::default());
        rig.offer(0..10);
        let row = rig.flush();
        assert_eq!((row.rejected(), row.acknowledged()), (3, 7));
        assert_eq!(backend.taken().len(), 10);
    }

    #[test]
    fn what_it_refuses_or_never_answers_is_not_sent_again() {
        let (refused, unanswered) = ("refused".to_owned(), "unanswered".to_owned());
        let backend = Backend::that_begins_with([
            Answer::Refused { reason: refused },
            Answer::Unanswered { reason: unanswered },
        ]);
        let rig = Rig::new(backend.clone(), Bounds::default());
        rig.offer(0..4);
        assert_eq!(dropped(&rig.flush(), Reason::NonRetryable), 4);
        rig.offer(4..6);
        assert_eq!(rig.flush().ambiguous(), 2);
        assert!(backend.taken().is_empty());
    }

    #[test]
    fn an_encoder_or_a_transport_that_panics_loses_what_it_had_in_hand() {
        let backend = Backend::that(|body| match body.contains(&7) {
            true => panic!("planted"),
            false => Some(ACCEPTED),
        });
        let bounds = bounds(1);
        let rig = Rig::new(backend, bounds);
        rig.offer([6, 7, 8, u8::MAX]);
        let row = rig.flush();
        assert_eq!(row.acknowledged(), 2);
        assert_eq!(dropped(&row, Reason::ExporterPanic), 2);
    }

    #[test]
    fn shutdown_before_a_silent_destination_tells_what_may_have_arrived_and_what_has_not() {
        let backend = Backend::that(|_| None);
        let bounds = bounds(3);
        let rig = Rig::new(backend, bounds);
        rig.offer(0..10);
        let row = rig.shut_down(Duration::from_millis(300));
        assert_eq!(row.ambiguous(), 3, "{row}");
        assert_eq!(dropped(&row, Reason::Deadline), 7);
        rig.offer([1]);
        assert_eq!(dropped(&rig.row(), Reason::AfterShutdown), 1);
    }

    #[test]
    fn shutdown_does_not_wait_for_a_destination_that_asked_for_time() {
        let backend = Backend::that(|_| {
            Some(Answer::Unavailable {
                after: Some(Duration::from_secs(60)),
                reason: "later".to_owned(),
            })
        });
        let rig = Rig::new(backend, Bounds::default());
        rig.offer(0..10);
        let began = rig.delivery.clock.now();
        let row = rig.shut_down(Duration::from_secs(20));
        assert!(rig.delivery.clock.now() - began < Duration::from_secs(5));
        assert_eq!(dropped(&row, Reason::Deadline), 10, "{row}");
    }

    #[test]
    fn an_endpoint_that_is_away_holds_up_its_own_signal_alone() {
        let backend = Backend::that_by_signal(|signal, _| match signal {
            Signal::Traces => Some(unavailable()),
            _ => Some(ACCEPTED),
        });
        let rig = Rig::new(backend, Bounds::default());
        rig.offer_span();
        rig.offer(0..8);
        let deadline = rig.delivery.clock.now() + Duration::from_secs(10);
        while !rig.row().is_settled() && rig.delivery.clock.now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(rig.row().acknowledged(), 8);
        assert_eq!(rig.row_of(Signal::Traces).acknowledged(), 0);
        assert!(rig.delivery.outlets[0].is_paused());
    }

    #[test]
    fn a_second_shutdown_amid_a_split_counts_nothing_twice() {
        let backend = Backend::that(|body| match body.len() {
            1 => None,
            _ => Some(Answer::TooLarge {
                reason: "large".to_owned(),
            }),
        });
        let rig = Rig::new(backend, Bounds::default());
        rig.offer(0..8);
        let row = rig.shut_down(Duration::from_millis(400));
        assert_eq!(row.ambiguous(), 1, "{row}");
        assert_eq!(dropped(&row, Reason::Deadline), 7, "{row}");
        let again = rig.shut_down(Duration::from_millis(100));
        assert_eq!(again, row);
    }

    #[test]
    fn a_full_queue_gives_up_the_oldest_and_counts_it() {
        let backend = Backend::that(|_| None);
        let bounds = Bounds {
            // Of twenty records, each with where it ends.
            bytes: 20 * 9,
            ..bounds(4)
        };
        let rig = Rig::new(backend, bounds);
        rig.offer(0..60);
        let row = rig.shut_down(Duration::from_millis(500));
        assert_eq!(dropped(&row, Reason::BytesFull), 40, "{row}");
        assert_eq!(row.ambiguous() + dropped(&row, Reason::Deadline), 20);
    }
}
