//! What is known of databases: their operations, their statements, their pools.

mod pools;
mod source;
mod statement;

pub(crate) use pools::Gauged;
#[cfg(feature = "sqlx")]
pub(crate) use pools::PoolSeries;
pub(crate) use source::{Found, Source, Traits};
pub(crate) use statement::Ended;

use super::Pipeline;
use crate::{
    catalog::database::OPERATION_DURATION,
    metrics::{Counter, Family, Histogram, InsertOnlyMap},
    redaction::sql::Dialect,
    semconv, snapshot,
};
use pools::{Look, Pools};
use rustc_hash::FxBuildHasher;
use statement::Statement;
use std::{
    cmp::Reverse,
    hash::BuildHasher as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// Pools, and other kinds of clients, that are told apart.
const SOURCES: usize = 128;
/// Statements of all of them together, and bytes of their texts and of their spellings.
const STATEMENTS: usize = 5_000;
const TEXT_BYTES: usize = 4 * 1024 * 1024;
const SPELLING_BYTES: usize = 4 * 1024 * 1024;
/// Where those beyond are gathered.
const OTHER: &str = "_OTHER";
/// Statements that a snapshot shows.
const SHOWN: usize = 100;

/// Made once for each telemetry that measures a database, and leaked with it.
#[derive(Debug)]
pub(crate) struct Databases {
    pub(crate) pipeline: &'static Pipeline,
    pub(crate) pools: Pools,
    durations: Family<Histogram>,
    /// Executions that found no room in the table of their statement.
    evicted: Arc<Counter>,
    sources: InsertOnlyMap<Traits, &'static Source>,
    other: OnceLock<&'static Source>,
    /// Each time that a client was asked for which found no room among the sources.
    turned_away: Arc<Counter>,
    statements: AtomicUsize,
    text_bytes: AtomicUsize,
    spelling_bytes: AtomicUsize,
    /// What limits of records count from.
    began: Instant,
}

impl Databases {
    pub(super) fn leaked(pipeline: &'static Pipeline) -> &'static Self {
        let databases: &'static Self = Box::leak(Box::new(Self {
            pools: Pools::new(&pipeline.registry),
            durations: pipeline.registry.histogram(&OPERATION_DURATION),
            evicted: pipeline
                .counters
                .evictions
                .kept(&[(semconv::STORE, "statements")]),
            sources: InsertOnlyMap::new(SOURCES / 4, SOURCES),
            other: OnceLock::new(),
            turned_away: pipeline
                .counters
                .evictions
                .kept(&[(semconv::STORE, "databases")]),
            statements: AtomicUsize::new(0),
            text_bytes: AtomicUsize::new(0),
            spelling_bytes: AtomicUsize::new(0),
            began: pipeline.clock.now(),
            pipeline,
        }));
        if !pipeline.handoff.is_forked() {
            pipeline.registry.observe(|| databases.pools.look());
        }
        databases
    }

    /// The one of these traits, made when it is first asked for.
    pub(crate) fn source(&'static self, traits: &Traits) -> &'static Source {
        let hash = FxBuildHasher.hash_one(traits);
        let is_it = |known: &Traits| known == traits;
        let make = || (traits.clone(), Source::leaked(self, traits.clone()));
        let known = self.sources.get(hash, is_it);
        let known = known.or_else(|| self.sources.insert(hash, is_it, make));
        known.copied().unwrap_or_else(|| {
            self.turned_away.add(1);
            let other = || Source::leaked(self, Traits::of_system(OTHER, Dialect::Unknown));
            if self.pipeline.handoff.is_forked() {
                return other();
            }
            let is_first = self.other.get().is_none();
            let other = self.other.get_or_init(other);
            if is_first {
                let Traits { pool, system, .. } = traits;
                tracing::warn!(
                    %pool,
                    %system,
                    "what runs there is told as of {OTHER}, with others: {SOURCES} databases are told apart"
                );
            }
            other
        })
    }

    /// Asks `look` at each collection, until it says that the pool is gone.
    pub(crate) fn watch(&self, name: &str, look: Look) {
        if !self.pools.watch(name, look) {
            tracing::warn!(pool = name, "the pool is not watched: {} are", pools::MOST);
        }
    }

    /// As limits count.
    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    fn has_room_for_a_statement(&self, bytes: usize) -> bool {
        self.statements.load(Ordering::Relaxed) < STATEMENTS
            && self.text_bytes.load(Ordering::Relaxed) + bytes <= TEXT_BYTES
    }

    fn has_room_for_a_spelling(&self, bytes: usize) -> bool {
        self.spelling_bytes.load(Ordering::Relaxed) + bytes <= SPELLING_BYTES
    }

    /// The statements that took the longest in all.
    pub(crate) fn statements(&'static self) -> Vec<snapshot::Statement> {
        let mut statements = Vec::new();
        for source in self.sources.values().chain(self.other.get()) {
            statements.extend(source.statements());
        }
        statements.sort_by_key(|statement| Reverse(statement.total));
        statements.truncate(SHOWN);
        statements
    }
}
