//! What the process is told by: read from the operating system at each collection, absent where
//! it cannot tell.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

/// CPU time that the process has taken, by mode.
pub const CPU_TIME: Descriptor = Descriptor::counter(
    semconv::PROCESS_CPU_TIME,
    Unit::SECONDS,
    "CPU time that the process has taken.",
)
.with_attributes(&[semconv::CPU_MODE]);

/// Resident memory.
pub const MEMORY_USAGE: Descriptor = Descriptor::up_down_counter(
    semconv::PROCESS_MEMORY_USAGE,
    Unit::BYTES,
    "Physical memory in use.",
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
