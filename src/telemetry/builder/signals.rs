//! What the builder is told of spans, logs, errors and events: where they go, and how many.

use super::{Builder, business::Business};
use crate::{
    clock::Clock,
    error::Error,
    export::Destination,
    logs::{Format, LogFile},
    pipeline::{self, Exemplars, Sampling, UserIds},
    stack::InApp,
    telemetry::environment,
};
use std::time::Duration;

/// What was said; `None` is left to the environment.
#[derive(Debug, Default)]
pub(super) struct Signals {
    destinations: Vec<Destination>,
    sampling: Option<Sampling>,
    slow_after: Option<Duration>,
    error_quiet_period: Option<Duration>,
    push_interval: Option<Duration>,
    queue_bytes: Option<usize>,
    user_ids: Option<UserIds>,
    in_app: InApp,
    pub(super) format: Format,
    pub(super) file: Option<LogFile>,
}

/// What holds, after the calls and the environment were heard.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) destinations: Vec<Destination>,
    pub(super) pipeline: pipeline::Settings,
    pub(super) push_interval: Duration,
    pub(super) queue_bytes: usize,
    pub(super) in_app: InApp,
    pub(super) environment: environment::Settings,
}

const QUEUE_BYTES: usize = 32 << 20;
/// As the environment can say it.
const LONGEST_INTERVAL: Duration = Duration::from_millis(u32::MAX as u64);
/// Less would hold no batch.
const LEAST_QUEUE_BYTES: usize = 1 << 20;

impl Builder {
    /// Where traces, logs and metrics are sent; may be called for several. Given once or more, the
    /// environment's endpoint is not used. Without any, and without an endpoint in the environment,
    /// nothing is sent, and no record of a span, a line of log or an event is built.
    ///
    /// Default: what `OTEL_EXPORTER_OTLP_ENDPOINT` and its like say, under the name `otlp`.
    pub fn destination(mut self, destination: Destination) -> Self {
        self.signals.destinations.push(destination);
        self
    }

    /// Which traces are recorded. Default: what `OTEL_TRACES_SAMPLER` says, else all.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.signals.sampling = Some(sampling);
        self
    }

    /// A request that takes longer keeps its span though its trace is not recorded; so does one
    /// that fails. Default: 2 seconds.
    pub fn slow_after(mut self, duration: Duration) -> Self {
        self.signals.slow_after = Some(duration);
        self
    }

    /// The crates whose functions are the application's own: they alone make an error's fingerprint,
    /// and `code.function.name` is the innermost of them. May be called again. Default: all crates
    /// but Rust's, those out of a registry or a git checkout of cargo, or laid down by `cargo vendor`
    /// (`vendor/<name>`), Debian, Nix or Bazel in their ways, and orderscope. Dependencies that lie
    /// elsewhere under no version, as under Buck, look like the application's own: name them to
    /// [`in_app_exclude`](Self::in_app_exclude), or name here what is. So may crates of one's own that
    /// lie in a folder `vendor`. A crate may lie in a folder of another name, such as `/app`: where names
    /// have no path, the program's symbols are asked for it.
    pub fn in_app_include<S: Into<String>>(mut self, crates: impl IntoIterator<Item = S>) -> Self {
        let crates = crates.into_iter().map(Into::into);
        self.signals.in_app.include.extend(crates);
        self
    }

    /// Crates that are not the application's own though they look so, such as forks beside it. They
    /// have precedence over [`in_app_include`](Self::in_app_include).
    pub fn in_app_exclude<S: Into<String>>(mut self, crates: impl IntoIterator<Item = S>) -> Self {
        let crates = crates.into_iter().map(Into::into);
        self.signals.in_app.exclude.extend(crates);
        self
    }

    /// An error that comes after so long without one of its group has come back: its event carries
    /// `orderscope.error.regressed`. More than 0; default: an hour.
    pub fn error_quiet_period(mut self, quiet: Duration) -> Self {
        self.signals.error_quiet_period = Some(quiet);
        self
    }

    /// How often metrics are pushed to the destinations that take them; more than 0, at most 49 days. Default: what
    /// `OTEL_METRIC_EXPORT_INTERVAL` says, else a minute.
    pub fn metrics_interval(mut self, interval: Duration) -> Self {
        self.signals.push_interval = Some(interval);
        self
    }

    /// How many bytes of records may wait, over all destinations; 1 MiB or more. Default: 32 MiB.
    /// What finds no room is counted: log lines and spans are given up first, then events, errors
    /// last.
    pub fn queue_byte_budget(mut self, bytes: usize) -> Self {
        self.signals.queue_bytes = Some(bytes);
        self
    }
}

impl Builder {
    /// Lets the ids of users that [`context::identify`](crate::context::identify) is told leave as
    /// HMAC-SHA256 under `key`, half of it in hexadecimal: the same user is the same everywhere
    /// that has the same key, and nobody without it can tell who that is. Default: as they are.
    pub fn hash_user_ids(mut self, key: impl AsRef<[u8]>) -> Self {
        self.signals.user_ids = Some(UserIds::hashed(key.as_ref()));
        self
    }

    /// How log lines are written by the subscriber of [`install()`](Self::install). Default:
    /// [`Format::Human`].
    pub fn log_format(mut self, format: Format) -> Self {
        self.signals.format = format;
        self
    }

    /// Writes the log lines of [`install()`](Self::install)'s subscriber to files, in place of
    /// stderr. They are written on the telemetry's thread; what became of them stands in the
    /// [`ledger`](crate::Telemetry::ledger) under the destination `log_file`. A folder that cannot
    /// be written to is refused by `build()`.
    pub fn log_file(mut self, file: LogFile) -> Self {
        self.signals.file = Some(file);
        self
    }
}

impl Signals {
    /// # Errors
    /// What is named is no crate.
    fn check_crates(&self) -> Result<(), Error> {
        let InApp {
            include, exclude, ..
        } = &self.in_app;
        let named = include.iter().map(|name| ("in_app_include", name));
        let named = named.chain(exclude.iter().map(|name| ("in_app_exclude", name)));
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        for (setting, name) in named {
            if name.is_empty() || !name.chars().all(is_part) {
                let accepted = "the name of a crate, such as `orders` or `payment-core`";
                return Err(Error::configuration(setting, name, accepted));
            }
        }
        Ok(())
    }

    pub(super) fn decide(&self, business: Business, clock: &Clock) -> Result<Decided, Error> {
        business.check()?;
        let environment = environment::settings(&environment::Process)?;
        let destinations = match (environment.is_disabled, self.destinations.as_slice()) {
            (true, _) => Vec::new(),
            (false, []) => environment.destination.iter().cloned().collect(),
            (false, given) => given.to_vec(),
        };
        for (at, destination) in destinations.iter().enumerate() {
            let name = destination.name();
            if destinations[..at].iter().any(|other| other.name() == name) {
                let accepted = "another name: two destinations have this one";
                return Err(Error::configuration("a destination's name", name, accepted));
            }
        }
        self.check_crates()?;
        let push_interval = self.push_interval.unwrap_or(environment.pushes.interval);
        if push_interval.is_zero() || push_interval > LONGEST_INTERVAL {
            let (given, accepted) = (
                format!("{push_interval:?}"),
                "more than 0, at most 4294967295 ms",
            );
            return Err(Error::configuration("metrics_interval", given, accepted));
        }
        let queue_bytes = self.queue_bytes.unwrap_or(QUEUE_BYTES);
        if queue_bytes < LEAST_QUEUE_BYTES {
            let (given, accepted) = (queue_bytes.to_string(), "1048576 (1 MiB) or more");
            return Err(Error::configuration("queue_byte_budget", given, accepted));
        }
        if self.error_quiet_period.is_some_and(|quiet| quiet.is_zero()) {
            let accepted = "more than 0: each error would have come back";
            return Err(Error::configuration("error_quiet_period", "0ns", accepted));
        }
        let defaults = pipeline::Settings::default();
        let sampling = match environment.is_disabled {
            true => Sampling::NONE.regardless_of_parent(),
            false => self.sampling.unwrap_or(environment.sampling),
        };
        Ok(Decided {
            destinations,
            pipeline: pipeline::Settings {
                sampling,
                slow_after: self.slow_after.unwrap_or(defaults.slow_after),
                error_quiet_period: self
                    .error_quiet_period
                    .unwrap_or(defaults.error_quiet_period),
                user_ids: self.user_ids.clone().unwrap_or(UserIds::Raw),
                record_limits: environment.limits,
                shared_state: business.state(clock)?,
                release: None,
                declared: business.declared,
                propagates: environment.propagates_trace,
                exemplars: match environment.is_disabled {
                    true => Exemplars::None,
                    false => environment.exemplars,
                },
            },
            push_interval,
            queue_bytes,
            in_app: self.in_app.clone(),
            environment,
        })
    }
}
