//! A service in a process of its own, `tests/host`, that faults are done to.

mod account;
mod said;

pub(super) use account::Account;
pub(super) use said::{Issued, Report, Row, Sealed, Thread};

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tokio::time::Instant;

use super::collector::Collector;
use super::load::Wire;
use crate::programs;

/// For an answer, on a machine that does more than this.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than it ever needs: what leaks descriptors meets this.
const MOST_DESCRIPTORS: u64 = 256;
const BETWEEN_SAMPLES: Duration = Duration::from_millis(200);

/// Runs until it is ended or dropped.
#[derive(Debug)]
pub(super) struct Host {
    /// Begins every message.
    fault: &'static str,
    process: Child,
    input: ChildStdin,
    output: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

/// What the system says of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) at: Instant,
    pub(super) rss_bytes: u64,
    pub(super) threads: u64,
    pub(super) descriptors: u64,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// From the signal to the end of the process.
    pub(super) took: Duration,
    pub(super) report: Report,
    /// All that it logged.
    pub(super) logged: String,
}

/// Whether there is time for the real deadlines.
pub(super) fn is_long() -> bool {
    std::env::var_os("ORDERSCOPE_LONG").is_some_and(|set| !set.is_empty() && set != "0")
}

/// Figures, for people.
#[expect(
    clippy::print_stdout,
    reason = "cargo shows it of a test that fails, or by `--nocapture`"
)]
pub(super) fn tell(figures: &str) {
    println!("{figures}");
}

fn sending(wire: Wire, collector: &Collector, options: &str) -> String {
    let (protocol, url) = match wire {
        Wire::Http => ("http", collector.url()),
        Wire::Grpc => ("grpc", collector.grpc_url()),
    };
    format!("--endpoint {url} --protocol {protocol} {options}")
}

impl Host {
    /// Sends to that collector; `options` is the rest of the command line, in words.
    pub(super) fn start(
        fault: &'static str,
        wire: Wire,
        collector: &Collector,
        options: &str,
    ) -> Self {
        Self::with(fault, &sending(wire, collector, options))
    }

    /// As `start`, with an allocator that gives back what is freed: what is resident is what is held.
    pub(super) fn thrifty(
        fault: &'static str,
        wire: Wire,
        collector: &Collector,
        options: &str,
    ) -> Self {
        // Any of these keeps glibc from raising its thresholds by what it sees.
        const THRIFT: [(&str, &str); 3] = [
            ("MALLOC_ARENA_MAX", "1"),
            ("MALLOC_MMAP_THRESHOLD_", "65536"),
            ("MALLOC_TRIM_THRESHOLD_", "65536"),
        ];
        Self::in_environment(fault, &sending(wire, collector, options), &THRIFT)
    }

    pub(super) fn with(fault: &'static str, options: &str) -> Self {
        Self::in_environment(fault, options, &[])
    }

    fn in_environment(fault: &'static str, options: &str, environment: &[(&str, &str)]) -> Self {
        let mut process = Command::new(program())
            .args(options.split_whitespace())
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (say, output) = mpsc::channel();
        thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .all(|line| say.send(line).is_ok())
        });
        let mut stderr = process.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let host = Self {
            fault,
            process,
            input,
            output,
            errors: Some(errors),
        };
        let limit = Some(MOST_DESCRIPTORS);
        let limit = Rlimit {
            current: limit,
            maximum: limit,
        };
        prlimit(Some(host.pid()), Resource::Nofile, limit).unwrap();
        host
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Sends a signal to it, by its id.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// A line of its standard output, as JSON, of the kind that is waited for.
    #[track_caller]
    fn line(&self, kind: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.output.recv_timeout(left).unwrap_or_else(|error| {
                panic!("{}: no {kind} within {within:?}: {error}", self.fault)
            });
            let mut said: Value = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", self.fault));
            if let Some(found) = said.get_mut(kind) {
                // The ledger's answer has a second part.
                return match kind {
                    "ledger" => said,
                    _ => found.take(),
                };
            }
        }
    }

    #[track_caller]
    fn ask(&mut self, command: &str) -> Value {
        writeln!(self.input, "{command}")
            .unwrap_or_else(|error| panic!("{}: the host is gone: {error}", self.fault));
        self.line(command, PATIENCE)
    }

    /// The ledger, which adds up at any moment.
    #[track_caller]
    pub(super) fn ledger(&mut self) -> Vec<Row> {
        let mut said = self.ask("ledger");
        let rows: Vec<Row> = serde_json::from_value(said["ledger"].take()).unwrap();
        for row in &rows {
            row.assert_adds_up(self.fault);
        }
        rows
    }

    /// Bytes that it has allocated, whatever its allocator keeps beside them.
    #[track_caller]
    pub(super) fn heap(&mut self) -> u64 {
        self.ask("heap").as_u64().unwrap()
    }

    /// Has an event recorded now; its number.
    #[track_caller]
    pub(super) fn probe(&mut self) -> u64 {
        self.ask("probe").as_u64().unwrap()
    }

    /// Has the load come to its end; what was issued.
    #[track_caller]
    pub(super) fn quiet(&mut self) -> Issued {
        serde_json::from_value(self.ask("quiet")).unwrap()
    }

    /// What a thread said that may make no call to the system.
    #[track_caller]
    pub(super) fn sealed(&self, within: Duration) -> Sealed {
        serde_json::from_value(self.line("sealed", within)).unwrap()
    }

    pub(super) fn usage(&self) -> Usage {
        let of = |what: &str| PathBuf::from(format!("/proc/{}/{what}", self.process.id()));
        let status = std::fs::read_to_string(of("status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let line = line.unwrap_or_else(|| panic!("{}: no {name} of the process", self.fault));
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Usage {
            at: Instant::now(),
            rss_bytes: number("VmRSS:") * 1024,
            threads: number("Threads:"),
            descriptors: std::fs::read_dir(of("fd")).unwrap().count() as u64,
        }
    }

    /// For so long: the ledger adds up, and what the process uses meanwhile.
    #[track_caller]
    pub(super) fn watch(&mut self, during: Duration) -> Vec<Usage> {
        let deadline = Instant::now() + during;
        let mut samples = Vec::new();
        while Instant::now() < deadline {
            self.ledger();
            samples.push(self.usage());
            let left = deadline.saturating_duration_since(Instant::now());
            thread::sleep(BETWEEN_SAMPLES.min(left));
        }
        samples
    }

    /// Until nothing waits and nothing is under way. Whether it came to that.
    #[track_caller]
    pub(super) fn settles(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while self
            .ledger()
            .iter()
            .any(|row| row.queued + row.in_flight > 0)
        {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(BETWEEN_SAMPLES);
        }
        true
    }

    /// Ends it as an orchestrator does.
    #[track_caller]
    pub(super) fn terminate(mut self, within: Duration) -> Ended {
        let signalled = Instant::now();
        self.signal(Signal::TERM);
        self.ended(signalled, within)
    }

    /// Waits for the end that it comes to by itself.
    #[track_caller]
    pub(super) fn ends(mut self, within: Duration) -> Ended {
        self.ended(Instant::now(), within)
    }

    #[track_caller]
    fn ended(&mut self, since: Instant, within: Duration) -> Ended {
        let report = self.line("report", within);
        let deadline = since + within;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            let fault = self.fault;
            assert!(
                Instant::now() < deadline,
                "{fault}: it runs on after its report"
            );
            thread::sleep(Duration::from_millis(2));
        };
        let took = since.elapsed();
        Ended {
            status,
            took,
            report: serde_json::from_value(report).unwrap(),
            logged: self.errors.take().unwrap().join().unwrap(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// By `ORDERSCOPE_HOST`, or where it is built to.
fn program() -> PathBuf {
    let given = std::env::var_os("ORDERSCOPE_HOST").filter(|given| !given.is_empty());
    let built = || programs::repository().join("target/host/release/host");
    let program = given.map_or_else(built, PathBuf::from);
    assert!(
        program.is_file(),
        "{} is absent: build it with `cargo build --release --locked --manifest-path \
         tests/host/Cargo.toml --target-dir target/host`",
        program.display()
    );
    program
}
