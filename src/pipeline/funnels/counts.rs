//! What the attempts at one funnel are counted by.

use crate::{
    catalog::{
        events::{
            FUNNEL_CLOSED, FUNNEL_DURATION, FUNNEL_OPEN, FUNNEL_OPENED, FUNNEL_REACHED,
            FUNNEL_REFUSED, FUNNEL_STEP_DURATION,
        },
        funnel::Funnel,
    },
    metrics::{Counter, Family, Histogram, Registry, UpDownCounter},
    semconv,
    shared_state::{Outcome, Taken, Turn},
};
use std::{sync::Arc, time::Duration};

/// Why a step could not be counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    NoSubject,
    Late,
    UnitsFull,
    QueueFull,
    /// Where it would be kept there is something else.
    Unavailable,
    /// Its unit could not be read.
    Garbled,
}

impl Refusal {
    const ALL: [(Self, &str); 6] = [
        (Self::NoSubject, "no_subject"),
        (Self::Late, "late"),
        (Self::UnitsFull, "units_full"),
        (Self::QueueFull, "queue_full"),
        (Self::Unavailable, "unavailable"),
        (Self::Garbled, "garbled"),
    ];
}

impl Outcome {
    const ALL: [(Self, &str); 3] = [
        (Self::Converted, "converted"),
        (Self::Abandoned, "abandoned"),
        (Self::Excluded, "excluded"),
    ];
}

#[derive(Debug)]
pub(super) struct Counts {
    opened: Arc<Counter>,
    open: Arc<UpDownCounter>,
    duration: Arc<Histogram>,
    refused: [Arc<Counter>; Refusal::ALL.len()],
    steps: Box<[OfStep]>,
}

#[derive(Debug)]
struct OfStep {
    reached: Arc<Counter>,
    duration: Arc<Histogram>,
    /// Attempts whose last step it was.
    closed: [Arc<Counter>; Outcome::ALL.len()],
}

/// The instruments of all funnels.
pub(super) struct Families {
    opened: Family<Counter>,
    open: Family<UpDownCounter>,
    reached: Family<Counter>,
    closed: Family<Counter>,
    duration: Family<Histogram>,
    step_duration: Family<Histogram>,
    refused: Family<Counter>,
    scope: (&'static str, &'static str),
}

impl Families {
    pub(super) fn new(registry: &Registry, scope: &'static str) -> Self {
        Self {
            scope: (semconv::SCOPE, scope),
            opened: registry.counter(&FUNNEL_OPENED),
            open: registry.up_down_counter(&FUNNEL_OPEN),
            reached: registry.counter(&FUNNEL_REACHED),
            closed: registry.counter(&FUNNEL_CLOSED),
            duration: registry.histogram(&FUNNEL_DURATION),
            step_duration: registry.histogram(&FUNNEL_STEP_DURATION),
            refused: registry.counter(&FUNNEL_REFUSED),
        }
    }

    /// Those of one. All of them stand at 0 from the start.
    pub(super) fn of(&self, declared: &Funnel) -> Counts {
        let name = (semconv::FUNNEL_NAME, declared.name());
        let steps = declared.steps().map(|event| {
            let step = (semconv::FUNNEL_STEP, event);
            let closed = |(_, word)| {
                let outcome = (semconv::OUTCOME, word);
                self.closed.kept(&[name, step, outcome, self.scope])
            };
            OfStep {
                reached: self.reached.kept(&[name, step, self.scope]),
                duration: self.step_duration.kept(&[name, step, self.scope]),
                closed: Outcome::ALL.map(closed),
            }
        });
        let refused = |(_, word)| self.refused.kept(&[name, (semconv::REASON, word)]);
        Counts {
            opened: self.opened.kept(&[name, self.scope]),
            open: self.open.kept(&[name, self.scope]),
            duration: self.duration.kept(&[name, self.scope]),
            refused: Refusal::ALL.map(refused),
            steps: steps.collect(),
        }
    }
}

impl Counts {
    pub(super) fn refuse(&self, why: Refusal) {
        self.refused[why as usize].add(1);
    }

    pub(super) fn took(&self, taken: Taken) {
        match taken {
            Taken::InTime => {}
            Taken::Late => self.refuse(Refusal::Late),
            Taken::Full => self.refuse(Refusal::UnitsFull),
            Taken::Impossible => self.refuse(Refusal::Unavailable),
        }
    }

    /// So many attempts are open now, and so many units were given up so far.
    pub(super) fn are_open(&self, open: u64, garbled: u64) {
        self.refused[Refusal::Garbled as usize].absolute(garbled);
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        self.open.add(open - self.open.read());
    }

    pub(super) fn tell(&self, turn: Turn) {
        match turn {
            Turn::Opened => self.opened.add(1),
            Turn::Reached { step, after } => {
                if let Some(of) = self.steps.get(usize::from(step)) {
                    of.reached.add(1);
                    if let Some(after) = after {
                        of.duration
                            .record_duration(Duration::from_micros(after), None);
                    }
                }
            }
            Turn::Closed {
                outcome,
                last,
                lasted,
            } => {
                if let Some(of) = self.steps.get(usize::from(last)) {
                    of.closed[outcome as usize].add(1);
                }
                if let Some(lasted) = lasted {
                    self.duration
                        .record_duration(Duration::from_micros(lasted), None);
                }
            }
        }
    }
}
