//! A hand-off, destinations and their tasks on one thread, before backends that answer as told.

use crate::{
    clock::Clock,
    delivery::{
        Answer, Batching, Bounds, Conclusion, Delivery, Encode, Entry, Handoff, LedgerRow, Outlet,
        Parts, Push, Sending, Transport,
    },
    ids::{SpanContext, SpanId, TraceId},
    metrics::{self, Descriptor, Registry, Unit},
    records::{
        EXCEPTION, Fields, Limits, Log, Record, Severity, Signal, Span, SpanKind, Value, read,
    },
};
use bytes::Bytes;
use compact_str::CompactString;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time};

/// What kind of record an id is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Event,
    Line,
    Span,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Error, Self::Event, Self::Line, Self::Span];

    fn record(self, clock: &Clock) -> Record {
        let at = clock.now();
        let log = |event_name| {
            Record::Log(Log {
                context: None,
                at,
                severity: Severity::Info,
                event_name,
            })
        };
        match self {
            Self::Error => log(CompactString::const_new(EXCEPTION)),
            Self::Event => log(CompactString::const_new("event")),
            Self::Line => log(CompactString::default()),
            Self::Span => Record::Span(Span {
                context: SpanContext {
                    trace_id: TraceId::random(),
                    span_id: SpanId::random(),
                    is_sampled: true,
                },
                parent: None,
                kind: SpanKind::Internal,
                name: CompactString::const_new("span"),
                started: at,
                duration: Duration::ZERO,
                is_error: false,
            }),
        }
    }
}

/// An id that the encoder panics over.
pub(super) const POISONOUS: u32 = u32::MAX;
/// The bytes of an encoded record.
const RECORD: usize = 4;
/// What a record takes of the budget.
pub(super) const RECORD_BYTES: usize = RECORD + size_of::<usize>();

/// Spells a record as its id.
struct Ids;

impl Encode for Ids {
    fn record(&self, entry: Entry<'_>, out: &mut Vec<u8>) {
        for (_, value) in read(entry.fields) {
            if let Value::Integer(id) = value {
                let id = u32::try_from(id).unwrap();
                assert_ne!(id, POISONOUS, "planted");
                out.extend_from_slice(&id.to_le_bytes());
            }
        }
    }

    fn request(&self, _: Signal, records: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
        records.flatten().copied().collect()
    }
}

/// No metrics.
struct Nothing;

impl Push for Nothing {
    fn begin(&mut self) {}

    fn request(&mut self, _: usize) -> Option<Vec<u8>> {
        None
    }

    fn concluded(&mut self, _: Conclusion) -> bool {
        false
    }
}

/// A request, as a backend sees it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Since the world began.
    pub(super) at: Duration,
    pub(super) signal: Signal,
    pub(super) ids: Vec<u32>,
    /// What it was answered; `None`: nothing yet.
    pub(super) answer: Option<Answer>,
}

impl Asked {
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.answer, Some(Answer::Accepted { .. }))
    }
}

/// An answer, and how long it takes; no answer at all: `None`.
pub(super) type Reply = Option<(Duration, Answer)>;

type Answers = dyn FnMut(&Asked) -> Reply + Send;

#[derive(Clone)]
pub(super) struct Backend {
    answers: Arc<Mutex<Box<Answers>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    began: time::Instant,
}

impl Backend {
    /// Answers at once.
    pub(super) fn that(mut answer: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        Self::that_replies(move |asked| Some((Duration::ZERO, answer(asked))))
    }

    pub(super) fn that_replies(reply: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        Self {
            answers: Arc::new(Mutex::new(Box::new(reply))),
            asked: Arc::default(),
            began: time::Instant::now(),
        }
    }

    /// Answers so, and then takes everything.
    pub(super) fn that_begins_with(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self::that(move |_| answers.pop().unwrap_or(TAKEN))
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The ids that it took, in order; one that it took twice is there twice.
    pub(super) fn taken(&self) -> Vec<u32> {
        let asked = self.asked();
        let taken = asked.iter().filter(|asked| asked.is_taken());
        let mut taken: Vec<_> = taken.flat_map(|asked| asked.ids.clone()).collect();
        taken.sort_unstable();
        taken
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backend")
    }
}

impl Transport for Backend {
    fn send(&self, signal: Signal, body: Bytes) -> Sending<'_> {
        Box::pin(async move {
            let ids = body.chunks_exact(RECORD);
            let asked = Asked {
                at: self.began.elapsed(),
                signal,
                ids: ids
                    .map(|id| u32::from_le_bytes(id.try_into().unwrap()))
                    .collect(),
                answer: None,
            };
            let number = {
                let mut all = self.asked.lock().unwrap();
                all.push(asked.clone());
                all.len() - 1
            };
            // One that panics leaves the lock poisoned, and answers again.
            let reply = self.answers.lock().unwrap_or_else(PoisonError::into_inner)(&asked);
            let Some((after, answer)) = reply else {
                return std::future::pending().await;
            };
            time::sleep(after).await;
            self.asked.lock().unwrap()[number].answer = Some(answer.clone());
            answer
        })
    }
}

pub(super) const TAKEN: Answer = Answer::Accepted {
    rejected: 0,
    message: None,
};

pub(super) fn busy(after: Option<Duration>) -> Answer {
    Answer::Unavailable {
        after,
        reason: "busy".to_owned(),
    }
}

pub(super) fn away() -> Answer {
    Answer::Unreachable {
        reason: "away".to_owned(),
    }
}

pub(super) fn malformed() -> Answer {
    Answer::Malformed {
        reason: "malformed".to_owned(),
    }
}

pub(super) fn too_large() -> Answer {
    Answer::TooLarge {
        reason: "too large".to_owned(),
    }
}

pub(super) fn denied() -> Answer {
    Answer::Denied {
        reason: "denied".to_owned(),
    }
}

pub(super) fn unanswered() -> Answer {
    Answer::Unanswered {
        reason: "unanswered".to_owned(),
    }
}

pub(super) struct World {
    pub(super) delivery: Arc<Delivery>,
    handoff: &'static Handoff,
    clock: Clock,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl World {
    pub(super) fn of(backend: &Backend) -> Self {
        Self::with(&[backend], Bounds::default())
    }

    pub(super) fn with(backends: &[&Backend], bounds: Bounds) -> Self {
        Self::built(backends, bounds, [0; 3], None)
    }

    /// With metrics, every minute.
    pub(super) fn pushing(backend: &Backend, push: impl Push) -> Self {
        Self::built(&[backend], Bounds::default(), [0; 3], Some(Box::new(push)))
    }

    /// Signals of one number go to one endpoint.
    pub(super) fn with_endpoints(backend: &Backend, endpoints: [usize; 3]) -> Self {
        Self::built(&[backend], Bounds::default(), endpoints, None)
    }

    fn built(
        backends: &[&Backend],
        bounds: Bounds,
        endpoints: [usize; 3],
        push: Option<Box<dyn Push>>,
    ) -> Self {
        let clock = Clock::simulated();
        let mut signals = vec![Signal::Traces, Signal::Logs];
        if push.is_some() {
            signals.push(Signal::Metrics);
        }
        let mut push = push;
        let handoff: &'static Handoff = Box::leak(Box::new(Handoff::new(16 << 20, &signals)));
        let registry = Registry::new(metrics::Limits::default(), clock.clone());
        const DURATION: Descriptor = Descriptor::histogram("duration", Unit::SECONDS, "Time.");
        let outlets = backends.iter().enumerate().map(|(number, backend)| {
            let parts = Parts {
                name: format!("backend {number}"),
                signals: signals.clone(),
                endpoints,
                encode: Arc::new(Ids),
                transport: Arc::new((*backend).clone()),
                push: push.take().unwrap_or_else(|| Box::new(Nothing)),
                push_interval: Duration::from_secs(60),
                push_timeout: Duration::from_secs(30),
                bounds,
                duration: registry.histogram(&DURATION).kept(&[]),
            };
            Outlet::new(parts, clock.clone())
        });
        let limits = Limits::default();
        let delivery = Delivery::new(
            handoff,
            outlets.collect(),
            Vec::new(),
            clock.clone(),
            clock.clone(),
            limits,
        );
        let delivery = Arc::new(delivery);
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let intake = Arc::clone(&delivery);
        let stopped = stop.subscribe();
        tasks.spawn(async move { intake.run_intake(stopped).await });
        for outlet in delivery.outlets() {
            for signal in outlet.signals() {
                let (delivery, outlet) = (Arc::clone(&delivery), Arc::clone(outlet));
                tasks.spawn(async move { delivery.run_outlet(outlet, signal).await });
            }
        }
        Self {
            delivery,
            handoff,
            clock,
            stop,
            tasks,
        }
    }

    pub(super) fn offer(&self, kind: Kind, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            Fields::compose(Limits::default(), |fields| {
                fields.integer("id", id.into());
                let record = kind.record(&self.clock);
                self.handoff.offer(record, fields.as_bytes());
            });
        }
    }

    pub(super) async fn flush(&self) {
        assert!(self.delivery.flush(Duration::from_secs(3_600)).await);
    }

    /// Tells all tasks to end, and closes what has not ended by then.
    pub(super) async fn shut_down(&mut self, within: Duration) {
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = time::timeout(within, all).await;
        self.tasks.abort_all();
        self.delivery.close();
    }

    /// The rows, each of which must account for everything.
    pub(super) fn rows(&self) -> Vec<LedgerRow> {
        let rows = self.delivery.rows();
        for row in &rows {
            assert_eq!(row.difference(), 0, "{row}");
        }
        rows
    }

    pub(super) fn row(&self, signal: Signal) -> LedgerRow {
        let mut rows = self.rows().into_iter();
        rows.find(|row| row.signal() == signal.name()).unwrap()
    }

    pub(super) fn logs(&self) -> LedgerRow {
        self.row(Signal::Logs)
    }
}

pub(super) fn of_records(records: usize) -> Bounds {
    let batching = Batching {
        records,
        ..Batching::default()
    };
    Bounds {
        batching: [batching; 2],
        ..Bounds::default()
    }
}

pub(super) async fn after(seconds: f64) {
    time::sleep(Duration::from_secs_f64(seconds)).await;
}
