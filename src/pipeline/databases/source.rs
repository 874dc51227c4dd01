//! Where statements go: one pool, or one kind of client.

use super::{Databases, Statement};
use crate::{
    metrics::InsertOnlyMap,
    redaction::sql::{self, Dialect},
    snapshot,
};
use compact_str::CompactString;
use rustc_hash::FxBuildHasher;
use std::{
    hash::BuildHasher as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Statements of one source that are told apart.
const STATEMENTS: usize = 500;
/// Spellings of them that are known again without being read.
const SPELLINGS: usize = 1_000;
/// Bytes of one spelling, and of all.
const LONGEST_SPELLING: usize = 4 * 1024;
const SPELLING_BYTES: usize = 1024 * 1024;

/// What a source is told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Traits {
    /// Empty: no pool that is known.
    pub(crate) pool: CompactString,
    /// `db.system.name`.
    pub(crate) system: CompactString,
    /// `db.namespace`; empty: not known.
    pub(crate) namespace: CompactString,
    /// `server.address`; empty: not known.
    pub(crate) address: CompactString,
    pub(crate) port: u16,
    pub(crate) dialect: Dialect,
}

impl Traits {
    pub(crate) fn of_system(system: &str, dialect: Dialect) -> Self {
        Self {
            pool: CompactString::default(),
            system: system.into(),
            namespace: CompactString::default(),
            address: CompactString::default(),
            port: 0,
            dialect,
        }
    }
}

/// Made once for each pool, and leaked with the telemetry.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) databases: &'static Databases,
    pub(crate) traits: Traits,
    /// By the text as it is written.
    spellings: InsertOnlyMap<Box<str>, &'static Statement>,
    spelling_bytes: AtomicUsize,
    /// By the text without values.
    statements: InsertOnlyMap<Arc<str>, Statement>,
    /// All that found no room.
    beyond: Statement,
}

/// A statement that is about to run.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) statement: &'static Statement,
    /// Summary and text, of one that found no room.
    pub(crate) beyond: Option<Box<(CompactString, String)>>,
}

impl Found {
    pub(crate) fn summary(&self) -> &CompactString {
        match &self.beyond {
            Some(beyond) => &beyond.0,
            None => &self.statement.summary,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match &self.beyond {
            Some(beyond) => &beyond.1,
            None => &self.statement.text,
        }
    }
}

impl Source {
    pub(super) fn leaked(databases: &'static Databases, traits: Traits) -> &'static Self {
        let is_other = CompactString::const_new(super::OTHER);
        Box::leak(Box::new(Self {
            databases,
            spellings: InsertOnlyMap::new(SPELLINGS / 4, SPELLINGS),
            spelling_bytes: AtomicUsize::new(0),
            statements: InsertOnlyMap::new(STATEMENTS / 4, STATEMENTS),
            beyond: Statement::new(0, is_other, "".into()),
            traits,
        }))
    }

    /// What `text` is, read when it is first met.
    #[inline]
    pub(crate) fn statement(&'static self, text: &str) -> Found {
        let hash = FxBuildHasher.hash_one(text);
        match self.spellings.get(hash, |known| **known == *text) {
            Some(statement) => Found {
                statement,
                beyond: None,
            },
            None => self.read(hash, text),
        }
    }

    /// What is called so by whoever runs it.
    #[inline]
    pub(crate) fn named(&'static self, summary: &str) -> Found {
        let hash = FxBuildHasher.hash_one(summary);
        match self.statements.get(hash, |known| **known == *summary) {
            Some(statement) => Found {
                statement,
                beyond: None,
            },
            None => self.shown(summary.into(), summary.to_owned()),
        }
    }

    #[cold]
    fn read(&'static self, hash: u64, text: &str) -> Found {
        let dialect = self.traits.dialect;
        let shown = sql::masked(text, dialect);
        let found = self.shown(sql::summary(text, dialect), shown);
        let has_room = found.beyond.is_none()
            && text.len() <= LONGEST_SPELLING
            && self.spelling_bytes.load(Ordering::Relaxed) + text.len() <= SPELLING_BYTES
            && self.databases.has_room_for_a_spelling(text.len());
        if has_room {
            let statement = found.statement;
            self.spellings.insert(
                hash,
                |known| **known == *text,
                || {
                    for held in [&self.spelling_bytes, &self.databases.spelling_bytes] {
                        held.fetch_add(text.len(), Ordering::Relaxed);
                    }
                    (text.into(), statement)
                },
            );
        }
        found
    }

    fn shown(&'static self, summary: CompactString, text: String) -> Found {
        let hash = FxBuildHasher.hash_one(text.as_str());
        let make = || {
            self.databases.statements.fetch_add(1, Ordering::Relaxed);
            self.databases
                .text_bytes
                .fetch_add(text.len(), Ordering::Relaxed);
            let shown: Arc<str> = text.as_str().into();
            let statement = Statement::new(self.digest(&text), summary.clone(), Arc::clone(&shown));
            (shown, statement)
        };
        let known = self.statements.get(hash, |known| **known == *text);
        let insert = || match self.databases.has_room_for_a_statement(text.len()) {
            true => self.statements.insert(hash, |known| **known == *text, make),
            false => None,
        };
        match known.or_else(insert) {
            Some(statement) => Found {
                statement,
                beyond: None,
            },
            None => {
                self.databases.evicted.add(1);
                Found {
                    statement: &self.beyond,
                    beyond: Some(Box::new((summary, text))),
                }
            }
        }
    }

    /// The same in every replica, whatever compiler built it.
    fn digest(&self, text: &str) -> u64 {
        use siphasher::sip::SipHasher13;
        use std::hash::Hasher as _;
        let mut hasher = SipHasher13::new();
        hasher.write(self.traits.system.as_bytes());
        hasher.write_u8(0xff);
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    pub(super) fn statements(&'static self) -> impl Iterator<Item = snapshot::Statement> {
        let all = self.statements.values().chain([&self.beyond]);
        all.filter_map(|statement| statement.shown(&self.traits))
    }
}
