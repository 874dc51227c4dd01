//! A real Redis, for as long as it is held.

use crate::shared_state::Id;
use siphasher::sip128::SipHasher13;
use std::{
    env,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    port: u16,
}

impl Server {
    pub(super) fn start() -> Self {
        // Free a moment ago, and not given out again soon.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let program = program();
        let arguments = [
            "--save",
            "",
            "--appendonly",
            "no",
            "--bind",
            "127.0.0.1",
            "--port",
        ];
        let started = Command::new(&program)
            .args(arguments)
            .arg(port.to_string())
            .current_dir(env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = started.unwrap_or_else(|error| {
            panic!(
                "{}: {error}; `bash tests/run` installs it",
                program.display()
            )
        });
        let said = BufReader::new(process.stdout.take().unwrap());
        let is_ready = |line: &String| line.contains("Ready to accept connections");
        assert!(
            said.lines()
                .map_while(Result::ok)
                .any(|line| is_ready(&line))
        );
        Self { process, port }
    }

    pub(super) fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// As named, else where `tests/run` puts it, else on the `PATH`.
fn program() -> PathBuf {
    let of_run = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/redis-server");
    match env::var_os("REDIS_SERVER") {
        Some(named) => named.into(),
        None if Path::new(of_run).exists() => of_run.into(),
        None => "redis-server".into(),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As ids are in a service.
pub(super) fn hashed(number: u32) -> Id {
    SipHasher13::new()
        .hash(&number.to_be_bytes())
        .as_u128()
        .into()
}
