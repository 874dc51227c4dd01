//! Systems of files as containers, hosts and old hosts have them.

use super::*;
use std::{
    env, fs,
    os::unix::fs::symlink,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Of the machine: 8 CPUs that may be used, 1,000 MB.
const USABLE: f64 = 8.0;
const MACHINE: u64 = 1_000_000_000;
const RESIDENT: u64 = 250_000_000;
const MOUNT_OF_TWO: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";

/// A root that goes when it is dropped.
struct System(PathBuf);

impl System {
    fn new(membership: &str, mounts: &[&str]) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("orderscope-cgroup-{}-{number}", process::id());
        let system = Self(env::temp_dir().join(name));
        system.write("proc/self/cgroup", membership);
        // Others are always there.
        let root = "23 1 8:1 / / rw - ext4 /dev/sda1 rw";
        let mounts = [&[root], mounts].concat().join("\n");
        system.write("proc/self/mountinfo", &mounts);
        system
    }

    /// One of version 2, in which the process is in `group`.
    fn of_two(group: &str) -> Self {
        let system = Self::new(&format!("0::{group}\n"), &[MOUNT_OF_TWO]);
        let own = system.0.join("sys/fs/cgroup").join(&group[1..]);
        fs::create_dir_all(own).unwrap();
        system
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn group(&self, folder: &str, files: &[(&str, &str)]) {
        for (file, text) in files {
            self.write(&format!("sys/fs/cgroup/{folder}/{file}"), text);
        }
    }

    fn groups(&self) -> Groups {
        Groups::under(&self.0)
    }

    fn cpus(&self) -> Option<f64> {
        self.groups().cpus(USABLE)
    }

    fn memory(&self) -> Option<f64> {
        self.groups().memory(RESIDENT, MACHINE)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const STAT: (&str, &str) = (
    "memory.stat",
    "anon 1\ninactive_file 20000000\nactive_file 7\n",
);

#[test]
fn a_container_of_version_2_sees_its_own_group_at_the_top() {
    let system = System::of_two("/");
    system.group("", &[("cpu.max", "150000 100000\n")]);
    assert_eq!(system.cpus(), Some(1.5));
    let files = [
        ("memory.max", "200000000\n"),
        ("memory.current", "190000000\n"),
        STAT,
    ];
    system.group("", &files);
    // 190 MB without the 20 that are given back first, of 200.
    assert_eq!(system.memory(), Some(0.85));
}

#[test]
fn the_tightest_of_the_groups_around_counts() {
    let system = System::of_two("/pods/pod-7/orders");
    let cpus = [
        ("pods", "600000 100000"),
        ("pods/pod-7", "50000 200000"),
        ("pods/pod-7/orders", "max 100000"),
    ];
    for (folder, quota) in cpus {
        system.group(folder, &[("cpu.max", quota)]);
    }
    assert_eq!(system.cpus(), Some(0.25));
    // The process's own group has room; the one around, which it shares, is nearly full.
    system.group("pods", &[("memory.max", "max\n")]);
    let own = [
        ("memory.max", "100000000"),
        ("memory.current", "70000000"),
        STAT,
    ];
    let around = [
        ("memory.max", "400000000"),
        ("memory.current", "380000000"),
        STAT,
    ];
    system.group("pods/pod-7/orders", &own);
    system.group("pods/pod-7", &around);
    assert_eq!(system.memory(), Some(0.9));
}

#[test]
fn max_is_no_limit_nor_is_more_than_the_machine_has() {
    let system = System::of_two("/orders");
    system.group(
        "orders",
        &[("cpu.max", "max 100000\n"), ("memory.max", "max\n")],
    );
    assert_eq!((system.cpus(), system.memory()), (Some(USABLE), Some(0.25)));
    system.group(
        "orders",
        &[("cpu.max", "9900000 100000"), ("memory.max", "1000000000")],
    );
    assert_eq!((system.cpus(), system.memory()), (Some(USABLE), Some(0.25)));
}

#[test]
fn a_group_for_which_the_kernel_keeps_no_file_has_no_limit() {
    let system = System::of_two("/user.slice");
    assert_eq!((system.cpus(), system.memory()), (Some(USABLE), Some(0.25)));
}

#[test]
fn what_cannot_be_read_is_not_told() {
    for (file, text) in [
        ("cpu.max", ""),
        ("cpu.max", "many 100000"),
        ("cpu.max", "50000"),
        ("cpu.max", "0 100000"),
        ("cpu.max", "100000 0"),
        ("memory.max", "much"),
        ("memory.max", "-1"),
        ("memory.max", "0"),
        // Limited, and nothing says by how much it is used.
        ("memory.max", "200000000"),
    ] {
        let system = System::of_two("/orders");
        system.group("orders", &[(file, text)]);
        let told = [system.cpus(), system.memory()];
        let untold = usize::from(file.starts_with("memory"));
        assert_eq!(told[untold], None, "{file} {text:?}");
        assert!(told[1 - untold].is_some(), "{file} {text:?}");
    }
    // There, and no file that can be read.
    let system = System::of_two("/orders");
    fs::create_dir(system.0.join("sys/fs/cgroup/orders/cpu.max")).unwrap();
    symlink(
        "memory.max",
        system.0.join("sys/fs/cgroup/orders/memory.max"),
    )
    .unwrap();
    assert_eq!((system.cpus(), system.memory()), (None, None));
    // A group of which there is no trace, since its folder is of another namespace.
    let system = System::new("0::/elsewhere", &[MOUNT_OF_TWO]);
    assert_eq!((system.cpus(), system.memory()), (None, None));
    let system = System::new("0::/../elsewhere", &[MOUNT_OF_TWO]);
    fs::create_dir_all(system.0.join("sys/fs/cgroup")).unwrap();
    assert_eq!((system.cpus(), system.memory()), (None, None));
}

#[test]
fn a_system_without_control_groups_or_their_mounts_has_no_limits() {
    let system = System::new("0::/orders", &[]);
    assert_eq!((system.cpus(), system.memory()), (Some(USABLE), Some(0.25)));
    fs::remove_file(system.0.join("proc/self/cgroup")).unwrap();
    assert_eq!((system.cpus(), system.memory()), (Some(USABLE), Some(0.25)));
}

/// As Docker mounts them: each hierarchy with the container's own group at the top.
const MOUNTS_OF_ONE: [&str; 3] = [
    "35 31 0:30 /docker/7 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct",
    "36 31 0:31 /docker/7 /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset",
    "37 31 0:32 /docker/7 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
];
const MEMBERSHIP_OF_ONE: &str =
    "11:cpuset:/docker/7\n5:memory:/docker/7\n4:cpu,cpuacct:/docker/7\n1:name=systemd:/docker/7\n";
const STAT_OF_ONE: (&str, &str) = (
    "memory.stat",
    "inactive_file 1\nhierarchical_memory_limit 200000000\ntotal_inactive_file 20000000\n",
);

#[test]
fn a_container_of_version_1_sees_its_own_group_and_the_limits_around_it() {
    let system = System::new(MEMBERSHIP_OF_ONE, &MOUNTS_OF_ONE);
    let quota = [
        ("cpu.cfs_quota_us", "250000\n"),
        ("cpu.cfs_period_us", "100000\n"),
    ];
    system.group("cpu,cpuacct", &quota);
    assert_eq!(system.cpus(), Some(2.5));
    let unlimited = ("memory.limit_in_bytes", "9223372036854771712\n");
    let usage = ("memory.usage_in_bytes", "120000000\n");
    system.group("memory", &[unlimited, usage, STAT_OF_ONE]);
    assert_eq!(system.memory(), Some(0.5));
    system.group("memory", &[("memory.limit_in_bytes", "125000000\n")]);
    assert_eq!(system.memory(), Some(0.8));
    system.group("cpu,cpuacct", &[("cpu.cfs_quota_us", "-1\n")]);
    assert_eq!(system.cpus(), Some(USABLE));
}

/// As systemd mounts them: all there is.
const MOUNTS_OF_BOTH: [&str; 3] = [
    "32 31 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
    "35 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu",
    "37 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
];

#[test]
fn where_both_versions_are_mounted_the_one_that_has_the_controller_counts() {
    let membership = "5:memory:/a/b\n4:cpu:/a/b\n0::/a\n";
    let system = System::new(membership, &MOUNTS_OF_BOTH);
    system.group(
        "unified/a",
        &[("cpu.max", "10000 100000"), ("memory.max", "1")],
    );
    system.group("cpu/a/b", &[("cpu.cfs_quota_us", "-1")]);
    let quota = [
        ("cpu.cfs_quota_us", "50000"),
        ("cpu.cfs_period_us", "25000"),
    ];
    system.group("cpu/a", &quota);
    assert_eq!(system.cpus(), Some(2.0));
    let unlimited = ("memory.limit_in_bytes", "9223372036854771712");
    let limit = ("memory.limit_in_bytes", "500000000");
    let usage = ("memory.usage_in_bytes", "270000000");
    let own_stat = ("memory.stat", "total_inactive_file 20000000\n");
    system.group("memory/a/b", &[unlimited, usage, own_stat]);
    system.group("memory/a", &[limit, usage, own_stat]);
    assert_eq!(system.memory(), Some(0.5));
    // A group that does not bound those in it.
    system.group("memory/a/b", &[("memory.use_hierarchy", "0")]);
    assert_eq!(system.memory(), Some(0.25));
}

#[test]
fn a_controller_that_version_1_does_not_have_is_looked_for_in_version_2() {
    let system = System::new("4:cpu:/a\n0::/a\n", &MOUNTS_OF_BOTH);
    system.group("cpu/a", &[("cpu.cfs_quota_us", "-1")]);
    let files = [
        ("memory.max", "200000000"),
        ("memory.current", "120000000"),
        STAT,
    ];
    system.group("unified/a", &files);
    assert_eq!((system.cpus(), system.memory()), (Some(USABLE), Some(0.5)));
}

#[test]
fn limits_and_groups_that_change_are_seen_at_the_next_reading() {
    let system = System::of_two("/orders");
    system.group("orders", &[("cpu.max", "100000 100000")]);
    system.group("moved", &[("cpu.max", "300000 100000")]);
    let mut groups = system.groups();
    assert_eq!(groups.cpus(USABLE), Some(1.0));
    system.group("orders", &[("cpu.max", "200000 100000")]);
    assert_eq!(groups.cpus(USABLE), Some(2.0));
    system.write("proc/self/cgroup", "0::/moved\n");
    assert_eq!(groups.cpus(USABLE), Some(3.0));
    fs::remove_dir_all(system.0.join("sys/fs/cgroup/moved")).unwrap();
    assert_eq!(groups.cpus(USABLE), None);
    system.group("moved", &[("cpu.max", "400000 100000")]);
    assert_eq!(groups.cpus(USABLE), Some(4.0));
}
