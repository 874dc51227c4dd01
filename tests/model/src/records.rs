//! Records without contents.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    Errors,
    Events,
    Routine,
}

impl Priority {
    pub(crate) const ALL: [Self; 3] = [Self::Errors, Self::Events, Self::Routine];
}

#[derive(Debug)]
pub(crate) struct Record(pub(crate) Priority);

impl Record {
    pub(crate) fn signal(&self) -> Signal {
        Signal::Logs
    }

    pub(crate) fn priority(&self) -> Priority {
        self.0
    }

    pub(crate) fn boxed_bytes(&self) -> usize {
        0
    }
}
