//! A test in a process of its own, where it alone has the memory and the global subscriber.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(90);

/// Runs a test that is marked as ignored, and fails with what it says.
#[track_caller]
pub(super) fn passes(test: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reading = [
        thread::spawn(|| std::io::read_to_string(out)),
        thread::spawn(|| std::io::read_to_string(err)),
    ];
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => break None,
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let said = reading.map(|said| said.join().unwrap().unwrap_or_default());
    let said = said.concat();
    assert!(
        status.is_some_and(|status| status.success()) && said.contains("1 passed"),
        "process {id} did not pass {test}:\n{said}"
    );
}
