//! The rows of captured errors: whole, counted only, and panics.

use crate::{
    operations::{Operation, Turns, times},
    ours,
    rounds::{Delivered, Subject},
    sentry_client::{self, Ends},
    sinks::Sink,
    stack,
};
use orderscope::clock::ManualClock;
use sentry::ClientOptions;
use std::{
    panic::{self, catch_unwind},
    time::{Duration, SystemTime},
};

const CAPTURED: &str = "captured error, a stack of 30 frames";
const FIRST: &str = "the first captured error of a process";
const COUNTED: &str = "the same in a storm";
const PANICKED: &str = "panic that is caught, its hook";
/// The text of one takes as long as a hundred records.
const A_TURN: u32 = 100;

pub(crate) static ALL: [Operation; 13] = [
    Operation {
        key: "ours-capture",
        what: CAPTURED,
        by: "**orderscope**, `capture_error`, names, group and record included",
        against: "ours-capture",
        turns: Turns::Of(A_TURN),
        start: || a_second_apart(stack::captured_by_ours),
    },
    Operation {
        key: "std-capture",
        what: CAPTURED,
        by: "`Backtrace::force_capture()`, no names",
        against: "ours-capture",
        turns: Turns::Of(A_TURN),
        start: || by_itself(stack::captured_by_std),
    },
    Operation {
        key: "std-format",
        what: CAPTURED,
        by: "`Backtrace::force_capture()` as text",
        against: "ours-capture",
        turns: Turns::Of(A_TURN),
        start: || by_itself(stack::formatted_by_std),
    },
    Operation {
        key: "sentry-capture",
        what: CAPTURED,
        by: "sentry, `capture_error`, `attach_stacktrace`",
        against: "ours-capture",
        turns: Turns::Of(A_TURN),
        start: || through_sentry(Ends::Dropped, stack::captured_by_sentry),
    },
    Operation {
        key: "sentry-capture-encoded",
        what: CAPTURED,
        by: "the same, its envelope written",
        against: "ours-capture",
        turns: Turns::Of(A_TURN),
        start: || through_sentry(Ends::Written, stack::captured_by_sentry),
    },
    Operation {
        key: "ours-first",
        what: FIRST,
        by: "**orderscope**, `capture_error`, names, group and record included",
        against: "ours-first",
        turns: Turns::First,
        start: || through_ours(None, stack::captured_by_ours),
    },
    Operation {
        key: "std-first",
        what: FIRST,
        by: "`Backtrace::force_capture()` as text",
        against: "ours-first",
        turns: Turns::First,
        start: || by_itself(stack::formatted_by_std),
    },
    Operation {
        key: "sentry-first",
        what: FIRST,
        by: "sentry, `capture_error`, `attach_stacktrace`",
        against: "ours-first",
        turns: Turns::First,
        start: || through_sentry(Ends::Dropped, stack::captured_by_sentry),
    },
    Operation {
        key: "ours-storm",
        what: COUNTED,
        by: "**orderscope**, `capture_error`: ten are told, then one a second, all are counted",
        against: "ours-storm",
        turns: Turns::Of(1_000),
        start: || through_ours(None, stack::captured_by_ours),
    },
    Operation {
        key: "sentry-storm",
        what: COUNTED,
        by: "sentry, each told",
        against: "ours-storm",
        turns: Turns::Of(A_TURN),
        start: || through_sentry(Ends::Dropped, stack::captured_by_sentry),
    },
    Operation {
        key: "ours-panic",
        what: PANICKED,
        by: "**orderscope** before a hook that does nothing, stack and record included",
        against: "ours-panic",
        turns: Turns::Of(A_TURN),
        start: || {
            panic::set_hook(Box::new(|_| ()));
            a_second_apart(panics)
        },
    },
    Operation {
        key: "ours-panic-storm",
        what: PANICKED,
        by: "the same in a storm: ten are told, then one a second, all are counted",
        against: "ours-panic",
        turns: Turns::Of(A_TURN),
        start: || {
            panic::set_hook(Box::new(|_| ()));
            through_ours(None, panics)
        },
    },
    Operation {
        key: "std-panic",
        what: PANICKED,
        by: "a hook that does nothing",
        against: "ours-panic",
        turns: Turns::Of(A_TURN),
        start: || {
            panic::set_hook(Box::new(|_| ()));
            by_itself(panics)
        },
    },
];

fn panics() {
    let _ = catch_unwind(|| panic!("planted"));
}

/// So that the limit of their group lets each be told whole.
fn a_second_apart(operation: fn()) -> Subject {
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
    through_ours(Some(hands.clock()), move || {
        hands.advance(Duration::from_secs(1));
        operation();
    })
}

fn through_ours(
    clock: Option<orderscope::clock::Clock>,
    operation: impl Fn() + 'static,
) -> Subject {
    let telemetry = ours::timed_by(clock);
    Subject {
        threads: 1,
        run: Box::new(move |times| (0..times).for_each(|_| operation())),
        settle: ours::settle(&telemetry),
        delivered: Box::new(move || ours::delivered(&telemetry)),
    }
}

fn through_sentry(ends: Ends, operation: fn()) -> Subject {
    let sink = Sink::default();
    let guard = sentry_client::init(&sink, ends, ClientOptions::new().attach_stacktrace(true));
    let mut run = times(operation);
    Subject {
        threads: 1,
        run: Box::new(move |count| {
            let _kept = &guard;
            run(count);
        }),
        settle: Box::new(|| {}),
        delivered: Box::new(move || sink.delivered()),
    }
}

fn by_itself(operation: fn()) -> Subject {
    Subject {
        threads: 1,
        run: times(operation),
        settle: Box::new(|| {}),
        delivered: Box::new(Delivered::default),
    }
}
