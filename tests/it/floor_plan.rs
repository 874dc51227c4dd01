//! The floor plan: who may import whom, read from the sources themselves.
//!
//! Each room of `src/` stands on a floor (`plan`). A file imports from its own room and from lower
//! floors; `lib.rs`, the front door, from everywhere. Paths are taken from the tokens, so imports,
//! paths in expressions, macros and attributes count alike; `front_door` resolves what `lib.rs`
//! re-exports to the room where it is defined.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::programs::repository;

mod contents;
mod front_door;
mod paths;
mod plan;
mod planted;

use front_door::{FrontDoor, Place};
use plan::{Plan, Room};

/// Sources by their path from the top of the repository, such as `src/metrics/registry.rs`.
pub(crate) type Sources = BTreeMap<String, String>;

/// A line that breaks the plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Every violation of the plan in these sources, in the order of the files.
pub(crate) fn violations(plan: &Plan, sources: &Sources) -> Vec<Violation> {
    let (files, mut found) = contents::parsed(sources);
    let front_door = FrontDoor::of(&files);
    for file in &files {
        found.extend(contents::violations(file));
        found.extend(placement(plan, &file.path));
        found.extend(imports(plan, &front_door, file));
    }
    found.sort();
    found.dedup();
    found
}

/// A file on no floor, under a forbidden name, or in a `mod.rs`.
fn placement(plan: &Plan, path: &str) -> Vec<Violation> {
    let violation = |what| Violation {
        path: path.to_owned(),
        line: 1,
        what,
    };
    let mut found = Vec::new();
    let names = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .split('/');
    for name in names.filter(|name| plan::FORBIDDEN.contains(name)) {
        found.push(violation(format!(
            "`{name}` says nothing: name it by what it does"
        )));
    }
    if path.ends_with("/mod.rs") {
        found.push(violation(
            "a room is `name.rs` and `name/`, never `mod.rs`".to_owned(),
        ));
    } else if path != plan::FRONT_DOOR && plan.floor(&plan::room_of_file(path)).is_none() {
        let room = plan::room_of_file(path);
        found.push(violation(format!(
            "{room} is on no floor: give it one in tests/it/floor_plan/plan.rs"
        )));
    }
    found
}

fn imports(plan: &Plan, front_door: &FrontDoor, file: &contents::File) -> Vec<Violation> {
    if file.path == plan::FRONT_DOOR {
        return Vec::new();
    }
    let from = plan::room_of_file(&file.path);
    // A file on no floor has its violation already.
    let Some(height) = plan.floor(&from) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in paths::in_crate(&file.tokens, &plan::module_of_file(&file.path)) {
        if Room::of_module(&path.segments).as_ref() == Some(&from) {
            continue;
        }
        let what = match front_door.place(&path.segments) {
            Place::Elsewhere => continue,
            Place::FrontDoor => format!(
                "{from} (floor {height}) imports {path} from src/lib.rs: nothing imports from the front door"
            ),
            Place::Nowhere => format!(
                "{from} (floor {height}) imports {path}, which src/lib.rs neither declares nor re-exports"
            ),
            Place::Room(to) => match refusal(plan, (&from, height), &to) {
                Some(reason) => format!("{from} (floor {height}) imports {reason}"),
                None => continue,
            },
        };
        found.push(Violation {
            path: file.path.clone(),
            line: path.line,
            what,
        });
    }
    found
}

/// Why a file of the room `from` may not import from the room `to`.
fn refusal(plan: &Plan, (from, height): (&Room, u8), to: &Room) -> Option<String> {
    let path = to.path();
    if from == to {
        return None;
    }
    let Some(of_target) = plan.floor(to) else {
        return Some(format!("{path} (on no floor)"));
    };
    if from.is_guide() {
        return Some(format!(
            "{path} (floor {of_target}): the guide imports nothing"
        ));
    }
    let sibling = of_target == height && !plan.lets(from, to);
    if of_target > height {
        Some(format!(
            "{path} (floor {of_target}): a file imports from lower floors only"
        ))
    } else if sibling {
        Some(format!(
            "{path} (floor {of_target}): rooms of one floor never import each other"
        ))
    } else {
        None
    }
}

/// The real sources.
fn sources() -> Sources {
    let mut found = Sources::new();
    let mut folders = vec![repository().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.insert(from_the_top(&path), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn from_the_top(path: &Path) -> String {
    let path = path.strip_prefix(repository()).unwrap();
    path.to_str().unwrap().replace('\\', "/")
}

#[test]
fn the_sources_keep_to_the_floor_plan() {
    let sources = sources();
    assert!(sources.contains_key(plan::FRONT_DOOR));
    let found = violations(&plan::PLAN, &sources);
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "\n{}", lines.join("\n"));
}
