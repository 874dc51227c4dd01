//! For tests: what replicas share, without a server.

use super::{
    Answer, Changes, Decision, Done, Due, Id, Limit, Meeting, Memory, Met, Shard, SharedState,
    Taken, Told, Unavailable,
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
    silent: AtomicBool,
    met: Mutex<HashMap<String, Met>>,
    /// By which meeting each was met first.
    ids: Mutex<HashMap<Id, u64>>,
}

impl Replicas {
    pub(crate) fn are_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Whether it takes questions and says nothing.
    pub(crate) fn are_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
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
    fn append<'a>(
        &'a self,
        shard: Shard<'a>,
        token: u64,
        told: &'a [Told],
    ) -> Answer<'a, Vec<Taken>> {
        if self.away.load(Ordering::Relaxed) {
            return Box::pin(ready(Err(Unavailable::Unreachable)));
        }
        self.memory.append(shard, token, told)
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
    fn are_first<'a>(&'a self, _: u16, met: &'a [Meeting]) -> Answer<'a, Vec<bool>> {
        if self.away.load(Ordering::Relaxed) {
            return Box::pin(ready(Err(Unavailable::Unreachable)));
        }
        if self.silent.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        let mut owners = self.ids.lock().unwrap();
        let is_first = |met: &Meeting| *owners.entry(met.id).or_insert(met.token) == met.token;
        let are_first = met.iter().map(is_first).collect();
        Box::pin(ready(Ok(are_first)))
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
