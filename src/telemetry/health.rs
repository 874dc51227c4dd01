//! Whether the service should be sent requests.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The service's own checks, and whether it is shutting down.
#[derive(Default)]
pub(super) struct Health {
    checks: Vec<(String, Check)>,
    shutting_down: AtomicBool,
}

impl Health {
    pub(super) fn add(&mut self, name: String, check: Check) {
        self.checks.push((name, check));
    }

    pub(super) fn shut_down(&self) {
        self.shutting_down.store(true, Ordering::Relaxed);
    }

    /// The checks that fail now, each with its reason. One that panics fails.
    pub(super) fn failed(&self) -> Vec<(String, String)> {
        let leaving = self.shutting_down.load(Ordering::Relaxed).then(|| {
            (
                "shutdown".to_owned(),
                "the service is shutting down".to_owned(),
            )
        });
        let failed = self.checks.iter().filter_map(|(name, check)| {
            let checked = catch_unwind(AssertUnwindSafe(check));
            let reason = checked
                .unwrap_or_else(|_| Err("the check panicked".to_owned()))
                .err()?;
            Some((name.clone(), reason))
        });
        leaving.into_iter().chain(failed).collect()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.checks.iter().map(|(name, _)| name).collect();
        f.debug_struct("Health").field("checks", &names).finish()
    }
}
