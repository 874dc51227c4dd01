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
use pools::Pools;
use rustc_hash::FxBuildHasher;
use statement::Statement;
use std::{
    cmp::Reverse,
    hash::BuildHasher as _,
    sync::{Arc, OnceLock},
};

/// Pools, and other kinds of clients, that are told apart.
const SOURCES: usize = 128;
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
            let other = || Source::leaked(self, Traits::of_system(OTHER, Dialect::Unknown));
            match self.pipeline.handoff.is_forked() {
                true => other(),
                false => self.other.get_or_init(other),
            }
        })
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
