//! The rooms, floor by floor.

use std::fmt;

pub(crate) const FRONT_DOOR: &str = "src/lib.rs";

/// Names that gather what belongs elsewhere.
pub(crate) const FORBIDDEN: [&str; 5] = ["utils", "common", "helpers", "types", "prelude"];

/// The corridor whose rooms are named by the second module of their path.
const CORRIDOR: &str = "instrumentation";
const GUIDE: &str = "_guide";

/// Which room stands where, and which rooms of one floor may import each other all the same.
#[derive(Debug)]
pub(crate) struct Plan {
    /// From the ground up.
    pub(crate) floors: &'static [&'static [&'static str]],
    /// (importer, imported)
    pub(crate) siblings: &'static [(&'static str, &'static str)],
}

pub(crate) const PLAN: Plan = Plan {
    floors: &[
        &[
            "clock",
            "error",
            "ids",
            "resource",
            "semconv",
            "redaction",
            "stack",
            "sync",
            "fork",
            "mutation",
        ],
        &["metrics", "records", "worker"],
        &["delivery", "catalog", "snapshot", "shared_state"],
        &["pipeline", "export"],
        &["context"],
        &[
            "instrumentation",
            "instrumentation::http",
            "instrumentation::tracing_layer",
            "instrumentation::logs",
            "instrumentation::errors",
            "instrumentation::events",
            "instrumentation::database",
            "instrumentation::process",
            "instrumentation::security",
            "alerts",
            "dashboards",
            "console",
            "review",
        ],
        &["telemetry"],
        &[GUIDE],
    ],
    // The conventions' names are words, not a mechanism; a rule that tests break is asked for where
    // the rule stands; what is kept of a funnel follows from its declaration.
    siblings: &[
        ("resource", "semconv"),
        ("clock", "mutation"),
        ("shared_state", "catalog"),
    ],
};

impl Plan {
    pub(crate) fn floor(&self, room: &Room) -> Option<u8> {
        let floor = self
            .floors
            .iter()
            .position(|rooms| rooms.contains(&room.0.as_str()))?;
        u8::try_from(floor).ok()
    }

    /// Whether the plan lets `from` import its sibling `to`; the corridor opens its own rooms.
    pub(crate) fn lets(&self, from: &Room, to: &Room) -> bool {
        let opens = from.0 == CORRIDOR && to.0.starts_with("instrumentation::");
        opens || self.siblings.contains(&(from.0.as_str(), to.0.as_str()))
    }
}

/// A room by its module path, such as `metrics` or `instrumentation::http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room(String);

impl Room {
    /// The room of a module path from the root of the crate; none of the root itself.
    pub(crate) fn of_module(module: &[String]) -> Option<Self> {
        match module {
            [] => None,
            [corridor, room, ..] if corridor == CORRIDOR => {
                Some(Self(format!("{corridor}::{room}")))
            }
            [room, ..] => Some(Self(room.clone())),
        }
    }

    pub(crate) fn path(&self) -> String {
        format!("crate::{}", self.0)
    }

    pub(crate) fn is_guide(&self) -> bool {
        self.0 == GUIDE
    }
}

impl fmt::Display for Room {
    /// The last name, as the corridor's rooms are called outside it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.rsplit("::").next().unwrap_or(&self.0))
    }
}

/// Whether this is the module that only leads on to its rooms.
pub(crate) fn is_corridor(module: &[String]) -> bool {
    module == [CORRIDOR]
}

/// `src/metrics/registry.rs` is the module `metrics::registry`; `src/lib.rs` is the root.
pub(crate) fn module_of_file(path: &str) -> Vec<String> {
    if path == FRONT_DOOR {
        return Vec::new();
    }
    let path = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

pub(crate) fn room_of_file(path: &str) -> Room {
    Room::of_module(&module_of_file(path)).unwrap_or_else(|| Room("the front door".to_owned()))
}
