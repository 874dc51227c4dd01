//! The instruments of the layer, and how a request finds its series without a string of its own.

use super::{outcome::Outcome, request::Traits};
use crate::{
    catalog::http,
    metrics::{Counter, Family, Histogram, InsertOnlyMap, UpDownCounter},
    pipeline::Pipeline,
    semconv,
};
use rustc_hash::FxBuildHasher;
use std::{
    hash::BuildHasher as _,
    sync::{Arc, OnceLock},
};

/// Distinct routes; the router of a service has tens.
const ROUTES: usize = 1_000;
/// Distinct combinations of method, version, scheme, status and error of one route.
const COMBINATIONS: usize = 512;
/// Where the routes beyond the cap are gathered.
const OTHER_ROUTE: &str = "_OTHER";
const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Made once for each telemetry, and leaked with it.
#[derive(Debug)]
pub(crate) struct Instruments {
    pub(super) pipeline: &'static Pipeline,
    pub(super) started: Arc<Counter>,
    finished: Box<[Arc<Counter>]>,
    active: Box<[OnceLock<Arc<UpDownCounter>>]>,
    active_family: Family<UpDownCounter>,
    /// By [`Measure`].
    measures: [Family<Histogram>; 4],
    streams_active: Family<UpDownCounter>,
    streams_duration: Family<Histogram>,
    routes: InsertOnlyMap<Box<str>, Route>,
    unmatched: Route,
    other: Route,
    overflow: Series,
    /// Where a forked child records what nobody recorded before.
    nowhere: (Arc<UpDownCounter>, Arc<Histogram>),
}

/// One route and the series that it was seen with.
#[derive(Debug)]
pub(super) struct Route {
    /// `None`: no route matched.
    name: Option<Box<str>>,
    series: InsertOnlyMap<u64, Series>,
}

/// What is measured of a request: the histograms that carry the same attributes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    Duration,
    FirstByte,
    RequestSize,
    ResponseSize,
}

/// One attribute set, by [`Measure`]. Each is made when it first has something to hold: most
/// requests bring no body, and an event stream has no duration.
type Series = [OnceLock<Arc<Histogram>>; 4];

/// The histograms of requests that ended, or whose head went out, alike.
#[derive(Debug)]
pub(super) struct Alike<'a> {
    instruments: &'a Instruments,
    series: &'a Series,
    route: &'a Route,
    traits: Traits,
    status: u16,
    outcome: Outcome,
}

impl Instruments {
    pub(crate) fn leaked(pipeline: &'static Pipeline) -> &'static Self {
        let registry = &pipeline.registry;
        let finished = registry.counter(&http::REQUESTS_FINISHED);
        // All of them now, so that the first increment is one that `rate()` sees.
        let finished = Outcome::ALL
            .into_iter()
            .flat_map(|outcome| STATUS_CLASSES.map(|class| (outcome.as_str(), class)))
            .map(|(outcome, class)| {
                finished.kept(&[(semconv::OUTCOME, outcome), (semconv::STATUS_CLASS, class)])
            })
            .collect();
        // In the order of `Measure`.
        let measures = [
            &http::REQUEST_DURATION,
            &http::TIME_TO_FIRST_BYTE,
            &http::REQUEST_BODY_SIZE,
            &http::RESPONSE_BODY_SIZE,
        ];
        let active_family = registry.up_down_counter(&http::ACTIVE_REQUESTS);
        let measures = measures.map(|descriptor| registry.histogram(descriptor));
        let instruments = Self {
            pipeline,
            nowhere: (active_family.detached(), measures[0].detached()),
            started: registry.counter(&http::REQUESTS_STARTED).kept(&[]),
            finished,
            active: (0..Traits::METHODS * Traits::SCHEMES)
                .map(|_| OnceLock::new())
                .collect(),
            active_family,
            measures,
            overflow: Series::default(),
            streams_active: registry.up_down_counter(&http::STREAMS_ACTIVE),
            streams_duration: registry.histogram(&http::STREAMS_DURATION),
            routes: InsertOnlyMap::new(ROUTES, ROUTES),
            unmatched: Route::new(None),
            other: Route::new(Some(OTHER_ROUTE)),
        };
        Box::leak(Box::new(instruments))
    }

    pub(super) fn route(&self, name: Option<&str>) -> &Route {
        let Some(name) = name else {
            return &self.unmatched;
        };
        let hash = FxBuildHasher.hash_one(name);
        let known = self.routes.get(hash, |known| **known == *name);
        let route = known.or_else(|| {
            let make = || (name.into(), Route::new(Some(name)));
            self.routes.insert(hash, |known| **known == *name, make)
        });
        route.unwrap_or_else(|| {
            self.measures[Measure::Duration as usize].count_overflow();
            &self.other
        })
    }

    pub(super) fn active(&self, traits: Traits) -> &UpDownCounter {
        let active = &self.active[traits.method_and_scheme()];
        if self.active_family.is_forked() {
            return active.get().unwrap_or(&self.nowhere.0);
        }
        active.get_or_init(|| {
            self.active_family.kept(&[
                (semconv::HTTP_REQUEST_METHOD, traits.method()),
                (semconv::URL_SCHEME, traits.scheme()),
            ])
        })
    }

    pub(super) fn finished(&self, outcome: Outcome, status: u16) -> &Counter {
        let class = match status / 100 {
            class @ 1..=5 => class as usize,
            _ => 0,
        };
        &self.finished[outcome as usize * STATUS_CLASSES.len() + class]
    }

    /// `status` is 0 when none was sent.
    #[inline]
    pub(super) fn alike<'a>(
        &'a self,
        route: &'a Route,
        traits: Traits,
        status: u16,
        outcome: Outcome,
    ) -> Alike<'a> {
        let key = traits.key() << 24 | u64::from(status) << 8 | outcome as u64;
        // Multiplied, so that the bits that pick a chain depend on all of the key.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let is_it = |known: &u64| *known == key;
        let known = route.series.get(hash, is_it);
        let series = known.or_else(|| {
            route
                .series
                .insert(hash, is_it, || (key, Series::default()))
        });
        Alike {
            instruments: self,
            series: series.unwrap_or(&self.overflow),
            route,
            traits,
            status,
            outcome,
        }
    }

    /// Streams are few and long: looked up each time.
    pub(super) fn streams_active(&self, route: &Route, kind: &str) -> Arc<UpDownCounter> {
        self.streams_active.with(&[
            (semconv::HTTP_ROUTE, route.name()),
            (semconv::STREAM_KIND, kind),
        ])
    }

    pub(super) fn streams_duration(
        &self,
        route: &Route,
        kind: &str,
        error_type: &str,
    ) -> Arc<Histogram> {
        self.streams_duration.with(&[
            (semconv::HTTP_ROUTE, route.name()),
            (semconv::STREAM_KIND, kind),
            (semconv::ERROR_TYPE, error_type),
        ])
    }
}

impl Alike<'_> {
    #[inline]
    pub(super) fn is_of(&self, outcome: Outcome) -> bool {
        self.outcome == outcome
    }

    #[inline]
    pub(super) fn histogram(&self, measure: Measure) -> &Histogram {
        let is_overflow = std::ptr::eq(self.series, &self.instruments.overflow);
        let family = &self.instruments.measures[measure as usize];
        if is_overflow {
            family.count_overflow();
        }
        let series = &self.series[measure as usize];
        if family.is_forked() {
            return series.get().unwrap_or(&self.instruments.nowhere.1);
        }
        series.get_or_init(|| match is_overflow {
            true => family.overflow(),
            false => self.make(family),
        })
    }

    #[cold]
    fn make(&self, family: &Family<Histogram>) -> Arc<Histogram> {
        let mut digits = itoa::Buffer::new();
        let code = match self.status {
            0 => "",
            status => digits.format(status),
        };
        let error_type = match self.outcome.error_type() {
            Some(error) => error,
            None if self.status >= 500 => code,
            None => "",
        };
        // An attribute without a value is absent.
        family.with(&[
            (semconv::HTTP_REQUEST_METHOD, self.traits.method()),
            (semconv::HTTP_ROUTE, self.route.name()),
            (semconv::HTTP_RESPONSE_STATUS_CODE, code),
            (semconv::URL_SCHEME, self.traits.scheme()),
            (semconv::ERROR_TYPE, error_type),
            (semconv::NETWORK_PROTOCOL_VERSION, self.traits.version()),
        ])
    }
}

impl Route {
    fn new(name: Option<&str>) -> Self {
        Self {
            name: name.map(Box::from),
            series: InsertOnlyMap::new(16, COMBINATIONS),
        }
    }

    /// As the router spells it; `None` when none matched.
    pub(super) fn template(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}
