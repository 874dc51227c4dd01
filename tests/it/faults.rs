//! What delivery must survive: a collector that misbehaves in one way at a time, a load beside it,
//! and an oracle that knows what was issued and accounts for every record. Messages begin with the
//! number of the fault.

mod black_hole;
mod child;
pub(crate) mod collector;
mod destinations;
mod flapping;
mod floods;
mod host;
pub(crate) mod load;
mod medley;
pub(crate) mod oracle;
mod outage;
mod overflow;
mod pace;
mod partial_success;
mod refusals;
mod resets;
mod retry_after;
mod rig;
mod shared_state;
mod soak;
mod termination;

use std::time::Duration;

/// For what comes in a moment, on a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tests all cases, each on a thread of its own: they wait most of the time.
#[track_caller]
fn at_once<C: Send>(cases: impl IntoIterator<Item = C>, test: impl Fn(C) + Sync) {
    std::thread::scope(|scope| {
        let test = &test;
        let running: Vec<_> = cases
            .into_iter()
            .map(|case| scope.spawn(move || test(case)))
            .collect();
        let failed = running
            .into_iter()
            .map(|case| case.join())
            .filter(Result::is_err);
        assert_eq!(failed.count(), 0, "cases failed, see above");
    });
}
