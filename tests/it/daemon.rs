//! A database server, for as long as it is held: on a free port of the loopback, with a folder of its own,
//! as somebody who is not root.

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
/// Servers refuse to run as root.
pub(crate) const NOBODY: &str = "nobody";

#[derive(Debug)]
pub(crate) struct Daemon {
    process: Option<Child>,
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
}

impl Daemon {
    pub(crate) fn new(name: &str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        // Where everybody may go, which the folder of the repository need not be.
        let name = format!("orderscope-{name}-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        if is_root() {
            let status = Command::new("chown").arg(NOBODY).arg(&folder).status();
            assert!(status.unwrap().success());
        }
        // Free a moment ago, and not given out again soon.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        Self {
            process: None,
            folder,
            port,
        }
    }

    /// A program in the server's folder.
    pub(crate) fn command(&self, program: &Path) -> Command {
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
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// Waits until it has said that it is ready.
    pub(crate) fn start(&mut self, mut server: Command, ready: &str) {
        let said = fs::File::create(self.folder.join("said")).unwrap();
        let server = server.stdout(said.try_clone().unwrap()).stderr(said);
        let mut process = server.spawn().unwrap();
        let deadline = Instant::now() + READY_WITHIN;
        while !self.is_ready(ready) {
            let said = fs::read_to_string(self.folder.join("said")).unwrap_or_default();
            assert!(process.try_wait().unwrap().is_none(), "it ended:\n{said}");
            assert!(Instant::now() < deadline, "it does not listen:\n{said}");
            sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
    }

    fn is_ready(&self, ready: &str) -> bool {
        let said = fs::read_to_string(self.folder.join("said")).unwrap_or_default();
        said.contains(ready) && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    /// At once.
    pub(crate) fn stop(&mut self, by: Signal) {
        if let Some(mut process) = self.process.take() {
            let _ = kill_process(Pid::from_child(&process), by);
            let _ = process.wait();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop(Signal::QUIT);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
