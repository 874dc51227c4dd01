//! What the files of control groups say.

use super::{Untold, found::Version};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The tightest quota of CPU time, in CPUs.
pub(super) fn cpus(version: Version, folders: &[PathBuf]) -> Result<Option<f64>, Untold> {
    let mut tightest = None;
    for folder in folders {
        let quota = match version {
            Version::One => quota_of_one(folder)?,
            Version::Two => quota_of_two(folder)?,
        };
        if let Some((quota, period)) = quota {
            if quota == 0 || period == 0 {
                return Err(Untold);
            }
            let cpus = quota as f64 / period as f64;
            tightest = Some(tightest.map_or(cpus, |least: f64| least.min(cpus)));
        }
    }
    Ok(tightest)
}

/// `cpu.max`: `max 100000`, or `50000 100000`.
fn quota_of_two(folder: &Path) -> Result<Option<(u64, u64)>, Untold> {
    let Some(text) = text(&folder.join("cpu.max"))? else {
        return Ok(None);
    };
    let mut words = text.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some("max"), _) => Ok(None),
        (Some(quota), Some(period)) => Ok(Some((number(quota)?, number(period)?))),
        _ => Err(Untold),
    }
}

/// `cpu.cfs_quota_us`, -1 without one, and `cpu.cfs_period_us`.
fn quota_of_one(folder: &Path) -> Result<Option<(u64, u64)>, Untold> {
    let quota = text(&folder.join("cpu.cfs_quota_us"))?;
    match quota.as_deref().map(str::trim) {
        None | Some("-1") => Ok(None),
        Some(quota) => {
            let period = text(&folder.join("cpu.cfs_period_us"))?.ok_or(Untold)?;
            Ok(Some((number(quota)?, number(&period)?)))
        }
    }
}

/// How full the fullest group is that has a limit below `machine`.
pub(super) fn fullest(
    version: Version,
    folders: &[PathBuf],
    machine: u64,
) -> Result<Option<f64>, Untold> {
    // Groups of version 1 bound those in them only where they were told to.
    let bounds = match (version, folders.first()) {
        (Version::One, Some(own)) => match text(&own.join("memory.use_hierarchy"))? {
            Some(text) if text.trim() == "0" => 1,
            _ => folders.len(),
        },
        _ => folders.len(),
    };
    let mut fullest = None;
    for (folder, depth) in folders.iter().take(bounds).zip(0..) {
        let limit = match version {
            // Of the groups around it that are not mounted here as well.
            Version::One if depth == 0 => {
                let around = statistic(folder, "hierarchical_memory_limit")?;
                limit(folder, "memory.limit_in_bytes")?
                    .into_iter()
                    .chain(around)
                    .min()
            }
            Version::One => limit(folder, "memory.limit_in_bytes")?,
            Version::Two => limit(folder, "memory.max")?,
        };
        let Some(limit) = limit.filter(|limit| *limit < machine) else {
            continue;
        };
        if limit == 0 {
            return Err(Untold);
        }
        let full = used(version, folder)? as f64 / limit as f64;
        fullest = Some(fullest.map_or(full, |fullest: f64| fullest.max(full)));
    }
    Ok(fullest)
}

/// Without the pages that the kernel gives back before it kills.
fn used(version: Version, folder: &Path) -> Result<u64, Untold> {
    let (usage, idle) = match version {
        Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
        Version::Two => ("memory.current", "inactive_file"),
    };
    let usage = number(&text(&folder.join(usage))?.ok_or(Untold)?)?;
    let idle = statistic(folder, idle)?.ok_or(Untold)?;
    Ok(usage.saturating_sub(idle))
}

/// A line of `memory.stat`.
fn statistic(folder: &Path, name: &str) -> Result<Option<u64>, Untold> {
    let Some(text) = text(&folder.join("memory.stat"))? else {
        return Ok(None);
    };
    let values = text.lines().filter_map(|line| line.split_once(' '));
    let mut values = values.filter(|(known, _)| *known == name);
    values.next().map(|(_, value)| number(value)).transpose()
}

fn limit(folder: &Path, name: &str) -> Result<Option<u64>, Untold> {
    let text = text(&folder.join(name))?;
    match text.as_deref().map(str::trim) {
        None | Some("max") => Ok(None),
        Some(limit) => number(limit).map(Some),
    }
}

/// `None`: there is no such file.
pub(super) fn text(path: &Path) -> Result<Option<String>, Untold> {
    match fs::read(path) {
        // A path on another mount may be of any bytes.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(_) => Err(Untold),
    }
}

fn number(text: &str) -> Result<u64, Untold> {
    text.trim().parse().map_err(|_| Untold)
}
