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
#[cfg(unix)]
use std::{fs::File, os::fd::AsFd as _};
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
    /// Left to the worker.
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
                self.to.write(memory, self.pipeline.handoff.is_forked());
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
    /// An error of the standard one: there is nowhere else to say it.
    fn write(&self, line: &[u8], is_forked: bool) {
        match self {
            Self::Stderr if is_forked => drop(write_without_lock(line)),
            Self::Stderr => drop(io::stderr().lock().write_all(line)),
            Self::File(buffer) => buffer.push(line),
        }
    }

    /// Ends when the lines printed before have been written.
    pub(crate) async fn flush(&self) {
        match self {
            Self::Stderr => {}
            Self::File(buffer) => buffer.flush().await,
        }
    }

    /// In a forked child, the lines that went nowhere; `None`: they are printed all the same.
    pub(crate) fn lost_by_fork(&self) -> Option<u64> {
        match self {
            Self::Stderr => None,
            Self::File(buffer) => Some(buffer.lost_by_fork()),
        }
    }
}

/// A forked child has its parent's stderr, and perhaps the lock on it held for ever: it writes to a
/// descriptor of its own.
#[cfg(unix)]
fn write_without_lock(line: &[u8]) -> io::Result<()> {
    let descriptor = io::stderr().as_fd().try_clone_to_owned()?;
    File::from(descriptor).write_all(line)
}

/// There is no fork.
#[cfg(not(unix))]
fn write_without_lock(_: &[u8]) -> io::Result<()> {
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        context::Request,
        critical,
        logs::{Levels, recording_subscriber},
        redaction,
    };
    use tracing_subscriber::layer::Identity;

    /// The JSON lines of what `emit` logs.
    fn printed(pipeline: &'static Pipeline, levels: &str, emit: impl FnOnce()) -> Vec<String> {
        let buffer = Arc::new(Buffer::new(1 << 20));
        let to = To::File(Arc::clone(&buffer));
        let lines = Lines::new(pipeline, Format::Json, to, "orders \"eu\"");
        let levels = Levels::read(levels).unwrap();
        let subscriber = recording_subscriber(levels, Identity::new(), lines);
        tracing::subscriber::with_default(subscriber, emit);
        let (bytes, _) = buffer.take(Vec::new());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_says_its_request_and_masks_secrets() {
        let pipeline = Pipeline::for_tests(&[]);
        let request = Request::for_tests(pipeline, true);
        let trace = request.trace.trace_id().to_string();
        let mut request = Some(request);
        let lines = printed(pipeline, "", || {
            tracing::warn!("outside");
            let _entered = context::enter(&mut request);
            context::identify_user("u-7");
            critical!(order_id = 7, password = "hunter2", "within");
        });
        let [outside, within] =
            [0, 1].map(|line| serde_json::from_str::<serde_json::Value>(&lines[line]).unwrap());
        assert_eq!(outside["severity"], "WARN");
        assert_eq!(outside.get("trace_id"), None);
        assert_eq!(outside["service"], "orders \"eu\"");
        assert_eq!(within["severity"], "CRITICAL");
        assert_eq!(within["message"], "within");
        assert_eq!(within["trace_id"], trace);
        assert_eq!(within["order_id"], 7);
        assert_eq!(within["password"], redaction::MASK);
        assert_eq!(within["http.route"], "/orders/{id}");
        assert_eq!(within["user.id"], "u-7");
        assert_eq!(within.get("orderscope.critical"), None);
    }

    #[test]
    fn lines_are_printed_at_the_levels_of_their_own() {
        let lines = printed(Pipeline::for_tests(&[]), "error,quiet=off", || {
            tracing::error!("printed");
            tracing::warn!("not printed");
            tracing::error!(target: "quiet", "not printed");
        });
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn a_value_beyond_its_limit_is_cut_and_counted() {
        let pipeline = Pipeline::for_tests(&[]);
        let long = "é".repeat(5_000_000);
        let lines = printed(pipeline, "", || tracing::info!(long, "{long}"));
        assert!(lines[0].len() < 30_000);
        let snapshot = crate::snapshot::Snapshot::of(&pipeline.registry);
        let cut = snapshot.counter("orderscope.values.truncated", &[("signal", "records")]);
        assert_eq!(cut, 2);
    }
}
