//! What is done of every error where it is raised: it is counted. Whether its record is made too, its
//! group's limit says.

use crate::{
    context,
    ids::SpanContext,
    pipeline::{Pipeline, Whom, key_of_whole_way},
    records::{EXCEPTION, Log, Raised, Severity},
    stack::{self, Fingerprint},
};
use compact_str::CompactString;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

/// Return addresses by which one way to an error is told from another: our own functions, then as
/// many of the program's as most helpers are deep.
pub(super) const WAY: usize = 12;
/// The same of a line of log, which has `tracing` and its layers in between: up to 40 functions, of which
/// an optimised build inlines most.
pub(super) const WAY_OF_A_LINE: usize = if cfg!(debug_assertions) { 48 } else { 24 };
/// The same of a panic, which has the machinery of panicking in between.
pub(super) const WAY_OF_A_PANIC: usize = 24;

/// An error before it is told: what it is counted by, and what tells its site from others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raise<'a> {
    pub(super) severity: Severity,
    pub(super) is_handled: bool,
    pub(super) type_name: &'a str,
    pub(super) place: Option<(&'a str, u32)>,
    /// The one that the application gives: all of it are of one site.
    pub(super) fingerprint: Option<Fingerprint>,
}

impl Raise<'_> {
    /// Of the site of errors that are come to by this way.
    pub(super) fn key(&self, way: u64) -> u64 {
        let mut hasher = FxHasher::default();
        match self.fingerprint {
            Some(fingerprint) => fingerprint.hash(&mut hasher),
            None => (self.type_name, self.place, way).hash(&mut hasher),
        }
        hasher.finish()
    }

    /// Looks where the caller came from: the key of the site, and what its record needs, where the
    /// limit of its group lets it be told whole. Without a pipeline there is no limit.
    pub(super) fn look(
        &self,
        depth: usize,
        pipeline: Option<&Pipeline>,
    ) -> (u64, Option<Box<Raised>>) {
        let (mut key, mut is_shared) = (0, false);
        let mut stack = stack::capture_if(depth, |way| {
            key = self.key(way);
            is_shared = pipeline.is_some_and(|pipeline| is_shared_by_groups(pipeline, key));
            is_shared || pipeline.is_none_or(|pipeline| is_admitted(pipeline, key))
        });
        if is_shared && let (Some(whole), Some(pipeline)) = (&stack, pipeline) {
            key = key_of_whole_way(key, whole);
            stack = stack.filter(|_| is_admitted(pipeline, key));
        }
        let raised = stack.map(|stack| {
            Box::new(Raised {
                stack,
                site: key,
                fingerprint: self.fingerprint,
            })
        });
        (key, raised)
    }
}

fn is_shared_by_groups(pipeline: &Pipeline, key: u64) -> bool {
    pipeline.error_groups.site(key).is_shared()
}

/// Whether an error of the site is told whole, or only counted.
pub(super) fn is_admitted(pipeline: &Pipeline, key: u64) -> bool {
    let groups = &pipeline.error_groups;
    groups.admits(groups.site(key))
}

/// The span that may stand for what is counted now.
pub(super) fn exemplar(pipeline: &Pipeline) -> Option<SpanContext> {
    context::active().and_then(|span| pipeline.settings.exemplars.choose(span))
}

impl Raise<'_> {
    /// Counts it as one of that site.
    pub(super) fn count(&self, pipeline: &Pipeline, key: u64) {
        let counters = &pipeline.counters;
        let of = exemplar(pipeline);
        counters
            .exceptions(self.severity, self.is_handled)
            .add_of(1, of);
        counters
            .exceptions_by_type
            .get(self.type_name)
            .add_of(1, of);
        let groups = &pipeline.error_groups;
        let site = groups.site(key);
        let of_request = context::with_request(|request| {
            let identity = request.identity.as_deref();
            let whom = Whom {
                user: identity.and_then(context::Identity::user),
                endpoint: request.route.map(|route| (request.method, route)),
            };
            groups.count(site, whom);
        });
        if of_request.is_none() {
            groups.count(site, Whom::default());
        }
    }

    /// What its record holds beside its fields.
    pub(super) fn log(&self, pipeline: &Pipeline) -> Log {
        Log {
            context: context::active(),
            at: pipeline.clock.now(),
            severity: self.severity,
            event_name: CompactString::const_new(EXCEPTION),
        }
    }
}
