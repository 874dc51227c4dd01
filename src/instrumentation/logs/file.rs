//! Lines in files that roll. Who logs never waits for the disk: it leaves the line in memory, and
//! the worker writes what has come.

mod rolling;

use crate::{clock::Clock, error::Error, fork::Lock, worker::Worker};
use rolling::Rolling;
use std::{
    fs,
    io::{self, Write as _},
    mem,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task, time,
};
use tracing_appender::rolling::Rotation;

/// Bytes that wait for the disk.
const CAPACITY: usize = 4 * 1024 * 1024;
/// So much of it wakes the worker before its time.
const ENOUGH_TO_WAKE: usize = CAPACITY / 8;
/// The longest that a line waits while the disk keeps up.
const PAUSE: Duration = Duration::from_millis(200);
/// Two weeks, and two days.
const KEPT_DAYS: usize = 14;
const KEPT_HOURS: usize = 48;

/// A log file that begins anew each day or hour, `prefix.2026-11-23.log` or
/// `prefix.2026-11-23-07.log`, in UTC.
///
/// Lines wait at most a fifth of a second, in at most 4 MiB of memory, for the telemetry's own
/// thread to write them: who logs never waits for the disk. A line that finds no room, or cannot be
/// written, is counted as dropped for the destination `log_file`; `flush` waits for the lines before it, and
/// `shutdown` writes what is left, after all else has come to its end.
///
/// ```
/// use orderscope::logs::LogFile;
///
/// let file = LogFile::daily("/var/log/food", "orders").keep(30);
/// # drop(file);
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is written before a telemetry is installed with it"]
pub struct LogFile {
    directory: PathBuf,
    prefix: String,
    rotation: Rotation,
    kept: usize,
}

impl LogFile {
    /// A file for each day.
    pub fn daily(directory: impl Into<PathBuf>, prefix: impl Into<String>) -> Self {
        Self::rolling(directory, prefix, Rotation::DAILY, KEPT_DAYS)
    }

    /// A file for each hour.
    pub fn hourly(directory: impl Into<PathBuf>, prefix: impl Into<String>) -> Self {
        Self::rolling(directory, prefix, Rotation::HOURLY, KEPT_HOURS)
    }

    /// One file for good, `prefix.log`: it grows until somebody else sees to it.
    pub fn never(directory: impl Into<PathBuf>, prefix: impl Into<String>) -> Self {
        Self::rolling(directory, prefix, Rotation::NEVER, 1)
    }

    fn rolling(
        directory: impl Into<PathBuf>,
        prefix: impl Into<String>,
        rotation: Rotation,
        kept: usize,
    ) -> Self {
        Self {
            directory: directory.into(),
            prefix: prefix.into(),
            rotation,
            kept,
        }
    }

    /// How many files are kept, the current one included; the oldest are deleted as new ones begin.
    /// At least 1. Default: 14 of days, 48 of hours. Counted are the files in the directory whose names begin with the
    /// prefix and end in `.log`: give each service a prefix that begins no other's.
    pub fn keep(mut self, files: usize) -> Self {
        self.kept = files.max(1);
        self
    }

    /// Makes the directory where there is none, and the first file.
    pub(crate) fn open(&self) -> Result<OpenFile, Error> {
        let refused = |source| Error::log_file(self.directory.clone(), source);
        if self.prefix.is_empty() || self.prefix.contains(['/', '\\', '\0']) {
            let accepted = "a name such as `orders`, without a slash";
            return Err(Error::configuration(
                "the prefix of the log file",
                &self.prefix,
                accepted,
            ));
        }
        fs::create_dir_all(&self.directory).map_err(refused)?;
        let file = Rolling::open(self.clone(), Clock::system()).map_err(refused)?;
        Ok(OpenFile {
            buffer: Arc::new(Buffer::new(CAPACITY)),
            file: Arc::new(Mutex::new(file)),
        })
    }
}

/// A log file whose lines wait in memory until [`settle`](Self::settle).
#[derive(Debug)]
pub(crate) struct OpenFile {
    buffer: Arc<Buffer>,
    file: Arc<Mutex<Rolling>>,
}

impl OpenFile {
    /// Where lines are left.
    pub(crate) fn buffer(&self) -> Arc<Buffer> {
        Arc::clone(&self.buffer)
    }

    /// Has the worker write from here on; when its other tenants have ended, what is left is
    /// written, and later lines are dropped.
    pub(crate) fn settle(&self, worker: &Worker) {
        let (buffer, file) = (self.buffer(), Arc::clone(&self.file));
        worker.settle_to_the_last(move |stop| {
            write_all(Arc::clone(&buffer), Arc::clone(&file), stop)
        });
    }
}

/// Lines that wait for the disk.
#[derive(Debug)]
pub(crate) struct Buffer {
    held: Lock<Held>,
    capacity: usize,
    filled: Notify,
    /// Lines that were taken in and have left again, one way or the other.
    concluded: watch::Sender<u64>,
    lost_by_fork: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    lines: u64,
    is_closed: bool,
    counts: LineCounts,
}

/// What became of the lines of a file: what was accepted is the sum of the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineCounts {
    pub(crate) accepted: u64,
    pub(crate) written: u64,
    /// Dropped for want of room.
    pub(crate) queue_full: u64,
    /// Dropped because the disk refused them.
    pub(crate) failed: u64,
    /// Dropped because the telemetry was shut down.
    pub(crate) after_shutdown: u64,
    /// In memory, or on their way to the disk.
    pub(crate) held: u64,
}

impl Buffer {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            held: Lock::default(),
            capacity,
            filled: Notify::new(),
            concluded: watch::Sender::new(0),
            lost_by_fork: AtomicU64::new(0),
        }
    }

    pub(super) fn push(&self, line: &[u8]) {
        let Some(mut held) = self.held.hold() else {
            self.lost_by_fork.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let is_enough = self.leave(&mut held, line);
        drop(held);
        if is_enough {
            self.filled.notify_one();
        }
    }

    /// Lines of a forked child, and in the child itself.
    pub(super) fn lost_by_fork(&self) -> u64 {
        self.lost_by_fork.load(Ordering::Relaxed)
    }

    /// Ends when the lines that were taken in before have been written, or dropped.
    pub(super) async fn flush(&self) {
        let counts = self.counts();
        let taken_in = counts.written + counts.failed + counts.held;
        let mut concluded = self.concluded.subscribe();
        self.filled.notify_one();
        // Never an error: the sender is our own.
        let _ = concluded.wait_for(|lines| *lines >= taken_in).await;
    }

    /// Whether the worker is to be woken.
    fn leave(&self, held: &mut Held, line: &[u8]) -> bool {
        held.counts.accepted += 1;
        if held.is_closed {
            held.counts.after_shutdown += 1;
            return false;
        }
        let (before, after) = (held.bytes.len(), held.bytes.len() + line.len());
        if after > self.capacity {
            held.counts.queue_full += 1;
            return false;
        }
        held.bytes.extend_from_slice(line);
        held.lines += 1;
        held.counts.held += 1;
        let enough = ENOUGH_TO_WAKE.min(self.capacity / 2);
        before < enough && after >= enough
    }

    pub(crate) fn counts(&self) -> LineCounts {
        self.held.hold().map(|held| held.counts).unwrap_or_default()
    }

    /// Takes what waits, and leaves `empty` in its place.
    pub(super) fn take(&self, empty: Vec<u8>) -> (Vec<u8>, u64) {
        match self.held.hold() {
            Some(mut held) => (
                mem::replace(&mut held.bytes, empty),
                mem::take(&mut held.lines),
            ),
            None => (empty, 0),
        }
    }

    fn close(&self) {
        if let Some(mut held) = self.held.hold() {
            held.is_closed = true;
        }
    }

    fn conclude(&self, lines: u64, is_written: bool) {
        if let Some(mut held) = self.held.hold() {
            let counts = &mut held.counts;
            counts.held -= lines;
            match is_written {
                true => counts.written += lines,
                false => counts.failed += lines,
            }
        }
        self.concluded.send_modify(|concluded| *concluded += lines);
    }
}

/// The worker's tenant.
async fn write_all(
    buffer: Arc<Buffer>,
    file: Arc<Mutex<Rolling>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut memory = Vec::new();
    let mut is_line_cut = false;
    loop {
        tokio::select! {
            () = buffer.filled.notified() => {}
            () = time::sleep(PAUSE) => {}
            _ = stop.wait_for(|stop| *stop) => buffer.close(),
        }
        let is_over = *stop.borrow();
        if is_over {
            buffer.close();
        }
        let (bytes, lines) = buffer.take(mem::take(&mut memory));
        if lines > 0 {
            let file = Arc::clone(&file);
            // The disk may block; the worker has other tenants.
            let written = task::spawn_blocking(move || {
                let is_written = write(&file, is_line_cut, &bytes).is_ok();
                (is_written, bytes)
            });
            let is_written = match written.await {
                Ok((is_written, bytes)) => {
                    memory = bytes;
                    is_written
                }
                Err(_) => false,
            };
            is_line_cut = !is_written;
            buffer.conclude(lines, is_written);
        } else {
            memory = bytes;
        }
        memory.clear();
        if is_over {
            return;
        }
    }
}

/// A write that failed may have left half a line, which must not run into the next.
fn write(file: &Mutex<Rolling>, is_line_cut: bool, bytes: &[u8]) -> io::Result<()> {
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    file.roll();
    if is_line_cut {
        file.write_all(b"\n")?;
    }
    file.write_all(bytes)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker;
    use std::path::Path;

    fn directory(name: &str) -> PathBuf {
        let name = format!("orderscope-logs-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        directory
    }

    fn stop(worker: &Worker) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime
            .unwrap()
            .block_on(worker.stop(Duration::from_secs(60)))
    }

    fn contents(directory: &Path) -> String {
        let files = fs::read_dir(directory).unwrap();
        let files = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        files.collect()
    }

    #[test]
    fn lines_are_written_soon_and_what_is_left_at_the_end() {
        let directory = directory("written");
        let file = LogFile::daily(&directory, "orders").open().unwrap();
        let worker = Worker::start().unwrap();
        file.settle(&worker);
        file.buffer.push(b"one\n");
        while file.buffer.counts().written < 1 {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(contents(&directory), "one\n");
        file.buffer.push(b"two\n");
        assert!(stop(&worker));
        file.buffer.push(b"late\n");
        assert_eq!(contents(&directory), "one\ntwo\n");
        let expected = LineCounts {
            accepted: 3,
            written: 2,
            after_shutdown: 1,
            ..LineCounts::default()
        };
        assert_eq!(file.buffer.counts(), expected);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_others_say_at_their_end_is_written_before_the_file_is_closed() {
        let directory = directory("last");
        let file = LogFile::daily(&directory, "orders").open().unwrap();
        let worker = Worker::start().unwrap();
        file.settle(&worker);
        let buffer = file.buffer();
        worker.settle(move |mut stop| {
            let buffer = Arc::clone(&buffer);
            async move {
                let _ = stop.wait_for(|stop| *stop).await;
                time::sleep(Duration::from_millis(300)).await;
                buffer.push(b"last words\n");
            }
        });
        assert!(stop(&worker));
        assert_eq!(contents(&directory), "last words\n");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_flush_ends_when_the_lines_before_it_are_written() {
        let directory = directory("flushed");
        let file = LogFile::daily(&directory, "orders").open().unwrap();
        let worker = Worker::start().unwrap();
        file.settle(&worker);
        let flush = || {
            let buffer = file.buffer();
            let flushed =
                worker.attend(Duration::from_secs(60), async move { buffer.flush().await });
            worker::block_on(Duration::from_secs(60), flushed).flatten()
        };
        assert!(flush().is_some(), "there is nothing to wait for");
        for line in ["one\n", "two\n"] {
            file.buffer.push(line.as_bytes());
            assert!(flush().is_some());
            assert!(contents(&directory).ends_with(line));
        }
        assert!(stop(&worker));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_line_that_finds_no_room_is_counted() {
        let buffer = Buffer::new(10);
        for _ in 0..3 {
            buffer.push(b"12345");
        }
        let counts = buffer.counts();
        assert_eq!((counts.accepted, counts.queue_full, counts.held), (3, 1, 2));
    }

    #[test]
    fn a_disk_that_refuses_is_counted_and_the_next_line_begins_anew() {
        let directory = directory("refused");
        let open = LogFile::never(&directory, "orders").open().unwrap();
        // Every write to it fails for want of space.
        let full = directory.join("full.log");
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        let file = LogFile::never(&directory, "full").open().unwrap();
        assert!(write(&file.file, false, b"lost\n").is_err());
        write(&open.file, true, b"kept\n").unwrap();
        assert_eq!(
            fs::read_to_string(directory.join("orders.log")).unwrap(),
            "\nkept\n"
        );

        let worker = Worker::start().unwrap();
        file.settle(&worker);
        file.buffer.push(b"lost\n");
        assert!(stop(&worker));
        let counts = file.buffer.counts();
        assert_eq!((counts.accepted, counts.failed, counts.held), (1, 1, 0));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let error = LogFile::hourly("/proc/orderscope", "orders")
            .open()
            .unwrap_err();
        assert!(error.to_string().contains("/proc/orderscope"), "{error}");
        assert!(error.is_io());
        let error = LogFile::daily("/tmp", "../orders").open().unwrap_err();
        assert!(error.is_configuration());
    }

    #[test]
    fn old_files_are_deleted_and_others_are_left() {
        let directory = directory("kept");
        fs::create_dir_all(&directory).unwrap();
        for name in [
            "orders.2020-01-01.log",
            "orders.2020-01-02.log",
            "menus.2020-01-01.log",
        ] {
            fs::write(directory.join(name), name).unwrap();
        }
        let _file = LogFile::daily(&directory, "orders").keep(2).open().unwrap();
        let files = fs::read_dir(&directory).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(names[0], "menus.2020-01-01.log");
        fs::remove_dir_all(directory).unwrap();
    }
}
