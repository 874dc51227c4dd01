//! The layer that prints events.

use super::{Format, escape, file::Buffer, line::Line};
use crate::{
    context,
    pipeline::Pipeline,
    records::{Fields, Severity, Signal, Written, unless_too_deep},
};
use std::{
    cell::Cell,
    env,
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

/// Prints each event as a line, at once or into the buffer of a file.
#[derive(Debug)]
pub(crate) struct Lines {
    pipeline: &'static Pipeline,
    format: Format,
    to: To,
    /// As it stands in a JSON string.
    service: Vec<u8>,
    is_coloured: bool,
}

/// Where lines go.
#[derive(Clone, Debug)]
pub(crate) enum To {
    /// Written by the thread that logs, one call to the system a line.
    Stderr,
    File(Arc<Buffer>),
}

impl Lines {
    pub(crate) fn new(pipeline: &'static Pipeline, format: Format, to: To, service: &str) -> Self {
        let mut escaped = Vec::new();
        escape::json(service, &mut escaped);
        let refuses_colour = || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            pipeline,
            format,
            is_coloured: matches!(to, To::Stderr)
                && io::stderr().is_terminal()
                && !refuses_colour(),
            to,
            service: escaped,
        }
    }

    fn print(&self, event: &Event<'_>) {
        Fields::compose(self.pipeline.settings.record_limits, |fields| {
            event.record(&mut Written::of_event(fields));
            context::describe(fields);
            // Else they are counted for the event's record.
            if !self.pipeline.handoff.wants(Signal::Logs) {
                self.pipeline.count_truncated(fields);
            }
            let line = Line {
                at: self.pipeline.clock.wall(),
                severity: Severity::of(event.metadata()),
                target: event.metadata().target(),
                within: context::active(),
                fields: fields.as_bytes(),
            };
            with_memory(|memory| {
                match self.format {
                    Format::Json => line.json(&self.service, memory),
                    Format::Human => line.human(self.is_coloured, memory),
                }
                self.to.write(memory);
            });
        });
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        unless_too_deep(|| self.print(event));
    }
}

impl To {
    fn write(&self, line: &[u8]) {
        match self {
            // An error: there is nowhere else to say it.
            Self::Stderr => drop(io::stderr().lock().write_all(line)),
            Self::File(buffer) => buffer.push(line),
        }
    }
}

/// Memory that the thread keeps from line to line.
fn with_memory(print: impl FnOnce(&mut Vec<u8>)) {
    thread_local! {
        static KEPT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    const MOST_KEPT: usize = 64 * 1024;
    let mut memory = KEPT.try_with(Cell::take).unwrap_or_default();
    memory.clear();
    print(&mut memory);
    if memory.capacity() <= MOST_KEPT {
        // An error: the thread is going.
        let _ = KEPT.try_with(|kept| kept.set(memory));
    }
}
