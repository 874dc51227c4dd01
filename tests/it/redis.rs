//! A real Redis, for as long as it is held.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

#[derive(Debug)]
pub(crate) struct Redis {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// A node that is to be of a cluster, and talks to the others at a port 10,000 further.
    pub(crate) fn start_node() -> Self {
        const FURTHER: u16 = 10_000;
        let free = |port| TcpListener::bind(("127.0.0.1", port));
        let port = std::iter::repeat_with(|| fastrand::u16(10_000..30_000))
            .find(|port| free(*port).is_ok() && free(*port + FURTHER).is_ok());
        let port = port.unwrap_or_default();
        let file = env::temp_dir().join(format!("orderscope-nodes-{port}.conf"));
        let _ = fs::remove_file(&file);
        let file = file.to_string_lossy().into_owned();
        let enabled = ["--cluster-enabled", "yes", "--cluster-config-file", &file];
        Self::start_at(([127, 0, 0, 1], port).into(), &enabled.map(str::to_owned))
    }

    /// With what else it is told, by its port.
    pub(crate) fn start_with(arguments: impl FnOnce(u16) -> Vec<String>) -> Self {
        // Free a moment ago, and not given out again soon.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        Self::start_at(address, &arguments(address.port()))
    }

    fn start_at(address: SocketAddr, arguments: &[String]) -> Self {
        let program = program();
        let started = Command::new(&program)
            .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
            .args(["--port", &address.port().to_string()])
            .args(arguments)
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
        Self { process, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What it says to a command, as it says it: within 64 KB.
    pub(crate) fn say(&self, words: &[&str]) -> String {
        let mut socket = TcpStream::connect(self.address).unwrap();
        let words = words
            .iter()
            .map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let words: Vec<_> = words.collect();
        let command = format!("*{}\r\n{}", words.len(), words.concat());
        socket.write_all(command.as_bytes()).unwrap();
        let mut said = vec![0; 65_536];
        let length = socket.read(&mut said).unwrap();
        String::from_utf8_lossy(&said[..length]).into_owned()
    }

    /// Says nothing until it [goes on](Self::go_on).
    pub(crate) fn hold(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    pub(crate) fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
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

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
