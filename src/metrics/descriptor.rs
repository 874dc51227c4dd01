//! A metric is one value; its names, its unit and its attributes are derived from it.

/// What an instrument does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A sum that only grows.
    Counter,
    /// A sum that grows and shrinks.
    UpDownCounter,
    /// The last value.
    Gauge,
    /// A distribution over fixed bucket edges.
    Histogram,
}

/// The unit of an instrument, as UCUM writes it and as Prometheus names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    ucum: &'static str,
    suffix: &'static str,
}

impl Unit {
    /// Seconds: `s`, `_seconds`.
    pub const SECONDS: Self = Self::named("s", "seconds");
    /// Bytes: `By`, `_bytes`.
    pub const BYTES: Self = Self::named("By", "bytes");
    /// A share of one: `1`; `_ratio` on gauges.
    pub const RATIO: Self = Self::named("1", "ratio");
    /// No unit is known.
    pub const NONE: Self = Self::named("", "");

    /// Things that are counted, such as `{request}`: no Prometheus suffix.
    pub const fn things(annotation: &'static str) -> Self {
        Self::named(annotation, "")
    }

    pub(crate) const fn named(ucum: &'static str, suffix: &'static str) -> Self {
        Self { ucum, suffix }
    }

    /// The UCUM code: `s`, `By`, `1`, `{request}`; empty when unknown.
    pub const fn ucum(self) -> &'static str {
        self.ucum
    }

    /// The word that ends a Prometheus name; empty for counted things.
    pub(crate) const fn suffix(self) -> &'static str {
        self.suffix
    }
}

/// The declaration of one instrument.
///
/// The Prometheus name is derived: dots become underscores, the unit is appended unless the name
/// ends in it already, counters end in `_total`.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    name: &'static str,
    kind: Kind,
    unit: Unit,
    description: &'static str,
    attributes: &'static [&'static str],
    edges: &'static [f64],
}

impl Descriptor {
    /// A sum that only grows.
    pub const fn counter(name: &'static str, unit: Unit, description: &'static str) -> Self {
        Self::new(name, Kind::Counter, unit, description)
    }

    /// A sum that grows and shrinks.
    pub const fn up_down_counter(
        name: &'static str,
        unit: Unit,
        description: &'static str,
    ) -> Self {
        Self::new(name, Kind::UpDownCounter, unit, description)
    }

    /// The last value.
    pub const fn gauge(name: &'static str, unit: Unit, description: &'static str) -> Self {
        Self::new(name, Kind::Gauge, unit, description)
    }

    /// A distribution; give it edges with [`with_edges`](Self::with_edges).
    pub const fn histogram(name: &'static str, unit: Unit, description: &'static str) -> Self {
        Self::new(name, Kind::Histogram, unit, description)
    }

    const fn new(name: &'static str, kind: Kind, unit: Unit, description: &'static str) -> Self {
        Self {
            name,
            kind,
            unit,
            description,
            attributes: &[],
            edges: &[],
        }
    }

    /// The attributes that a series of it may carry.
    pub const fn with_attributes(mut self, attributes: &'static [&'static str]) -> Self {
        self.attributes = attributes;
        self
    }

    /// The upper, inclusive edges of a histogram's buckets, ascending, in its unit.
    pub const fn with_edges(mut self, edges: &'static [f64]) -> Self {
        self.edges = edges;
        self
    }

    /// The OpenTelemetry name, with dots.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it does with what it is given.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its unit.
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    /// One sentence: what is counted when.
    pub const fn description(&self) -> &'static str {
        self.description
    }

    /// The attributes that a series of it may carry.
    pub const fn attributes(&self) -> &'static [&'static str] {
        self.attributes
    }

    /// The upper edges of a histogram's buckets; empty otherwise.
    pub const fn edges(&self) -> &'static [f64] {
        self.edges
    }
}
