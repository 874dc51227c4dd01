//! The instructions of the paths that every request takes, counted by callgrind and compared with
//! `tests/golden/instructions.json`, within 5 %; within 10 % where records are made, whose memory grows when
//! the telemetry's own thread lets it. `UPDATE_GOLDEN=1` writes the file anew.
//!
//! The counts hold for one release of the compiler; under another they are reported, not judged.

use crate::programs;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

const FEW: u64 = 1_000;
const MANY: u64 = 2_500;
const TOLERANCE: f64 = 0.05;
/// By so much may it be more.
const GROWTH: f64 = 0.1;

#[derive(Debug, Serialize, Deserialize)]
struct Golden {
    rustc: String,
    /// Instructions each time the path is taken.
    instructions: BTreeMap<String, f64>,
}

#[test]
fn the_paths_of_a_request_cost_the_instructions_on_record() {
    let program = build();
    let cost = |path: &str| cost(&program, path, 1);
    let bare = cost("bare_request");
    let over = |path: &str| cost(path) - bare;
    let measured = Golden {
        rustc: output(Command::new("rustc").arg("--version")),
        instructions: [
            ("request, over the bare router", over("request")),
            (
                "request with 800 KB of trace headers, over the bare router",
                cost("hostile_request") - cost("bare_hostile_request"),
            ),
            (
                "request whose trace is recorded with a chance of 1 %, over the bare router",
                over("sampled_request"),
            ),
            (
                "recorded request, over the bare router",
                over("recorded_request"),
            ),
            (
                "recorded request with a line of log, over the bare router",
                over("request_with_a_line"),
            ),
            (
                "recorded request with a span, over the bare router",
                over("request_with_a_span"),
            ),
            ("error event of three fields", cost("error_event")),
            ("business event of six attributes", cost("business_event")),
            (
                "outgoing call, over the bare service",
                cost("call") - cost("bare_call"),
            ),
            (
                "recorded outgoing call, over the bare service",
                cost("recorded_call") - cost("bare_call"),
            ),
            ("operation of a database, timed", cost("operation")),
            ("counter of three labels", cost("counter")),
            ("histogram", cost("histogram")),
        ]
        .map(|(path, cost)| (path.to_owned(), cost.round()))
        .into(),
    };
    let file = programs::repository().join("tests/golden/instructions.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(&measured).unwrap() + "\n";
        fs::write(&file, text).unwrap();
    }
    let golden: Golden = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    println!("on record: {golden:#?}\nmeasured: {measured:#?}");
    if golden.rustc != measured.rustc {
        println!("another compiler: the counts above are reported, not judged");
        return;
    }
    assert!(golden.instructions.keys().eq(measured.instructions.keys()));
    for (path, recorded) in &golden.instructions {
        let ratio = measured.instructions[path] / recorded;
        let makes_records = ["recorded", "event"].iter().any(|word| path.contains(word));
        let tolerance = TOLERANCE * if makes_records { 2.0 } else { 1.0 };
        assert!(
            (ratio - 1.0).abs() <= tolerance,
            "{path}: {ratio:.3} times what is on record; if that is meant, UPDATE_GOLDEN=1"
        );
    }
}

#[test]
fn a_request_costs_the_same_among_many_routes_and_a_span_among_many_open_ones() {
    let program = build();
    let of_routes =
        |routes| cost(&program, "routes", routes) - cost(&program, "bare_routes", routes);
    let routes = [10, 1_000, 2_000].map(|routes| (routes, of_routes(routes)));
    let spans = [1, 100, 10_000].map(|open| (open, cost(&program, "spans", open)));
    for of in [routes, spans] {
        println!("{of:?}");
        let (_, alone) = of[0];
        for (among, cost) in of {
            let ratio = cost / alone;
            assert!(
                (ratio - 1.0).abs() <= GROWTH,
                "among {among}: {ratio:.3} times"
            );
        }
    }
}

/// Instructions each time that the path is taken.
fn cost(program: &Path, path: &str, among: u64) -> f64 {
    let [few, many] = [FEW, MANY].map(|times| instructions(program, path, times, among));
    (many - few) as f64 / (MANY - FEW) as f64
}

fn build() -> PathBuf {
    let package = programs::repository().join("tests/instructions");
    let target = programs::repository().join("target/instructions");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--manifest-path",
        ])
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target);
    output(&mut cargo);
    target.join("release/orderscope-instructions")
}

/// Those of the thread that takes the path: what the telemetry's own thread does meanwhile depends on when
/// it is let run.
fn instructions(program: &Path, path: &str, times: u64, among: u64) -> u64 {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("instructions-{run}"));
    fs::create_dir_all(&folder).unwrap();
    let counts = folder.join("counts");
    let mut valgrind = Command::new(programs::valgrind());
    valgrind
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .args([path, &times.to_string(), &among.to_string()])
        // What the environment holds is copied at start, and is no part of the path.
        .env_clear();
    let said = valgrind.output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{text}");
    let of_the_first_thread = fs::read_to_string(folder.join("counts-01")).unwrap();
    fs::remove_dir_all(folder).unwrap();
    let mut lines = of_the_first_thread.lines();
    let count = lines.find_map(|line| line.strip_prefix("totals: "));
    let count = count.unwrap_or_else(|| panic!("callgrind counted nothing: {text}"));
    count.trim().parse().unwrap()
}

fn output(command: &mut Command) -> String {
    let said = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}
