//! An error far down in the calls of a service.

use std::{backtrace::Backtrace, fmt, hint::black_box};

/// With the frames of `main` and of the rounds about thirty.
const DEPTH: u32 = 16;

#[derive(Debug)]
struct OvenBroken;

impl fmt::Display for OvenBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the oven is broken")
    }
}

impl std::error::Error for OvenBroken {}

pub(crate) fn captured_by_ours() {
    down(DEPTH, || orderscope::capture_error(&OvenBroken));
}

pub(crate) fn captured_by_sentry() {
    down(DEPTH, || {
        black_box(sentry::capture_error(&OvenBroken));
    });
}

pub(crate) fn captured_by_std() {
    down(DEPTH, || drop(black_box(Backtrace::force_capture())));
}

pub(crate) fn formatted_by_std() {
    down(DEPTH, || {
        drop(black_box(Backtrace::force_capture().to_string()))
    });
}

/// A frame for each call: none is inlined, none is a jump.
#[inline(never)]
fn down(deeper: u32, at_the_bottom: fn()) {
    match deeper {
        0 => at_the_bottom(),
        _ => down(deeper - 1, black_box(at_the_bottom)),
    }
    black_box(());
}
