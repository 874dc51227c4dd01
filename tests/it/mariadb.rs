//! A real MariaDB, which speaks MySQL's protocol.

use crate::{daemon::Daemon, programs};
use std::fs;

#[derive(Debug)]
pub(crate) struct MariaDb(Daemon);

impl MariaDb {
    /// Of nothing: it lets everybody in, and has no database until one is made.
    pub(crate) fn start() -> Self {
        let mut daemon = Daemon::new("mariadb");
        let made = daemon.command("mkdir".as_ref()).arg("data").status();
        assert!(made.unwrap().success());
        let folder = fs::canonicalize(&daemon.folder).unwrap();
        let mut server = daemon.command(&programs::mariadb());
        server
            .args(["--no-defaults", "--skip-grant-tables", "--skip-log-bin"])
            .arg(format!("--datadir={}", folder.join("data").display()))
            .arg(format!("--socket={}", folder.join("socket").display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--port={}", daemon.port))
            .args(["--bind-address=127.0.0.1", "--innodb-log-file-size=4M"])
            .args([
                "--innodb-buffer-pool-size=16M",
                "--innodb-flush-log-at-trx-commit=0",
            ]);
        daemon.start(server, "ready for connections");
        Self(daemon)
    }

    pub(crate) fn url(&self) -> String {
        format!("mysql://orders@127.0.0.1:{}", self.0.port)
    }
}
