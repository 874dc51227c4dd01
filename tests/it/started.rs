//! A real program of a test's own: on free ports of the loopback, in a folder of its own, stopped by
//! its own id.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// Listening within this, on a machine that also compiles.
const READY_WITHIN: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Runs until it is dropped; its folder goes with it.
#[derive(Debug)]
pub(crate) struct Started<const PORTS: usize> {
    pub(crate) addresses: [SocketAddr; PORTS],
    process: Child,
    folder: PathBuf,
}

impl<const PORTS: usize> Started<PORTS> {
    /// Starts what `command` makes of the addresses and the folder, and waits until it listens on
    /// all of them.
    pub(crate) async fn listening(
        command: impl Fn(&[SocketAddr; PORTS], &Path) -> Command,
    ) -> Self {
        // Between choosing a port and listening on it, another process can take it.
        for _ in 0..5 {
            let mut started = Self::start(&command);
            if started.listens().await {
                return started;
            }
            let said = started.said();
            assert!(
                said.contains("ddress already in use") || said.contains("AddrInUse"),
                "it ended at once:\n{said}"
            );
        }
        panic!("no free ports in five attempts");
    }

    /// All that it wrote to its standard streams so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.join("said")).unwrap_or_default()
    }

    fn start(command: &impl Fn(&[SocketAddr; PORTS], &Path) -> Command) -> Self {
        let folder = fresh_folder("program");
        let said = File::create(folder.join("said")).unwrap();
        // Held until all are chosen, so that they differ.
        let free: [_; PORTS] =
            std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let addresses = free.each_ref().map(|held| held.local_addr().unwrap());
        drop(free);
        let mut command = command(&addresses, &folder);
        let process = command
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            addresses,
            process,
            folder,
        }
    }

    /// False when it has ended.
    async fn listens(&mut self) -> bool {
        let deadline = Instant::now() + READY_WITHIN;
        for address in self.addresses {
            while TcpStream::connect(address).await.is_err() {
                if self.process.try_wait().unwrap().is_some() {
                    return false;
                }
                let said = self.said();
                assert!(Instant::now() < deadline, "it does not listen:\n{said}");
                sleep(BETWEEN_LOOKS).await;
            }
        }
        self.process.try_wait().unwrap().is_none()
    }
}

impl<const PORTS: usize> Drop for Started<PORTS> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An empty folder that no other test has.
pub(crate) fn fresh_folder(what: &str) -> PathBuf {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("{what}-{}-{number}", std::process::id());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
