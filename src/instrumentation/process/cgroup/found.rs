//! Where the files of the process's control groups are.

use super::{Controller, Untold, limits};
use procfs::{FromRead as _, ProcessCGroup, ProcessCGroups, process::MountInfo};
use std::path::{Component, Path, PathBuf};

/// Of the file system that a controller's files are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// The process's own group first, then those around it. `None`: the controller limits nothing here.
pub(super) type Folders = Option<(Version, Vec<PathBuf>)>;

/// `membership` is the text of `/proc/self/cgroup`.
pub(super) fn folders(root: &Path, membership: &str) -> Result<[Folders; 2], Untold> {
    let groups = ProcessCGroups::from_read(membership.as_bytes()).map_err(|_| Untold)?;
    let mounts = limits::text(&root.join("proc/self/mountinfo"))?.unwrap_or_default();
    let mounts: Vec<MountInfo> = mounts
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .map(|line| MountInfo::from_line(line).map_err(|_| Untold))
        .collect::<Result<_, _>>()?;
    let [cpu, memory] = Controller::ALL.map(|controller| of(controller, &groups.0, &mounts, root));
    Ok([cpu?, memory?])
}

fn of(
    controller: Controller,
    groups: &[ProcessCGroup],
    mounts: &[MountInfo],
    root: &Path,
) -> Result<Folders, Untold> {
    let name = controller.name();
    // One hierarchy has a controller: a version 1 one, or else that of version 2.
    let is_its = |group: &&ProcessCGroup| group.controllers.iter().any(|its| its == name);
    let is_of_two = |group: &&ProcessCGroup| group.hierarchy == 0 && group.controllers.is_empty();
    let (version, group) = match groups.iter().find(is_its) {
        Some(group) => (Version::One, group),
        None => match groups.iter().find(is_of_two) {
            Some(group) => (Version::Two, group),
            None => return Ok(None),
        },
    };
    let mut mounts = mounts.iter().filter(|mount| match version {
        Version::One => mount.fs_type == "cgroup" && mount.super_options.contains_key(name),
        Version::Two => mount.fs_type == "cgroup2",
    });
    let Some(first) = mounts.next() else {
        return Ok(None);
    };
    let own = Path::new(&group.pathname);
    let is_around = |mount: &&MountInfo| own.starts_with(&mount.root);
    // A mount that the group is not under is of a container that sees its own group at the top, but
    // not by that name.
    let mount = [first].into_iter().chain(mounts).find(is_around);
    let within = match mount {
        Some(mount) => own.strip_prefix(&mount.root).map_err(|_| Untold)?,
        None => Path::new(""),
    };
    let mount = mount.unwrap_or(first);
    let is_outside = |path: &Path| path.components().any(|part| part == Component::ParentDir);
    if is_outside(within) || is_outside(Path::new(&mount.root)) {
        return Err(Untold);
    }
    let top = mount.mount_point.strip_prefix("/").map_err(|_| Untold)?;
    let top = root.join(top);
    let own = top.join(within);
    let folders = own
        .ancestors()
        .take_while(|folder| folder.starts_with(&top));
    // `join("")` leaves a slash at the end, which no later path has.
    Ok(Some((
        version,
        folders
            .map(|folder| folder.components().collect())
            .collect(),
    )))
}
