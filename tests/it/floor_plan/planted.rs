//! The plan over sources planted for the purpose: what it refuses, and what it lets pass.

use super::contents::MOST_LINES;
use super::plan::{PLAN, Plan};
use super::violations;

const LIB: &str = "
pub mod _guide;
mod alerts; mod catalog; mod clock; mod context; mod delivery; mod error; mod ids;
mod instrumentation;
mod metrics; mod pipeline; mod stack; mod telemetry; mod worker;
pub use instrumentation::{events, http as server, process};
pub use telemetry::{Telemetry, builder::Builder};
pub use self::error::Error as Failure;
pub use pipeline::*;
pub(crate) use crate::catalog;
pub mod reexport { pub use ::metrics; pub use opentelemetry; pub use super::clock::Clock; }
extern crate alloc;
pub const VERSION: &str = \"1\";
";

const CORRIDOR: &str = "pub mod errors; pub mod events; pub mod http; pub mod process;";

/// The plan's complaints about these files, beside a front door and a corridor that are in order.
fn complaints_under(plan: &Plan, files: &[(&str, &str)]) -> Vec<String> {
    let usual = [
        ("src/lib.rs", LIB),
        ("src/instrumentation.rs", CORRIDOR),
        (
            "src/pipeline.rs",
            "pub use self::taps::*; mod taps { pub trait EventTap {} }\npub struct Pipeline;",
        ),
    ];
    let sources = usual.iter().chain(files);
    let sources = sources
        .map(|&(path, text)| (path.to_owned(), text.to_owned()))
        .collect();
    violations(plan, &sources)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn complaints(files: &[(&str, &str)]) -> Vec<String> {
    complaints_under(&PLAN, files)
}

/// What the plan says of one line of `src/metrics/registry.rs`, on floor 1.
fn in_metrics(line: &str) -> Vec<String> {
    complaints(&[("src/metrics/registry.rs", line)])
}

fn imports_telemetry(line: usize) -> String {
    format!(
        "src/metrics/registry.rs:{line}: metrics (floor 1) imports crate::telemetry (floor 6): a file imports from lower floors only"
    )
}

#[test]
fn a_tree_in_order_has_no_violation() {
    let files = [
        (
            "src/clock.rs",
            "use std::time::Instant; pub fn now() -> Instant { Instant::now() }",
        ),
        (
            "src/metrics.rs",
            "mod registry; use crate::clock::Clock; use self::registry::Registry;",
        ),
        (
            "src/metrics/registry.rs",
            "use crate::{error::Error, clock::{self, Clock}}; use super::Shard;",
        ),
        ("src/stack/walk.rs", "pub fn walk() { unsafe { frame() } }"),
        ("src/worker.rs", "pub fn register() { unsafe { atfork() } }"),
        (
            "src/instrumentation/http.rs",
            "use crate::context; use ::http::Request; use crate::EventTap;",
        ),
        (
            "src/instrumentation/http/layer.rs",
            "use super::super::super::metrics; use super::Outcome;",
        ),
        (
            "src/telemetry.rs",
            "use crate::{server, process::Sampler}; use crate::instrumentation::errors;",
        ),
        (
            "src/_guide.rs",
            "#![doc = include_str!(\"guide/start.md\")] pub mod funnels {}",
        ),
    ];
    assert_eq!(complaints(&files), [""; 0]);
}

#[test]
fn a_path_within_the_room_needs_no_front_door() {
    let planted = "use self::one::A; use super::review::B; use crate::review::{C, one::*};";
    assert_eq!(complaints(&[("src/review.rs", planted)]), [""; 0]);
}

#[test]
fn an_upward_import_is_refused_with_file_line_and_floors() {
    let planted = "use std::fmt;\n\nuse crate::telemetry::Telemetry;\n";
    assert_eq!(in_metrics(planted), [imports_telemetry(3)]);
}

#[test]
fn an_upward_import_is_refused_however_it_is_written() {
    let ways = [
        "use crate::{clock::Clock, telemetry::{self, environment}};",
        "use crate::telemetry as t;",
        "use crate::telemetry::*;",
        "use {crate::clock::Clock, crate::telemetry::Telemetry};",
        "pub(crate) use crate::telemetry::Telemetry;",
        "use super::super::telemetry::Telemetry;",
        "use self::super::super::telemetry::Telemetry;",
        "use orderscope::telemetry::Telemetry;",
        "use ::orderscope::telemetry::Telemetry;",
        "fn f() { crate::telemetry::environment::read::<u8>(1); }",
        "fn f(_: Vec<crate::telemetry::Telemetry>) {}",
        "struct S(pub (crate::telemetry::Telemetry));",
        "impl crate::telemetry::Door for u8 {}",
        "fn f() { print(|| vec![crate::telemetry::VALUE]); }",
        "macro_rules! m { ($x:expr) => { $crate::telemetry::f($x) }; }",
        "#[derive(crate::telemetry::Derived)] struct S;",
        "mod inner { use super::super::super::telemetry::Telemetry; }",
        "mod inner { mod deeper { fn f() { super::super::super::super::telemetry::f() } } }",
        "#[cfg(test)] mod tests { use crate::telemetry::Telemetry; }",
        "#[cfg(test)] mod tests { use super::*; use crate::Telemetry; }",
        "use crate::Telemetry;",
        "use crate::Builder;",
        "use super::super::Builder;",
        "fn f() -> crate::Builder { crate::Telemetry::builder() }",
    ];
    for way in ways {
        assert_eq!(in_metrics(way), [imports_telemetry(1)], "{way}");
    }
}

#[test]
fn each_branch_of_a_group_is_told_on_its_own_line() {
    let planted = "use crate::{\n    clock::Clock,\n    pipeline::{\n        Pipeline,\n    },\n    Telemetry,\n};\n";
    let found = in_metrics(planted);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with(
        "src/metrics/registry.rs:4: metrics (floor 1) imports crate::pipeline (floor 3)"
    ));
    assert_eq!(found[1], imports_telemetry(6));
}

#[test]
fn what_lib_rs_re_exports_is_imported_from_the_room_that_defines_it() {
    let rooms = [
        (
            "use crate::server::Layer;",
            "crate::instrumentation::http (floor 5)",
        ),
        (
            "use crate::process;",
            "crate::instrumentation::process (floor 5)",
        ),
        (
            "use crate::instrumentation::errors::capture;",
            "crate::instrumentation::errors (floor 5)",
        ),
        ("use crate::Pipeline;", "crate::pipeline (floor 3)"),
        ("use crate::EventTap;", "crate::pipeline (floor 3)"),
        ("use crate::catalog::Catalog;", "crate::catalog (floor 2)"),
    ];
    for (import, room) in rooms {
        let found = in_metrics(import);
        let expected = format!("imports {room}: a file imports from lower floors only");
        assert!(
            found.len() == 1 && found[0].ends_with(&expected),
            "{import}: {found:?}"
        );
    }
    for lower in [
        "use crate::Failure;",
        "use crate::reexport::Clock;",
        "use crate::reexport::metrics::counter;",
        "use crate::reexport::opentelemetry::global;",
        "use crate::alloc::vec::Vec;",
    ] {
        assert_eq!(in_metrics(lower), [""; 0], "{lower}");
    }
}

#[test]
fn an_exported_macro_belongs_to_the_room_that_defines_it() {
    let defined = "#[macro_export] macro_rules! critical { () => { $crate::context::now() }; }";
    let found = complaints(&[
        ("src/instrumentation/errors.rs", defined),
        ("src/metrics.rs", "fn f() { crate::critical!() }"),
        ("src/telemetry.rs", "fn f() { crate::critical!() }"),
    ]);
    assert_eq!(
        found,
        [
            "src/metrics.rs:1: metrics (floor 1) imports crate::instrumentation::errors (floor 5): a file imports from lower floors only"
        ]
    );
}

#[test]
fn nothing_imports_from_the_front_door_itself() {
    for (import, named) in [
        ("use crate::VERSION;", "crate::VERSION"),
        ("use super::super::*;", "crate::*"),
        ("use crate::{self as root};", "crate"),
    ] {
        let expected = format!(
            "src/metrics/registry.rs:1: metrics (floor 1) imports {named} from src/lib.rs: nothing imports from the front door"
        );
        assert_eq!(in_metrics(import), [expected]);
    }
    assert_eq!(
        in_metrics("use crate::invented::Thing;"),
        [
            "src/metrics/registry.rs:1: metrics (floor 1) imports crate::invented::Thing, which src/lib.rs neither declares nor re-exports"
        ]
    );
}

#[test]
fn siblings_never_import_each_other() {
    let rule = "rooms of one floor never import each other";
    let found = complaints(&[
        ("src/metrics.rs", "use crate::worker::Worker;"),
        (
            "src/instrumentation/http/layer.rs",
            "use super::super::errors::capture;\nuse crate::events::track_event;",
        ),
        (
            "src/instrumentation/process.rs",
            "use crate::alerts::Alert;",
        ),
        (
            "src/instrumentation/errors.rs",
            "use crate::instrumentation;",
        ),
    ]);
    assert_eq!(
        found,
        [
            format!(
                "src/instrumentation/errors.rs:1: errors (floor 5) imports crate::instrumentation (floor 5): {rule}"
            ),
            format!(
                "src/instrumentation/http/layer.rs:1: http (floor 5) imports crate::instrumentation::errors (floor 5): {rule}"
            ),
            format!(
                "src/instrumentation/http/layer.rs:2: http (floor 5) imports crate::instrumentation::events (floor 5): {rule}"
            ),
            format!(
                "src/instrumentation/process.rs:1: process (floor 5) imports crate::alerts (floor 5): {rule}"
            ),
            format!("src/metrics.rs:1: metrics (floor 1) imports crate::worker (floor 1): {rule}"),
        ]
    );
}

#[test]
fn the_table_lets_a_sibling_import_in_one_direction() {
    let plan = Plan {
        floors: PLAN.floors,
        siblings: &[("metrics", "worker")],
    };
    assert_eq!(
        complaints_under(&plan, &[("src/metrics.rs", "use crate::worker::Worker;")]),
        [""; 0]
    );
    let found = complaints_under(&plan, &[("src/worker.rs", "use crate::metrics::Counter;")]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn the_guide_imports_nothing() {
    assert_eq!(
        complaints(&[("src/_guide.rs", "pub use crate::clock::Clock;")]),
        [
            "src/_guide.rs:1: _guide (floor 7) imports crate::clock (floor 0): the guide imports nothing"
        ]
    );
}

#[test]
fn a_file_on_no_floor_is_refused() {
    for (path, room) in [
        ("src/sundries.rs", "sundries"),
        ("src/sundries/one.rs", "sundries"),
        ("src/http.rs", "http"),
        ("src/instrumentation/weather.rs", "weather"),
    ] {
        let expected =
            format!("{path}:1: {room} is on no floor: give it one in tests/it/floor_plan/plan.rs");
        assert_eq!(complaints(&[(path, "")]), [expected]);
    }
}

#[test]
fn a_name_that_says_nothing_is_refused_at_any_depth() {
    for name in ["utils", "common", "helpers", "types", "prelude"] {
        let inner = format!("src/metrics/{name}.rs");
        let complaint = format!("`{name}` says nothing: name it by what it does");
        assert_eq!(
            complaints(&[(&inner, "")]),
            [format!("{inner}:1: {complaint}")]
        );
        let room = format!("src/{name}/one.rs");
        let found = complaints(&[(&room, "")]);
        assert!(
            found.contains(&format!("{room}:1: {complaint}")),
            "{found:?}"
        );
    }
}

#[test]
fn a_mod_rs_is_refused() {
    assert_eq!(
        complaints(&[("src/metrics/mod.rs", "")]),
        ["src/metrics/mod.rs:1: a room is `name.rs` and `name/`, never `mod.rs`"]
    );
}

#[test]
fn unsafe_stands_in_two_rooms_only() {
    let rule = "`unsafe` stands in src/stack and src/worker.rs only";
    let hidden = "//! unsafe\n// unsafe\n#![deny(unsafe_code)]\nmacro_rules! m { () => { unsafe { f() } }; }";
    assert_eq!(
        complaints(&[
            ("src/metrics.rs", hidden),
            ("src/worker/fork.rs", "unsafe fn f() {}")
        ]),
        [
            format!("src/metrics.rs:4: {rule}"),
            format!("src/worker/fork.rs:1: {rule}")
        ]
    );
}

#[test]
fn only_the_clock_reads_the_time_outside_of_tests() {
    let rule = "`Instant::now` and `SystemTime::now` stand in src/clock.rs only";
    let planted = "use std::time::Instant;
fn a() { std::time::Instant::now(); }
fn b() { map(SystemTime::now); }
#[cfg(test)]
use std::time::SystemTime;
#[cfg(not(test))]
fn c() { m!(Instant::now()); }
fn not_a_reading(last: Instant) { last.elapsed(); Instant::now_or_never(); }
#[cfg(test)]
mod tests { fn d() { Instant::now(); } }
fn e() { tokio::time::Instant::now(); }
";
    let found = complaints(&[("src/metrics.rs", planted)]);
    assert_eq!(
        found,
        [2, 3, 7, 11].map(|line| format!("src/metrics.rs:{line}: {rule}"))
    );
    let test_file = [
        ("src/metrics.rs", "#[cfg(test)] mod speed;"),
        ("src/metrics/speed.rs", "fn f() { Instant::now(); }"),
    ];
    assert_eq!(complaints(&test_file), [""; 0]);
}

#[test]
fn a_long_file_is_refused_comments_blank_lines_and_unit_tests_left_out() {
    let code = "fn f() {}\n".repeat(MOST_LINES);
    let comments = "// why\n\n/// what\n/* at\nlength */\n".repeat(200);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
    let just_fits = format!("{comments}{code}{tests}");
    assert_eq!(in_metrics(&just_fits), [""; 0]);
    let too_long = format!("{comments}{code}fn g() {{}}\n{tests}");
    assert_eq!(
        in_metrics(&too_long),
        ["src/metrics/registry.rs:1: 321 lines of code, more than 320: split the file"]
    );
}

#[test]
fn what_is_no_rust_is_told_with_its_line() {
    let found = in_metrics("fn f() {}\nfn {}\n");
    assert!(
        found[0].starts_with("src/metrics/registry.rs:2: is no Rust: "),
        "{found:?}"
    );
}
