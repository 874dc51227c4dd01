//! Whom an event is of, by a number that does not tell who it is.

use crate::{
    catalog::funnel::Subject,
    records::{Value, read},
    redaction::MASK,
    semconv,
    shared_state::Id,
};
use compact_str::{CompactString, ToCompactString};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::hash::Hash as _;
use uuid::Uuid;

/// `None`: the event does not say. What was masked would make one of all.
pub(super) fn of(subject: &Subject, fields: &[u8]) -> Option<Id> {
    let name = match subject {
        Subject::User => semconv::USER_ID,
        Subject::Session => semconv::SESSION_ID,
        Subject::Property(name) => name,
    };
    of_text(said(fields, name)?.as_str())
}

/// What the fields of an event say under a name.
pub(super) fn said<'a>(fields: &'a [u8], name: &str) -> Option<Said<'a>> {
    let mut named = read(fields).filter(|(given, _)| *given == name);
    Some(match named.next()?.1 {
        Value::Text(text) => Said::Text(text),
        Value::Integer(number) => Said::Made(number.to_compact_string()),
        Value::Float(number) => Said::Made(number.to_compact_string()),
        Value::Boolean(is) => Said::Made(is.to_compact_string()),
    })
}

/// A value as a text.
pub(super) enum Said<'a> {
    Text(&'a str),
    Made(CompactString),
}

impl Said<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Made(text) => text,
        }
    }
}

/// As [`of`], of what the event, or its request, says.
pub(super) fn of_text(text: &str) -> Option<Id> {
    let is_said = !text.trim().is_empty() && text != MASK;
    is_said.then(|| hashed(text))
}

/// As [`of_text`], of a session: no user of the same name is meant.
pub(super) fn of_session(text: &str) -> Option<Id> {
    const KEYS: (u64, u64) = (0x0073_6573_7369_6f6e, 1);
    let is_said = !text.trim().is_empty() && text != MASK;
    let hash = || SipHasher13::new_with_keys(KEYS.0, KEYS.1).hash(text.as_bytes());
    is_said.then(|| hash().as_u128().into())
}

/// The id of an event, which orders those of one moment.
pub(super) fn of_event(id: &str) -> Id {
    Uuid::parse_str(id).map_or_else(|_| hashed(id), |id| id.as_u128().into())
}

/// An id that the application gave an event of this name: others may have the same.
pub(super) fn of_event_named(name: &str, id: &str) -> Id {
    let mut hasher = SipHasher13::new();
    (name, id).hash(&mut hasher);
    hasher.finish128().as_u128().into()
}

/// The same in every process, whatever built it.
pub(super) fn hashed(text: &str) -> Id {
    SipHasher13::new().hash(text.as_bytes()).as_u128().into()
}
