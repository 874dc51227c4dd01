//! A real PostgreSQL.

use crate::{daemon::Daemon, programs};
use rustix::process::Signal;

#[derive(Debug)]
pub(crate) struct Postgres(Daemon);

impl Postgres {
    pub(crate) fn start() -> Self {
        let daemon = Daemon::new("postgres");
        let made = daemon
            .command(&programs::postgres("initdb"))
            .args(["--username=orderscope", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata", "data"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let mut postgres = Self(daemon);
        postgres.restart();
        postgres
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://orderscope@127.0.0.1:{}/postgres", self.0.port)
    }

    /// Goes on with what it had, on the same port.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let mut server = self.0.command(&programs::postgres("postgres"));
        server
            .args(["-D", "data", "-h", "127.0.0.1"])
            .args(["-p", &self.0.port.to_string()])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .args(["-c", "max_connections=30", "-c", "shared_buffers=16MB"]);
        self.0.start(server, "ready to accept connections");
    }

    /// Without a word to who is connected but that it goes.
    pub(crate) fn stop(&mut self) {
        self.0.stop(Signal::QUIT);
    }
}
