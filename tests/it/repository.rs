//! The repository itself: what stands at its top, which compiler it asks for, which releases of
//! its dependencies it refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::programs::repository;

/// What stands at the top, beside hidden entries and the build's `target`.
const TOP_LEVEL: [&str; 9] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "examples",
    "src",
    "tests",
];

/// Releases below these have known holes or defects that reach us; those that are in the lock
/// file must not be older.
const MINIMUMS: [(&str, &str); 7] = [
    ("opentelemetry_sdk", "0.32.1"),
    ("tracing-subscriber", "0.3.20"),
    ("h2", "0.4.16"),
    ("bytes", "1.11.1"),
    ("crossbeam-channel", "0.5.15"),
    ("crossbeam-epoch", "0.9.20"),
    ("time", "0.3.47"),
];

#[test]
fn the_top_level_is_as_the_owner_wrote_it() {
    let found: BTreeSet<String> = fs::read_dir(repository())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    assert_eq!(found, TOP_LEVEL.map(str::to_owned).into());
}

#[test]
fn no_dependency_asks_for_a_newer_compiler_than_we_do() {
    let metadata = metadata();
    let root = metadata["resolve"]["root"].as_str().unwrap();
    let packages: BTreeMap<&str, &Value> = members(&metadata["packages"])
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let ours = version(packages[root]["rust_version"].as_str().unwrap());
    let linked = linked(&metadata, root);
    assert!(linked.len() > 20, "{linked:?}");
    let newer: Vec<String> = linked
        .into_iter()
        .map(|id| packages[id])
        .filter_map(|package| Some((package, package["rust_version"].as_str()?)))
        .filter(|(_, theirs)| version(theirs) > ours)
        .map(|(package, theirs)| {
            let [name, release] = ["name", "version"].map(|key| package[key].as_str().unwrap());
            format!("{name} {release} asks for {theirs}")
        })
        .collect();
    assert!(newer.is_empty(), "our rust-version is older: {newer:#?}");
}

#[test]
fn no_locked_release_is_below_its_minimum() {
    let lock = fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let packages = locked(&lock);
    assert!(packages.len() > 50, "{packages:?}");
    assert_eq!(below_minimum(&packages), [""; 0]);
}

#[test]
fn a_planted_release_below_its_minimum_is_found() {
    let lock = "version = 4\n
[[package]]\nname = \"h2\"\nversion = \"0.4.9\"\n
[[package]]\nname = \"h2\"\nversion = \"0.4.16\"\n
[[package]]\nname = \"time\"\nversion = \"0.3.47+build\"\n
[[package]]\nname = \"bytes\"\nversion = \"1.11.1-rc.1\"\n";
    let found = below_minimum(&locked(lock));
    assert_eq!(
        found,
        [
            "h2 0.4.9 is below 0.4.16",
            "bytes 1.11.1-rc.1 is below 1.11.1"
        ]
    );
}

fn below_minimum(packages: &[(&str, &str)]) -> Vec<String> {
    packages
        .iter()
        .filter_map(|&(name, locked)| {
            let &(_, minimum) = MINIMUMS.iter().find(|(refused, _)| *refused == name)?;
            // A pre-release comes before its release.
            let is_pre = locked.contains('-') && version(locked) == version(minimum);
            let is_below = version(locked) < version(minimum) || is_pre;
            is_below.then(|| format!("{name} {locked} is below {minimum}"))
        })
        .collect()
}

/// Name and version of each package of a lock file.
fn locked(lock: &str) -> Vec<(&str, &str)> {
    lock.split("[[package]]")
        .skip(1)
        .map(|package| {
            let value = |key: &str| {
                let line = package.lines().find(|line| line.starts_with(key)).unwrap();
                line.split('"').nth(1).unwrap()
            };
            (value("name = "), value("version = "))
        })
        .collect()
}

/// `1.89`, `1.89.0` and `1.89.0+build` are one.
fn version(text: &str) -> [u64; 3] {
    let release = text.split(['-', '+']).next().unwrap();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap());
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

/// What cargo resolved for the machine that runs the tests, every feature of ours on.
fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .current_dir(repository())
        .args([
            "metadata",
            "--offline",
            "--locked",
            "--all-features",
            "--format-version",
            "1",
        ])
        .args(["--filter-platform", &host()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}

/// The packages that a build of the library compiles: normal and build dependencies.
fn linked<'a>(metadata: &'a Value, root: &'a str) -> BTreeSet<&'a str> {
    let nodes: BTreeMap<&str, &Value> = members(&metadata["resolve"]["nodes"])
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let mut reached = BTreeSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        for dependency in members(&nodes[id]["deps"]) {
            let package = dependency["pkg"].as_str().unwrap();
            let is_linked = members(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev");
            if is_linked && reached.insert(package) {
                open.push(package);
            }
        }
    }
    reached
}

fn members(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().into_iter().flatten()
}

#[test]
fn every_test_that_the_guide_names_exists() {
    let guide = fs::read_to_string(repository().join("src/guide/delivery.md")).unwrap();
    let named: BTreeSet<&str> = guide
        .split('`')
        .filter(|word| word.ends_with(".rs") && word.contains('/'))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for path in named {
        let exists = ["tests", ""].map(|below| repository().join(below).join(path).is_file());
        assert!(exists.contains(&true), "{path}");
    }
}

#[test]
fn every_rule_that_can_be_broken_has_a_test_that_is_to_fail() {
    let source = fs::read_to_string(repository().join("src/mutation.rs")).unwrap();
    let body = source.split_once("enum Mutation {").unwrap().1;
    let body = body.split_once("\n}").unwrap().0;
    let rules: BTreeSet<&str> = body
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .collect();
    let list = fs::read_to_string(repository().join("tests/mutations")).unwrap();
    let mut listed = BTreeSet::new();
    for line in list.lines() {
        let [rule, _, binary, test] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        listed.insert(rule);
        let (module, name) = test.rsplit_once("::").unwrap();
        let file = format!("tests/{binary}/{}.rs", module.replace("::", "/"));
        let file = fs::read_to_string(repository().join(&file)).expect(&file);
        assert!(file.contains(&format!("fn {name}(")), "{test}");
    }
    assert_eq!(listed, rules);
}
