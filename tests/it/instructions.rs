//! The instructions of the paths that every request takes, counted by callgrind and compared with
//! `tests/golden/instructions.json`, within 5 %. `UPDATE_GOLDEN=1` writes the file anew.
//!
//! The counts hold for one release of the compiler; under another they are reported, not judged.

use crate::programs;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

const FEW: u64 = 1_000;
const MANY: u64 = 3_000;
const TOLERANCE: f64 = 0.05;

#[derive(Debug, Serialize, Deserialize)]
struct Golden {
    rustc: String,
    /// Instructions each time the path is taken.
    instructions: BTreeMap<String, f64>,
}

#[test]
fn the_paths_of_a_request_cost_the_instructions_on_record() {
    let program = build();
    let cost = |path: &str| {
        let [few, many] = [FEW, MANY].map(|times| instructions(&program, path, times));
        (many - few) as f64 / (MANY - FEW) as f64
    };
    let measured = Golden {
        rustc: output(Command::new("rustc").arg("--version")),
        instructions: [
            (
                "request, over the bare router",
                cost("request") - cost("bare_request"),
            ),
            (
                "request with 800 KB of trace headers, over the bare router",
                cost("hostile_request") - cost("bare_hostile_request"),
            ),
            (
                "outgoing call, over the bare service",
                cost("call") - cost("bare_call"),
            ),
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
        assert!(
            (ratio - 1.0).abs() <= TOLERANCE,
            "{path}: {ratio:.3} times what is on record; if that is meant, UPDATE_GOLDEN=1"
        );
    }
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

fn instructions(program: &PathBuf, path: &str, times: u64) -> u64 {
    let mut valgrind = Command::new(programs::valgrind());
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([path, &times.to_string()])
        // What the environment holds is copied at start, and is no part of the path.
        .env_clear();
    let said = valgrind.output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{text}");
    let count = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, count) = count.unwrap_or_else(|| panic!("callgrind counted nothing: {text}"));
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
