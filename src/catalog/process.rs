//! What the process is told by: read from the operating system at each collection, absent where
//! it cannot tell.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

/// CPU time that all threads of the process have taken, by mode.
pub const CPU_TIME: Descriptor = Descriptor::counter(
    semconv::PROCESS_CPU_TIME,
    Unit::SECONDS,
    "CPU time that the process has taken.",
)
.with_attributes(&[semconv::CPU_MODE]);

/// CPU time by mode over what the process could have taken: the time that passed, times the CPUs it
/// may use. Those are the ones that the affinity of its first thread names, or the tightest quota of its control group
/// and the groups around it (`cpu.max`, `cpu.cfs_quota_us`) where that is less. The sum over the
/// modes is 1 when the process takes all it may; short bursts that a group allows exceed it.
///
/// The first reading is since the start of the process, each later one since the reading before,
/// whoever asked for that. Within a second of a reading it is told again. Where the files of the
/// control groups cannot be read, the series are absent: it is not known what there is to use.
pub const CPU_UTILIZATION: Descriptor = Descriptor::gauge(
    semconv::PROCESS_CPU_UTILIZATION,
    Unit::RATIO,
    "CPU time taken since the last reading, of what the process may take.",
)
.with_attributes(&[semconv::CPU_MODE]);

/// How often threads of the process were taken off a CPU: of their own, to wait (`voluntary`), or for
/// another (`involuntary`). Threads that ended are counted on.
pub const CONTEXT_SWITCHES: Descriptor = Descriptor::counter(
    semconv::PROCESS_CONTEXT_SWITCHES,
    Unit::things("{context_switch}"),
    "Times that threads of the process were taken off a CPU.",
)
.with_attributes(&[semconv::PROCESS_CONTEXT_SWITCH_TYPE]);

/// Resident memory.
pub const MEMORY_USAGE: Descriptor = Descriptor::up_down_counter(
    semconv::PROCESS_MEMORY_USAGE,
    Unit::BYTES,
    "Physical memory in use.",
);

/// How near the process is to being killed for its memory: at 1 it is.
///
/// Under a limit of its control group or of a group around it (`memory.max`,
/// `memory.limit_in_bytes`), what that group holds, less the pages of files that the kernel gives
/// back first (`inactive_file`), over the limit; the fullest of those groups counts. That is what
/// Kubernetes evicts by; it includes other processes of the group, as the kernel's reckoning does.
/// Limits above the machine's memory are none. Without a limit, resident memory over the machine's.
/// Absent where the files cannot be read.
pub const MEMORY_UTILIZATION: Descriptor = Descriptor::gauge(
    "orderscope.process.memory.utilization",
    Unit::RATIO,
    "Memory in use, of the limit or else of the machine's.",
);

/// Virtual memory.
pub const MEMORY_VIRTUAL: Descriptor = Descriptor::up_down_counter(
    semconv::PROCESS_MEMORY_VIRTUAL,
    Unit::BYTES,
    "Virtual memory committed.",
);

/// Threads of the process.
pub const THREAD_COUNT: Descriptor = Descriptor::up_down_counter(
    semconv::PROCESS_THREAD_COUNT,
    Unit::things("{thread}"),
    "Threads of the process.",
);

/// Open file descriptors.
pub const FILE_DESCRIPTOR_COUNT: Descriptor = Descriptor::up_down_counter(
    semconv::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
    Unit::things("{file_descriptor}"),
    "Open file descriptors.",
);

/// Time since the process started.
pub const UPTIME: Descriptor = Descriptor::gauge(
    semconv::PROCESS_UPTIME,
    Unit::SECONDS,
    "Time since the process started.",
);
