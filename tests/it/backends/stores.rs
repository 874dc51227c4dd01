//! Starting the stores, and asking them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::timeout;

use crate::loopback::get;
use crate::started::Started;

/// On a machine that also compiles.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// A store with data of its own.
#[derive(Debug)]
pub(super) struct Store(Started<1>);

impl Store {
    pub(super) async fn start(program: PathBuf, options: &[&str]) -> Self {
        let started = Started::listening(|[address], folder| {
            let mut command = Command::new(&program);
            command
                .arg(format!("-httpListenAddr={address}"))
                .arg(format!(
                    "-storageDataPath={}",
                    folder.join("data").display()
                ))
                .arg("-memory.allowedPercent=5")
                .args(options);
            command
        });
        Self(started.await)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0.addresses[0])
    }

    /// Makes what was sent known to queries, where the store can be told to.
    pub(super) async fn flush(&self) {
        self.get("/internal/force_flush").await;
    }

    /// The lines of JSON that answer a query.
    pub(super) async fn ask(&self, path: &str, key: &str, query: &str) -> Vec<Value> {
        let [key, query] = [key, query].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
        let answer = self.get(&format!("{path}?{key}={query}")).await;
        let lines = answer.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(super) async fn get(&self, target: &str) -> String {
        let asked = get(self.0.addresses[0], target, &[]);
        let answer = timeout(ANSWERED_WITHIN, asked).await;
        let answer = answer.expect("the store answers").unwrap();
        let said = || format!("{target}: {}\n{}", answer.status, self.0.said());
        assert!(answer.status.is_success(), "{}", said());
        // Where a store keeps bytes that are no text, it answers with them.
        String::from_utf8_lossy(&answer.body).into_owned()
    }
}
