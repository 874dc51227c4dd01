//! What the attempts at one funnel are counted by.

use crate::{
    catalog::{
        events::{
            FUNNEL_CLOSED, FUNNEL_DURATION, FUNNEL_OPEN, FUNNEL_OPENED, FUNNEL_REACHED,
            FUNNEL_REFUSED, FUNNEL_STEP_DURATION,
        },
        funnel::Funnel,
    },
    metrics::{Counter, Family, Gauge, Histogram, Registry},
    pipeline::following::Units,
    semconv,
    shared_state::{Outcome, Turn},
};
use std::{sync::Arc, time::Duration};

impl Outcome {
    const ALL: [(Self, &str); 3] = [
        (Self::Converted, "converted"),
        (Self::Abandoned, "abandoned"),
        (Self::Excluded, "excluded"),
    ];
}

#[derive(Debug)]
pub(super) struct Counts {
    pub(super) units: Arc<Units>,
    opened: Arc<Counter>,
    no_subject: Arc<Counter>,
    duration: Arc<Histogram>,
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
    open: Family<Gauge>,
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
            open: registry.gauge(&FUNNEL_OPEN),
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
        let steps = declared.step_names().map(|named| {
            let step = (semconv::FUNNEL_STEP, named.as_str());
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
        let refused = |why| self.refused.kept(&[name, (semconv::REASON, why)]);
        Counts {
            units: Arc::new(Units::new(self.open.kept(&[name, self.scope]), refused)),
            opened: self.opened.kept(&[name, self.scope]),
            no_subject: refused("no_subject"),
            duration: self.duration.kept(&[name, self.scope]),
            steps: steps.collect(),
        }
    }
}

impl Counts {
    /// Nobody is known to have made the step.
    pub(super) fn has_no_subject(&self) {
        self.no_subject.add(1);
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
