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
        let ports = std::iter::repeat_with(|| fastrand::u16(10_000..30_000))
            .filter(|port| free(*port).is_ok() && free(*port + FURTHER).is_ok());
        Self::start_at_one_of(ports, |port| {
            let file = env::temp_dir().join(format!("orderscope-nodes-{port}.conf"));
            let _ = fs::remove_file(&file);
            let file = file.to_string_lossy().into_owned();
            let enabled = ["--cluster-enabled", "yes", "--cluster-config-file", &file];
            enabled.map(str::to_owned).into()
        })
    }

    /// With what else it is told, by its port.
    pub(crate) fn start_with(arguments: impl Fn(u16) -> Vec<String>) -> Self {
        let ports = std::iter::repeat_with(|| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        });
        Self::start_at_one_of(ports, arguments)
    }

    /// Between choosing a port and listening on it, another process can take it.
    fn start_at_one_of(
        ports: impl Iterator<Item = u16>,
        arguments: impl Fn(u16) -> Vec<String>,
    ) -> Self {
        let start = |port| Self::start_at(([127, 0, 0, 1], port).into(), &arguments(port));
        let started = ports.take(5).find_map(start);
        started.expect("a free port in five attempts")
    }

    /// `None`: the port is taken.
    fn start_at(address: SocketAddr, arguments: &[String]) -> Option<Self> {
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
        let mut said = Vec::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            said.push(line.unwrap());
            if said
                .last()
                .is_some_and(|line| line.contains("Ready to accept connections"))
            {
                return Some(Self { process, address });
            }
        }
        let _ = process.wait();
        let said = said.join("\n");
        assert!(said.contains("ddress already in use"), "it ended:\n{said}");
        None
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
