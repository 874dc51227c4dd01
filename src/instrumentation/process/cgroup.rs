//! What the control groups of the process leave it: version 1, version 2, or both side by side; with
//! the groups around its own, as far as they are mounted where it runs.
//!
//! Nothing here guesses: a limit that is there and cannot be read makes the answer `None`. A system
//! without control groups, or without their mounts, has no limits; nor has a group for which the
//! kernel keeps no file.

mod found;
mod limits;
#[cfg(test)]
mod tests;

use found::{Folders, Version};
use std::path::{Path, PathBuf};

/// A limit may be there, and what it says cannot be read.
#[derive(Debug, PartialEq, Eq)]
struct Untold;

/// The control groups of this process.
#[derive(Debug)]
pub(super) struct Groups {
    /// Where `proc` stands; `/` but for tests.
    root: PathBuf,
    /// As `/proc/self/cgroup` was when the folders were looked for.
    known: Option<(String, [Folders; 2])>,
}

/// In the order of the folders that are known.
#[derive(Clone, Copy, Debug)]
enum Controller {
    Cpu,
    Memory,
}

impl Controller {
    const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

impl Groups {
    pub(super) fn under(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            known: None,
        }
    }

    /// How many CPUs' time the process may take: the tightest quota, at most `usable`.
    pub(super) fn cpus(&mut self, usable: f64) -> Option<f64> {
        let cpus = self.ask(Controller::Cpu, limits::cpus)?;
        Some(cpus.map_or(usable, |cpus| cpus.min(usable)))
    }

    /// How full the fullest limited group is, else what of `machine`'s bytes the process's `resident`
    /// ones are.
    pub(super) fn memory(&mut self, resident: u64, machine: u64) -> Option<f64> {
        let fullest = |version, folders: &[PathBuf]| limits::fullest(version, folders, machine);
        let fullest = self.ask(Controller::Memory, fullest)?;
        fullest.or_else(|| (machine > 0).then(|| resident as f64 / machine as f64))
    }

    /// `None`: it cannot be told; `Some(None)`: there is no limit.
    fn ask(
        &mut self,
        controller: Controller,
        limit: impl FnOnce(Version, &[PathBuf]) -> Result<Option<f64>, Untold>,
    ) -> Option<Option<f64>> {
        let answer = self.folders().and_then(|known| {
            let Some((version, folders)) = &known[controller as usize] else {
                return Ok(None);
            };
            match folders.first().is_some_and(|own| own.is_dir()) {
                true => limit(*version, folders),
                false => Err(Untold),
            }
        });
        if answer.is_err() {
            // The mounts may have changed.
            self.known = None;
        }
        answer.ok()
    }

    /// The folders of each controller, looked for anew when the process is in other groups.
    fn folders(&mut self) -> Result<&[Folders; 2], Untold> {
        let path = self.root.join("proc/self/cgroup");
        let membership = limits::text(&path)?.unwrap_or_default();
        let known = match self.known.take() {
            Some(known) if known.0 == membership => known,
            _ => {
                let folders = found::folders(&self.root, &membership)?;
                (membership, folders)
            }
        };
        Ok(&self.known.insert(known).1)
    }
}
