//! The end of a telemetry, and sending what waits: on any executor or none, never longer than was
//! said.

use super::{Inner, Telemetry};
use crate::{
    delivery::LedgerRow,
    events,
    mutation::{self, Mutation},
    records::Signal,
    worker::{self, GRACE, Said, at_most, block_on},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// When a thread that blocks stops waiting, though not even a deadline could be had.
const LATEST: Duration = Duration::from_millis(90);

impl Telemetry {
    /// What became of all records so far, by destination and signal. After
    /// [`shutdown`](Self::shutdown) every [`difference`](LedgerRow::difference) is 0. In a forked
    /// child, what it recorded itself, all of it dropped as
    /// [`Reason::Fork`](crate::export::Reason::Fork).
    pub fn ledger(&self) -> Vec<LedgerRow> {
        self.inner.ledger()
    }

    /// Sends all that was recorded before this call, metrics and lines of the log file included,
    /// and waits for the answers, at most `within`. Whether all destinations were through by then:
    /// what they made of it is in the [`ledger`](Self::ledger). After
    /// [`shutdown`](Self::shutdown), at once, whether that came to its end in time; in a forked
    /// child at once `false`.
    ///
    /// Works on any executor: the telemetry's own thread waits for the answers, and keeps the time.
    pub async fn flush(&self, within: Duration) -> bool {
        let inner = &self.inner;
        if let Some(is_in_time) = inner.worker.has_ended() {
            return is_in_time;
        }
        let (delivery, (_, lines)) = (Arc::clone(&inner.delivery), inner.lines.clone());
        let pipeline = inner.pipeline;
        let all = async move {
            events::settle_shared(pipeline).await;
            let (delivered, ()) = tokio::join!(delivery.flush(Duration::MAX), lines.flush());
            delivered
        };
        match inner.worker.attend(within, all).await {
            Some(is_through) => is_through,
            // Perhaps for the end that came meanwhile.
            None => inner.worker.has_ended() == Some(true),
        }
    }

    /// As [`flush`](Self::flush), for code that is not `async`: it blocks the calling thread.
    ///
    /// Never panics, on whatever thread; but on one of an `async` runtime the tasks that would run
    /// there wait as well, and [`flush`](Self::flush) is to be preferred.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let telemetry = orderscope::Telemetry::builder("nightly-settlement").build()?;
    /// assert!(telemetry.flush_blocking(Duration::from_secs(2)));
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    pub fn flush_blocking(&self, within: Duration) -> bool {
        let flushed = block_on(within.saturating_add(LATEST), self.flush(within));
        flushed.unwrap_or_default()
    }

    /// Sends what waits, closes the scrape listener, lets scrapes that have begun come to their end,
    /// all for at most `within`, and freezes the numbers: from here on
    /// [`snapshot`](Self::snapshot) and the metrics page tell those of now. Call it after the
    /// server has come to its end. The log file is closed last.
    ///
    /// A destination that is down is not waited for: what it would not take at the second or third
    /// attempt is given up, and counted. What is recorded after this is counted and dropped.
    ///
    /// Works on any executor, and waits at most `within` and a tenth of a second, however busy the
    /// telemetry's own thread is. Another call, meanwhile or later, waits for the same end, has the
    /// same report, and may bring the deadline forward. In a forked child nothing is to be ended:
    /// the report comes at once, and is not complete.
    pub async fn shutdown(&self, within: Duration) -> ShutdownReport {
        let inner = &self.inner;
        let within = match mutation::is_on(Mutation::PatientShutdown) {
            true => Duration::MAX,
            false => within,
        };
        if inner.worker.is_forked() {
            return inner.cut_off();
        }
        inner.health.shut_down();
        if let Some(report) = inner.ending.report.heard() {
            return report;
        }
        if !Ending::begin(inner, within) {
            let is_in_time = inner.worker.stop(within).await;
            return inner.end(is_in_time);
        }
        let patience = within.saturating_add(GRACE);
        if let Some(report) = at_most(patience, inner.ending.report.hear()).await {
            return report;
        }
        inner.ending.hurries.say(());
        let report = at_most(GRACE, inner.ending.report.hear()).await;
        report.unwrap_or_else(|| inner.cut_off())
    }

    /// As [`shutdown`](Self::shutdown), for code that is not `async`, such as a `main` without a
    /// runtime or a `Drop`: it blocks the calling thread.
    ///
    /// Never panics, on whatever thread; but on one of an `async` runtime the tasks that would run
    /// there wait as well, and [`shutdown`](Self::shutdown) is to be preferred.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let telemetry = orderscope::Telemetry::builder("nightly-settlement").build()?;
    /// let report = telemetry.shutdown_blocking(Duration::from_secs(2));
    /// assert!(report.is_complete(), "{report}");
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    pub fn shutdown_blocking(&self, within: Duration) -> ShutdownReport {
        let report = block_on(within.saturating_add(LATEST), self.shutdown(within));
        report.unwrap_or_else(|| self.inner.cut_off())
    }
}

/// How far the end of a telemetry has come.
#[derive(Debug, Default)]
pub(super) struct Ending {
    has_begun: AtomicBool,
    /// Whether the time of a call is over: the worker is waited for no longer.
    hurries: Said<()>,
    report: Said<ShutdownReport>,
}

impl Ending {
    /// Ends the telemetry on a thread for the purpose, once: reading all numbers, which may ask code
    /// of the host's, then holds up no runtime and no deadline. `false`: there is no thread to be
    /// had.
    fn begin(inner: &Arc<Inner>, within: Duration) -> bool {
        if inner.ending.has_begun.swap(true, Ordering::SeqCst) {
            return true;
        }
        let this = Arc::clone(inner);
        let end = move || {
            // So that the last push has them.
            events::settle_for_the_last_time(this.pipeline, &this.worker, within);
            this.worker.begin_to_stop(within);
            let is_in_time = async {
                tokio::select! {
                    biased;
                    is_in_time = this.worker.ended() => is_in_time,
                    () = this.ending.hurries.hear() => false,
                }
            };
            let is_in_time = block_on(Duration::MAX, is_in_time);
            // Told to all who wait.
            let _ = this.end(is_in_time.unwrap_or_default());
        };
        let has_begun = worker::spawn(end);
        inner.ending.has_begun.store(has_begun, Ordering::SeqCst);
        has_begun
    }
}

impl Inner {
    /// What comes after the worker: what it has left is given up and all numbers are frozen. The
    /// first report stands.
    fn end(&self, is_in_time: bool) -> ShutdownReport {
        self.delivery.close();
        let ledger = self.ledger();
        // Not by `get_or_init`: an observer may be code of the host's that asks for the end.
        if self.last.get().is_none() {
            let _ = self.last.set(self.look());
        }
        self.pages.freeze();
        self.ending
            .report
            .say(ShutdownReport { is_in_time, ledger });
        self.ending.report.heard().unwrap_or_else(|| self.cut_off())
    }

    fn cut_off(&self) -> ShutdownReport {
        ShutdownReport {
            is_in_time: false,
            ledger: self.ledger(),
        }
    }

    fn ledger(&self) -> Vec<LedgerRow> {
        if !self.worker.is_forked() {
            return self.delivery.rows();
        }
        let handoff = &self.pipeline.handoff;
        let of_outlets = self.delivery.outlets().iter().flat_map(|outlet| {
            outlet.signals().map(|signal| {
                LedgerRow::of_fork(outlet.name(), signal, handoff.lost_by_fork(signal))
            })
        });
        let of_lines = self.lines.1.lost_by_fork();
        let of_lines = of_lines.map(|lines| LedgerRow::of_fork("log_file", Signal::Logs, lines));
        of_outlets.chain(of_lines).collect()
    }
}

/// What [`Telemetry::shutdown`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it says what was not delivered"]
pub struct ShutdownReport {
    is_in_time: bool,
    ledger: Vec<LedgerRow>,
}

impl ShutdownReport {
    /// Everything came to its end in time, and every record that was accepted is acknowledged.
    pub fn is_complete(&self) -> bool {
        self.is_in_time && self.ledger.iter().all(LedgerRow::is_settled)
    }

    /// What became of all records since the start, by destination and signal.
    pub fn ledger(&self) -> &[LedgerRow] {
        &self.ledger
    }
}

/// One line, and one for each destination and signal of which not all was acknowledged.
impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_complete(), self.is_in_time) {
            (true, _) => "telemetry shut down: its numbers are frozen",
            (false, true) => "telemetry shut down, and not all of it was delivered",
            (false, false) => "telemetry shut down at its deadline: something was cut off",
        })?;
        for row in self.ledger.iter().filter(|row| !row.is_settled()) {
            write!(f, "\n{row}")?;
        }
        Ok(())
    }
}
