//! Where in the source events and spans stand, as fields: composed once for each place.

use crate::{
    metrics::InsertOnlyMap,
    records::{Composed, Fields},
    semconv,
};
use std::{fmt, ptr};
use tracing::Metadata;

/// As many places as large programs have, of some 150 bytes; those beyond are composed each time.
const MOST: usize = 8_192;
const CHAINS: usize = 1_024;

/// By the address of what `tracing` keeps of the place, which stays as long as the process.
pub(super) struct Places(InsertOnlyMap<usize, Option<Composed>>);

impl Places {
    pub(super) fn new() -> Self {
        Self(InsertOnlyMap::new(CHAINS, MOST))
    }

    #[inline]
    pub(super) fn describe(&self, metadata: &'static Metadata<'static>, fields: &mut Fields) {
        let address = ptr::from_ref(metadata).addr();
        let hash = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let is_it = |known: &usize| *known == address;
        let known = self.0.get(hash, is_it).or_else(|| {
            let compose = |fields: &mut Fields| compose(metadata, fields);
            let make = || (address, Composed::new(fields.limits(), compose));
            self.0.insert(hash, is_it, make)
        });
        match known {
            Some(Some(place)) if fields.append(place) => {}
            _ => compose(metadata, fields),
        }
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").finish_non_exhaustive()
    }
}

fn compose(metadata: &Metadata<'_>, fields: &mut Fields) {
    fields.word(semconv::TARGET, metadata.target());
    if let Some(file) = metadata.file() {
        fields.word(semconv::CODE_FILE_PATH, file);
    }
    if let Some(line) = metadata.line() {
        fields.number(semconv::CODE_LINE_NUMBER, line.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Limits;
    use tracing::{Callsite as _, Level, callsite, metadata};

    fn metadata() -> &'static Metadata<'static> {
        static CALLSITE: callsite::DefaultCallsite = {
            static META: Metadata<'static> = metadata! {
                name: "event",
                target: "orders",
                level: Level::INFO,
                fields: &[],
                callsite: &CALLSITE,
                kind: tracing::metadata::Kind::EVENT
            };
            callsite::DefaultCallsite::new(&META)
        };
        CALLSITE.metadata()
    }

    /// A row of the place, after so many fields of others.
    fn described(places: &Places, limits: Limits, before: usize) -> (Vec<u8>, u64) {
        let mut fields = Fields::new(limits, Vec::new());
        for _ in 0..before {
            fields.integer("before", 1);
        }
        places.describe(metadata(), &mut fields);
        let truncated = fields.truncated();
        (fields.into_bytes(), truncated)
    }

    #[test]
    fn a_place_is_the_same_whether_it_was_seen_before_or_not_within_all_limits() {
        let roomy = Limits::default();
        let narrow = Limits {
            value_bytes: 3,
            ..roomy
        };
        let few = Limits { fields: 4, ..roomy };
        for (limits, before) in [(roomy, 0), (roomy, 2), (narrow, 0), (few, 1), (few, 2)] {
            let places = Places::new();
            let mut expected = Fields::new(limits, Vec::new());
            for _ in 0..before {
                expected.integer("before", 1);
            }
            compose(metadata(), &mut expected);
            let truncated = expected.truncated();
            let expected = (expected.into_bytes(), truncated);
            for _ in 0..3 {
                assert_eq!(described(&places, limits, before), expected);
            }
        }
    }
}
