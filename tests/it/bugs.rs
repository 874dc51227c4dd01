//! The same bugs, built in several ways: what is one error, what is another, and what is left to say
//! of a stack without names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

use crate::programs;

/// Optimised and not, with line tables.
const WITH_LINES: [&str; 2] = ["o3-lines", "o0-lines"];
/// Optimised, with lines in a file beside the program, or where it was built.
const SPLIT: [&str; 2] = ["o3-packed", "o3-unpacked"];
/// With line tables, and paths as if it had been built in a container.
const ELSEWHERE: &str = "o0-elsewhere";
/// The same without any debug information, and without symbols.
const WITHOUT: [&str; 3] = ["o3-none", "o0-none", "o3-stripped"];
const BUGS: usize = 22;
/// Of one type at one place, come to in two ways that only a stack tells apart.
const SHARE_A_PLACE: [[&str; 2]; 2] = [
    ["unwrap of nothing", "panic in a thread"],
    ["helper called by one", "helper called by another"],
];

/// What was made of one bug.
#[derive(Debug, Deserialize)]
struct Told {
    bug: String,
    records: u64,
    fingerprint: String,
    function: String,
    source: String,
    stack: String,
}

/// The groups that were in the process.
#[derive(Debug, Deserialize)]
struct Groups {
    groups: Vec<String>,
}

fn run(program: &str) -> Output {
    let output = Command::new(programs::bugs(program)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
    output
}

/// Of each bug of a build, in order.
fn told_by(build: &str) -> Vec<Told> {
    let said = String::from_utf8(run(build).stdout).unwrap();
    let mut lines = said.lines();
    let groups: Groups = serde_json::from_str(lines.next_back().unwrap()).unwrap();
    let told: Vec<Told> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told.len(), BUGS, "{build}: {said}");
    // The process has the same groups as whoever reads the events.
    let of_events: BTreeSet<_> = told.iter().map(|told| &told.fingerprint).collect();
    let of_process: BTreeSet<_> = groups.groups.iter().collect();
    assert_eq!(of_events, of_process, "{build}");
    for told in &told {
        assert_eq!(told.records, 1, "{build}: {told:?}");
    }
    told
}

/// Which fingerprint each bug has.
fn groups(told: &[Told]) -> BTreeMap<&str, &str> {
    let groups = told
        .iter()
        .map(|told| (told.bug.as_str(), told.fingerprint.as_str()));
    groups.collect()
}

#[test]
fn with_line_tables_a_bug_is_one_group_however_it_is_optimised() {
    let [fast, slow] = WITH_LINES.map(told_by);
    assert_eq!(groups(&fast), groups(&slow));
    for build in [&fast, &slow] {
        let distinct: BTreeSet<_> = groups(build).into_values().collect();
        assert_eq!(
            distinct.len(),
            BUGS,
            "different bugs stay apart: {build:#?}"
        );
    }
    // The function that is at fault, and the line, where the source is at hand.
    let burnt = &slow[0];
    assert!(burnt.function.ends_with("dish"), "{burnt:?}");
    let marked = burnt.source.lines().find(|line| line.starts_with('>'));
    assert!(
        marked.is_some_and(|line| line.contains("self.dish.unwrap()")),
        "{burnt:?}"
    );
}

#[test]
fn with_lines_in_files_beside_the_program_a_bug_is_the_same_group() {
    let whole = told_by("o3-lines");
    for build in SPLIT {
        let told = told_by(build);
        assert_eq!(groups(&told), groups(&whole), "{build}");
        let burnt = &told[0];
        assert!(burnt.function.ends_with("dish"), "{build}: {burnt:?}");
        assert!(burnt.stack.contains("kitchen.rs:"), "{build}: {burnt:?}");
    }
}

#[test]
fn where_it_was_built_makes_no_other_groups() {
    let [here, there] = ["o0-lines", ELSEWHERE].map(told_by);
    assert_eq!(groups(&here), groups(&there));
    let stacks = || there.iter().map(|told| told.stack.as_str());
    for folder in [
        "/usr/src/app/tests/host/bugs/src/",
        "/usr/local/cargo/registry/",
    ] {
        assert!(stacks().any(|stack| stack.contains(folder)), "{folder}");
    }
    let here = programs::repository();
    for stack in stacks() {
        assert!(!stack.contains(here.to_str().unwrap()), "{stack}");
        // What is ours begins no trace.
        let first = stack.lines().nth(1).unwrap_or_default();
        assert!(!first.contains("/usr/src/app/src/"), "{stack}");
    }
}

#[test]
fn without_them_it_is_one_by_its_type_and_its_place() {
    let [fast, slow, stripped] = WITHOUT.map(told_by);
    assert_eq!(groups(&fast), groups(&slow));
    assert_eq!(groups(&fast), groups(&stripped));
    let groups = groups(&fast);
    for [one, other] in SHARE_A_PLACE {
        assert_eq!(groups[one], groups[other], "a place is all that is known");
    }
    let distinct: BTreeSet<_> = groups.values().collect();
    assert_eq!(distinct.len(), BUGS - SHARE_A_PLACE.len(), "{fast:#?}");
    assert!(stripped.iter().all(|told| told.source.is_empty()));
}

#[test]
fn a_build_without_lines_says_once_how_to_have_them() {
    for (build, times) in [("o3-none", 1), ("o3-stripped", 1), ("o3-lines", 0)] {
        let said = String::from_utf8(run(build).stderr).unwrap();
        let advice = said.matches("debug = \"line-tables-only\"").count();
        assert_eq!(advice, times, "{build}: {said}");
    }
}

#[test]
fn a_stack_of_a_stripped_build_is_resolved_where_its_symbols_are() {
    let burnt = told_by("o3-stripped").remove(0);
    // `   0: o3-stripped + 0x1a2b`
    let offsets = burnt.stack.lines().filter_map(|line| {
        let (_, of_module) = line.split_once(": ")?;
        of_module.strip_prefix("o3-stripped + ")
    });
    let offsets: Vec<_> = offsets.collect();
    assert!(!offsets.is_empty(), "{}", burnt.stack);
    let symbols = bug_file("o3.debug");
    let resolved = said_by("addr2line", &[&["-Cfie", &symbols], &offsets[..]].concat());
    assert!(resolved.contains("kitchen.rs:"), "{resolved}");
    assert!(
        resolved.contains("dish") && resolved.contains("burn"),
        "{resolved}"
    );

    // That it is the symbols' build can be told.
    let line = format!("build id: o3-stripped {}", build_id("o3.debug"));
    assert!(
        burnt.stack.lines().any(|said| said == line),
        "{}",
        burnt.stack
    );
}

#[test]
fn a_program_that_a_deployment_replaced_tells_the_build_that_runs() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("replaced");
    fs::create_dir_all(&folder).unwrap();
    let [program, next] = ["orders", "next"].map(|name| folder.join(name));
    fs::copy(programs::bugs("o3-stripped"), &program).unwrap();
    fs::copy(programs::bugs("o0-none"), &next).unwrap();
    let mut running = Command::new(&program)
        .arg("when-told")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    fs::rename(&next, &program).unwrap();
    drop(running.stdin.take());
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let burnt: Told = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    let line = format!("build id: orders {}", build_id("o3.debug"));
    assert!(
        burnt.stack.lines().any(|said| said == line),
        "{}",
        burnt.stack
    );
}

fn build_id(name: &str) -> String {
    let notes = said_by("readelf", &["-n", &bug_file(name)]);
    let id = notes.split("Build ID: ").nth(1).unwrap();
    id.split_whitespace().next().unwrap().to_owned()
}

fn bug_file(name: &str) -> String {
    programs::bugs(name).to_str().unwrap().to_owned()
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_panic_that_aborts_ends_the_process_as_ever() {
    let aborts: PathBuf = programs::bugs("aborts");
    let run = |arguments: &[&str]| Command::new(&aborts).args(arguments).output().unwrap();
    // Its connections are taken, by the system, and nobody answers.
    let black_hole = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", black_hole.local_addr().unwrap());
    let (with, without) = (run(&[&endpoint]), run(&[]));
    assert_eq!(with.status, without.status);
    assert!(!with.status.success());
    let said = |output: &Output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // The thread's number is another one each time.
        let hooks = said.matches("the hook before: ").count();
        (
            hooks,
            said.matches("planted").count(),
            said.contains("nothing aborted"),
        )
    };
    assert_eq!(said(&without), (1, 1, false));
    assert_eq!(said(&with), said(&without));
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(with.status.signal(), Some(6), "{with:?}");
    }
}

#[test]
fn every_build_is_there() {
    for build in WITH_LINES
        .iter()
        .chain(&WITHOUT)
        .chain(&SPLIT)
        .chain(&["aborts", "o3.debug", ELSEWHERE])
    {
        assert!(fs::metadata(programs::bugs(build)).is_ok(), "{build}");
    }
}
