//! A test in a process of its own that may open a given number of descriptors.

use std::any::type_name_of_val;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

/// Set in the process of a case.
const CASE: &str = "ORDERSCOPE_DESCRIPTORS_CASE";
/// How that process exits when the case ran to its end; 0 would also be that of a harness which
/// found no such test.
const PASSED: i32 = 42;

/// How many descriptors the process may have open.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Descriptors {
    /// As many as the system lets it.
    Most,
    Only(u32),
}

/// Runs the calling test's `case` in a process with so many descriptors, and prints what it
/// printed. In that process it runs the case and does not return.
#[expect(clippy::print_stdout, reason = "what the case printed")]
pub(crate) fn with(descriptors: Descriptors, case: impl FnOnce()) {
    // `it::module::test::{{closure}}`, and the harness knows `module::test`.
    let name = type_name_of_val(&case);
    let test = name
        .strip_prefix("it::")
        .and_then(|name| name.split_once("::{{"))
        .map(|(test, _)| test)
        .expect("a closure of a test");
    if env::var(CASE).is_ok_and(|case| case == test) {
        let outcome = catch_unwind(AssertUnwindSafe(case));
        std::process::exit(if outcome.is_ok() { PASSED } else { 1 });
    }
    let limit = match descriptors {
        Descriptors::Most => "$(ulimit -Hn)".to_owned(),
        Descriptors::Only(count) => count.to_string(),
    };
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")])
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, test)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert_eq!(
        output.status.code(),
        Some(PASSED),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
