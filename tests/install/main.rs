//! Installing a telemetry as the process's: each case in a process of its own, since what is
//! installed stays.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, its helpers as well"
)]

use std::any::type_name_of_val;
use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

use orderscope::{Error, Telemetry};

mod clock;
mod effects;
mod environment;
mod facades;
mod lives;
mod panics;
mod places;
mod quiet;
mod secrets;
mod settings;
mod signals;
mod variables;

/// Set in the process of a case.
const CASE: &str = "ORDERSCOPE_INSTALL_CASE";
/// How the process of a case exits that ran to its end; 0 would also be that of a harness which
/// found no such test.
const PASSED: i32 = 42;
const SOON: Duration = Duration::from_secs(10);

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
        .envs(variables.iter().copied())
        .output()
        .unwrap()
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
