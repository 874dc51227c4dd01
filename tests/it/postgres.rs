//! A real PostgreSQL, for as long as it is held: on a free port of the loopback, with a folder of its
//! own.

use crate::programs;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread::sleep,
    time::Duration,
};
use tokio::time::Instant;

const READY_WITHIN: Duration = Duration::from_secs(60);
/// It refuses to run as root.
const NOBODY: &str = "nobody";

#[derive(Debug)]
pub(crate) struct Postgres {
    process: Option<Child>,
    folder: PathBuf,
    port: u16,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        // Where everybody may go, which the folder of the repository need not be.
        let name = format!("orderscope-postgres-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        if is_root() {
            let status = Command::new("chown").arg(NOBODY).arg(&folder).status();
            assert!(status.unwrap().success());
        }
        let made = unprivileged("initdb", &folder)
            .args(["--username=orderscope", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(folder.join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        // Free a moment ago, and not given out again soon.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut postgres = Self {
            process: None,
            folder,
            port,
        };
        postgres.restart();
        postgres
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://orderscope@127.0.0.1:{}/postgres", self.port)
    }

    /// Goes on with what it had, on the same port.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let said = fs::File::create(self.folder.join("said")).unwrap();
        let process = unprivileged("postgres", &self.folder)
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .args(["-c", "max_connections=30", "-c", "shared_buffers=16MB"])
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut process = process;
        let deadline = Instant::now() + READY_WITHIN;
        while !self.is_ready() {
            let said = fs::read_to_string(self.folder.join("said")).unwrap_or_default();
            assert!(process.try_wait().unwrap().is_none(), "it ended:\n{said}");
            assert!(Instant::now() < deadline, "it does not listen:\n{said}");
            sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
    }

    fn is_ready(&self) -> bool {
        let said = fs::read_to_string(self.folder.join("said")).unwrap_or_default();
        said.contains("ready to accept connections")
            && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    /// At once, without a word to who is connected but that it goes.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = kill_process(Pid::from_child(&process), Signal::QUIT);
            let _ = process.wait();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program of PostgreSQL, as somebody who is not root.
fn unprivileged(program: &str, folder: &Path) -> Command {
    let program = programs::postgres(program);
    let mut command = match is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", NOBODY, "--regid", "nogroup", "--clear-groups"])
                .arg(program);
            command
        }
        false => Command::new(program),
    };
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
