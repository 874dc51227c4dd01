//! What is printed and sent under an installed telemetry, whose panic hook takes the panics.

use std::io::Write as _;
use std::path::PathBuf;
use std::{env, fs, io, panic};

use opentelemetry::trace::{Span as _, Status, Tracer as _};
use opentelemetry::{KeyValue, global};
use orderscope::Telemetry;
use orderscope::export::{Destination, InMemory};
use orderscope::logs::{Format, LogFile};

use super::{SOON, alone, block_on};

#[path = "../it/signals/secrets/planted.rs"]
mod planted;

use planted::{TOLD_BY_LINES, TOLD_BY_RECORDS, assert_tells_no_secret};

/// Prints no panic that was planted.
fn print_other_panics() {
    panic::set_hook(Box::new(|panic| {
        let panic = panic.to_string();
        if !panic.contains("exploded") && !panic.contains("mysql") {
            let _ = writeln!(io::stderr(), "{panic}");
        }
    }));
}

fn traced_by_the_api() {
    let mut span = global::tracer("library").start("charge token=hush46");
    span.set_attribute(KeyValue::new("db.password", "hush46"));
    span.set_attribute(KeyValue::new(
        "note",
        "see https://a:hush46@b.test/?c=hush46",
    ));
    span.add_event("retried", vec![KeyValue::new("api_key", "hush46")]);
    span.set_status(Status::error("refused: pwd=hush46"));
    span.end();
}

/// Gives all secrets away, and looks for them in what was sent.
fn spilled(format: Format, file: Option<LogFile>) {
    print_other_panics();
    let backend = InMemory::new();
    let builder = Telemetry::builder("orders")
        .destination(Destination::in_memory("memory", &backend))
        .log_format(format);
    let builder = match file {
        Some(file) => builder.log_file(file),
        None => builder,
    };
    let telemetry = builder.install().unwrap();
    block_on(async {
        planted::spill(&telemetry).await;
        traced_by_the_api();
        let report = telemetry.shutdown(SOON).await;
        assert!(report.is_complete(), "{report}");
    });
    let (spans, logs) = (backend.spans(), backend.logs());
    let sent = format!("{spans:#?}{logs:#?}{:#?}", backend.metrics());
    let told: Vec<_> = [TOLD_BY_RECORDS, &["retried", "install::secrets::planted"]]
        .concat()
        .iter()
        .map(|told| told.replace('"', "\\\""))
        .collect();
    let told: Vec<_> = told.iter().map(String::as_str).collect();
    assert_tells_no_secret("the backend", sent.as_bytes(), &told);
    let by_hook = logs.iter().filter(|log| {
        log.event_name == "exception" && log.attribute("exception.stacktrace").is_some()
    });
    // Two panics, three errors, and one that a line carries.
    assert_eq!(by_hook.count(), 6);
}

#[test]
fn no_secret_is_in_what_is_printed_for_people() {
    let output = alone(&[], || spilled(Format::Human, None));
    assert_tells_no_secret("stderr", &output.stderr, TOLD_BY_LINES);
    assert_tells_no_secret("stdout", &output.stdout, &[]);
}

#[test]
fn no_secret_is_in_what_is_printed_for_programs() {
    let output = alone(&[], || spilled(Format::Json, None));
    assert_tells_no_secret("stderr", &output.stderr, TOLD_BY_LINES);
}

#[test]
fn no_secret_is_in_a_log_file() {
    const FOLDER: &str = "ORDERSCOPE_LOGS";
    let folder = env::temp_dir().join(format!("orderscope-{}-spilled", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let shown = folder.to_str().unwrap().to_owned();
    let output = alone(&[(FOLDER, &shown)], || {
        let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
        spilled(Format::Json, Some(LogFile::daily(folder, "orders")));
    });
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    let lines = fs::read(file.path()).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_tells_no_secret("a line", &lines, TOLD_BY_LINES);
    assert_tells_no_secret("stderr", &output.stderr, &[]);
}
