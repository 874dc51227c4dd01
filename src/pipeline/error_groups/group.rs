//! What operators call one error.

use crate::{
    fork::Lock,
    pipeline::limit::Limit,
    records::{Severity, cut},
    stack::Fingerprint,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// The type of errors that are not told apart.
const OTHERS: &str = "_OTHER";
/// Bytes of the message that stands for the group.
const LONGEST_MESSAGE: usize = 256;

/// Sites of one fingerprint. It counts nothing itself: its numbers are the sums of theirs.
#[derive(Debug)]
pub(super) struct Group {
    fingerprint: Fingerprint,
    limit: Limit,
    /// When its last record was made, in nanoseconds; 0: none was.
    last_told: AtomicU64,
    /// How often it came back after it had been taken for solved.
    regressions: AtomicU64,
    last: Lock<Last>,
    /// As `last_told`, of the record that other replicas were last told of.
    met: AtomicU64,
    /// As `met`, of a question that has no answer yet; 0: there is none.
    asked: AtomicU64,
    first_since_met: AtomicU64,
    /// Users that it met in all replicas; 0: nobody was asked.
    users: AtomicU64,
    /// In which release it was met before it came back.
    previous_release: Lock<Option<Box<str>>>,
}

/// What its last record says.
#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    pub(super) type_name: String,
    pub(super) message: String,
    pub(super) function: Option<String>,
    pub(super) severity: Option<Severity>,
    pub(super) is_handled: bool,
}

/// The same of one record, masked already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) type_name: &'a str,
    pub(crate) message: &'a str,
    pub(crate) function: Option<&'a str>,
    pub(crate) severity: Severity,
    pub(crate) is_handled: bool,
    pub(crate) user: Option<&'a str>,
    pub(crate) route: Option<&'a str>,
}

impl Group {
    /// `limit` is that of the site by which it was found.
    pub(super) fn new(fingerprint: Fingerprint, limit: &Limit) -> Self {
        Self {
            fingerprint,
            limit: limit.clone(),
            last_told: AtomicU64::new(0),
            regressions: AtomicU64::new(0),
            last: Lock::default(),
            met: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            first_since_met: AtomicU64::new(0),
            users: AtomicU64::new(0),
            previous_release: Lock::default(),
        }
    }

    /// The group of errors whose sites found no place.
    pub(super) fn of_others() -> Self {
        let others = Self::new(Fingerprint::of_words(&[OTHERS]), &Limit::default());
        if let Some(mut last) = others.last.hold() {
            OTHERS.clone_into(&mut last.type_name);
        }
        others
    }

    pub(super) fn is_of_others(&self) -> bool {
        self.fingerprint == Fingerprint::of_words(&[OTHERS])
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Takes over what a record says. Whether the group had been away for longer than `quiet`.
    pub(super) fn tell(&self, told: Told<'_>, at: u64, quiet: u64) -> bool {
        if let Some(mut last) = self.last.hold() {
            let Last {
                type_name,
                message,
                function,
                severity,
                is_handled,
            } = &mut *last;
            told.type_name.clone_into(type_name);
            cut(told.message, LONGEST_MESSAGE).clone_into(message);
            *function = told.function.map(str::to_owned);
            (*severity, *is_handled) = (Some(told.severity), told.is_handled);
        }
        if self.first_since_met.load(Ordering::Relaxed) == 0 {
            self.first_since_met.store(at, Ordering::Relaxed);
        }
        let before = self.last_told.fetch_max(at, Ordering::Relaxed);
        let has_come_back = before > 0 && at.saturating_sub(before) > quiet;
        self.regressions
            .fetch_add(u64::from(has_come_back), Ordering::Relaxed);
        has_come_back
    }

    pub(super) fn last(&self) -> Last {
        self.last
            .hold()
            .map(|last| last.clone())
            .unwrap_or_default()
    }

    pub(super) fn last_told(&self) -> u64 {
        self.last_told.load(Ordering::Relaxed)
    }

    pub(super) fn met(&self) -> u64 {
        self.met.load(Ordering::Relaxed)
    }

    /// What others are to be told of: the same until they have answered, since they may have been.
    pub(super) fn to_meet(&self) -> u64 {
        match self.asked.load(Ordering::Relaxed) {
            0 => {
                let last = self.last_told();
                self.asked.store(last, Ordering::Relaxed);
                last
            }
            asked => asked,
        }
    }

    pub(super) fn is_met(&self, at: u64) {
        self.met.store(at, Ordering::Relaxed);
        self.asked.store(0, Ordering::Relaxed);
        self.first_since_met.store(0, Ordering::Relaxed);
    }

    /// When the first record was made that nobody was told of.
    pub(super) fn first_since_met(&self) -> u64 {
        match self.first_since_met.load(Ordering::Relaxed) {
            0 => self.last_told(),
            first => first,
        }
    }

    /// After all replicas had been without it for so long that it was taken for solved.
    pub(super) fn has_come_back(&self, previous_release: &str) {
        self.regressions.fetch_add(1, Ordering::Relaxed);
        if let Some(mut previous) = self.previous_release.hold() {
            *previous = (!previous_release.is_empty()).then(|| previous_release.into());
        }
    }

    pub(super) fn previous_release(&self) -> Option<String> {
        let previous = self.previous_release.hold()?;
        previous.as_deref().map(str::to_owned)
    }

    pub(super) fn met_users(&self, users: u64) {
        self.users.store(users, Ordering::Relaxed);
    }

    /// `None`: nobody was asked.
    pub(super) fn users_of_all(&self) -> Option<u64> {
        Some(self.users.load(Ordering::Relaxed)).filter(|users| *users > 0)
    }

    pub(super) fn regressions(&self) -> u64 {
        self.regressions.load(Ordering::Relaxed)
    }
}
