//! Installing a telemetry as the process's: each case in a process of its own, since what is
//! installed stays.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, its helpers as well"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests wait in the time that the system's clocks tell"
)]

use std::any::type_name_of_val;
use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use orderscope::{Error, Telemetry};

mod clock;
mod collector;
mod effects;
mod endings;
mod environment;
mod facades;
mod forks;
mod lives;
mod panics;
mod places;
mod queries;
mod quiet;
mod races;
mod secrets;
mod settings;
mod signals;
mod start;
mod storms;
mod variables;

/// Set in the process of a case.
const CASE: &str = "ORDERSCOPE_INSTALL_CASE";
/// How the process of a case exits that ran to its end; 0 would also be that of a harness which
/// found no such test.
const PASSED: i32 = 42;
/// For what comes, on a machine that also compiles.
const SOON: Duration = Duration::from_secs(60);
/// No case takes that long.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// The least of what is measured, until it is below `limit`: others use the machine as well.
fn least(limit: Duration, mut measure: impl FnMut() -> Duration) -> Duration {
    const TIMES: usize = 10;
    let (mut least, began) = (Duration::MAX, Instant::now());
    for time in 1.. {
        least = least.min(measure());
        if least < limit || (time >= TIMES && began.elapsed() > SOON) {
            break;
        }
    }
    least
}

/// Runs the calling test's `case` in a process of its own, with no variables of ours but these,
/// and gives what it printed. In that process it runs the case and does not return.
fn alone(variables: &[(&str, &str)], case: impl FnOnce()) -> Output {
    let output = in_a_process(variables, case);
    assert_eq!(
        output.status.code(),
        Some(PASSED),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// As [`alone`], of a case that may end its process in any way: one that panics fails the harness
/// there, which exits as a `main` that panics does.
fn in_a_process(variables: &[(&str, &str)], case: impl FnOnce()) -> Output {
    // `install::module::test::{{closure}}`, and the harness knows `module::test`.
    let name = type_name_of_val(&case);
    let test = name
        .strip_prefix("install::")
        .and_then(|name| name.split_once("::{{"))
        .map(|(test, _)| test)
        .expect("a closure of a test");
    if env::var(CASE).is_ok_and(|case| case == test) {
        case();
        std::process::exit(PASSED);
    }
    let mut command = Command::new(env::current_exe().unwrap());
    for (name, _) in env::vars_os() {
        let is_ours = ["OTEL_", "RUST_LOG"].map(|p| name.to_string_lossy().starts_with(p));
        if is_ours.contains(&true) {
            command.env_remove(name);
        }
    }
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, test)
        .env("NO_COLOR", "1")
        .envs(variables.iter().copied());
    output_of(command)
}

/// As `Command::output`, of a process that is ended when it hangs.
fn output_of(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (stdout, stderr) = (read_all(stdout), read_all(stderr));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > HANGS_AFTER {
            child.kill().unwrap();
            child.wait().unwrap();
            let said = String::from_utf8(stderr.join().unwrap()).unwrap();
            panic!("the process of the case hangs, and was ended\n{said}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    Output {
        status,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut read = Vec::new();
        pipe.read_to_end(&mut read).unwrap();
        read
    })
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The page that the telemetry's own listener serves.
fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn refused(result: Result<Telemetry, Error>) -> Error {
    match result {
        Ok(telemetry) => panic!("{telemetry:?} was made"),
        Err(error) => error,
    }
}

const INSTALLED_ALREADY: &str = "orderscope is installed in this process already; nothing was \
    changed. Install once, in `main`, and clone the `Telemetry` it returned; for a second one that \
    touches no global, call `build()` instead of `install()`";
