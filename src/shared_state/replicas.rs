//! For tests: what replicas share, without a server.

use super::{
    Answer, Changes, Decision, Done, Due, Id, Limit, Memory, Met, Shard, SharedState, Taken, Told,
    Unavailable,
};
use std::{
    collections::HashMap,
    future::ready,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// A memory that others share, of whom nobody hears while it is away.
#[derive(Debug, Default)]
pub(crate) struct Replicas {
    memory: Memory,
    away: AtomicBool,
    met: Mutex<HashMap<String, Met>>,
}

impl Replicas {
    pub(crate) fn are_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    fn unless_away<'a, T: Send + 'a>(&self, answer: Answer<'a, T>) -> Answer<'a, T> {
        match self.away.load(Ordering::Relaxed) {
            true => Box::pin(ready(Err(Unavailable::Unreachable))),
            false => answer,
        }
    }
}

impl SharedState for Replicas {
    fn scope(&self) -> &'static str {
        "global"
    }
    fn answers_at_once(&self) -> bool {
        false
    }
    fn answer(&self) -> Answer<'_, ()> {
        self.unless_away(self.memory.answer())
    }
    fn shards(&self) -> u16 {
        1
    }
    fn append<'a>(&'a self, shard: Shard<'a>, told: &'a [Told]) -> Answer<'a, Vec<Taken>> {
        self.memory.append(shard, told)
    }
    fn due<'a>(&'a self, shard: Shard<'a>, settled: u64, now: u64) -> Answer<'a, Due> {
        self.memory.due(shard, settled, now)
    }
    fn commit<'a>(&'a self, shard: Shard<'a>, changes: &'a Changes) -> Answer<'a, Done> {
        self.memory.commit(shard, changes)
    }
    fn add<'a>(&'a self, of: &'a str, day: u32, ids: &'a [Id]) -> Answer<'a, ()> {
        self.unless_away(self.memory.add(of, day, ids))
    }
    fn count<'a>(&'a self, of: &'a str, day: u32, days: u32) -> Answer<'a, u64> {
        self.unless_away(self.memory.count(of, day, days))
    }
    fn is_first(&self, id: Id, token: u64) -> Answer<'_, bool> {
        self.unless_away(self.memory.is_first(id, token))
    }
    fn decide<'a>(&'a self, of: &'a str, limit: Limit, key: Id, now: u64) -> Answer<'a, Decision> {
        self.unless_away(self.memory.decide(of, limit, key, now))
    }
    fn meet<'a>(&'a self, of: &'a str, at: u64, release: &'a str) -> Answer<'a, Option<Met>> {
        let met = Met {
            at,
            release: release.into(),
        };
        let before = self.met.lock().unwrap().insert(of.to_owned(), met);
        self.unless_away(Box::pin(ready(Ok(before))))
    }
}
