//! Instruments that code of others registers: one storage, one set of caps, one way to be refused.

use super::{
    descriptor::{Kind, Unit},
    histogram::{Edges, Scale},
    instrument::{Instrument, Room, Shape, Stored},
    registry::{Refusal, Refused, Registry, default_edges},
};
use std::{fmt, marker::PhantomData, sync::Arc};

/// What an instrument does, and what its values are kept as.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// As a [`Counter`](super::Counter).
    Counter,
    /// A counter of fractions, or one that somebody else keeps, as an
    /// [`ObservedCounter`](super::ObservedCounter).
    FloatCounter,
    /// As an [`UpDownCounter`](super::UpDownCounter).
    UpDownCounter,
    /// An up-down counter of fractions, or one that somebody else keeps, as a
    /// [`Gauge`](super::Gauge).
    FloatUpDownCounter,
    /// As a [`Gauge`](super::Gauge).
    Gauge,
    /// As a [`Histogram`](super::Histogram) of floats; with the edges that it asks for.
    Histogram(Option<Vec<f64>>),
}

impl Form {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Counter | Self::FloatCounter => Kind::Counter,
            Self::UpDownCounter | Self::FloatUpDownCounter => Kind::UpDownCounter,
            Self::Gauge => Kind::Gauge,
            Self::Histogram(_) => Kind::Histogram,
        }
    }

    /// `configured` are the edges that the application gave for an instrument of this name.
    pub(super) fn shape(&self, configured: Option<&[f64]>, unit: Unit) -> Shape {
        let edges = match self {
            Self::Counter => return Shape::Counter,
            Self::FloatCounter => return Shape::ObservedCounter,
            Self::UpDownCounter => return Shape::UpDownCounter,
            Self::FloatUpDownCounter | Self::Gauge => return Shape::Gauge,
            Self::Histogram(asked) => configured.or(asked.as_deref()),
        };
        let edges = match edges {
            Some(edges) => Edges::new(edges, Scale::Float),
            None => Edges::new(&default_edges(unit), Scale::Float),
        };
        Shape::Histogram(Arc::new(edges))
    }
}

/// A registered instrument of somebody else's, whose series hold a `T`.
pub(crate) struct Foreign<T> {
    registry: &'static Registry,
    instrument: Arc<Instrument>,
    of: PhantomData<fn() -> T>,
}

/// A series that was looked up.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) series: Arc<T>,
    /// Whether it gathers what found no room, and so is not to be remembered.
    pub(crate) is_overflow: bool,
}

impl Registry {
    /// An instrument of this name and form, registered when it is first met; `described` gives its
    /// unit and its description. `None`: it is refused, which is counted and warned of.
    pub(crate) fn foreign_instrument<T: Stored>(
        &'static self,
        name: &str,
        form: &Form,
        described: impl FnOnce() -> (Unit, Box<str>),
    ) -> Option<Foreign<T>> {
        self.foreign(name, form, described)
            .inspect_err(|refused| refused.warn(name))
            .ok()
    }

    /// As [`foreign_instrument`](Self::foreign_instrument), without the warning.
    pub(super) fn foreign<T: Stored>(
        &'static self,
        name: &str,
        form: &Form,
        described: impl FnOnce() -> (Unit, Box<str>),
    ) -> Result<Foreign<T>, Refused> {
        Ok(Foreign {
            instrument: self.foreign_by_name(name, form, described)?,
            registry: self,
            of: PhantomData,
        })
    }
}

impl<T: Stored> Foreign<T> {
    /// The series of an attribute set; `None`: it is refused, which is counted and warned of.
    pub(crate) fn series<'a>(
        &self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<Found<T>> {
        self.find(labels)
            .inspect_err(|refused| refused.warn(&self.instrument.name))
            .ok()
    }

    /// As [`series`](Self::series), without the warning.
    pub(super) fn find<'a>(
        &self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Found<T>, Refused> {
        let refuse = |refusal| self.registry.refuse(&self.instrument.name, refusal);
        let series = self
            .instrument
            .series(labels, Room::Capped)
            .map_err(|_| refuse(Refusal::ReservedLabel))?;
        // Of the same kind, and kept as something else: counters of whole numbers and of fractions.
        let stored = T::of(&series.storage).ok_or_else(|| refuse(Refusal::NameCollision))?;
        Ok(Found {
            series: Arc::clone(stored),
            is_overflow: self.instrument.is_overflow(&series),
        })
    }
}

impl Refused {
    /// Says so once for each instrument. No lock is to be held: whoever reads the warning may
    /// record a metric of its own.
    pub(super) fn warn(&self, metric: &str) {
        if self.is_new {
            let reason = self.refusal.reason();
            tracing::warn!(
                metric,
                reason,
                "an instrument was refused, and records nothing"
            );
        }
    }
}

impl<T> fmt::Debug for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Foreign")
            .field(&self.instrument.name)
            .finish()
    }
}
