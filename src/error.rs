//! The one error of the crate: what [`build()`](crate::telemetry::Builder::build) and
//! [`install()`](crate::telemetry::Builder::install) can refuse. Recording never returns an error.

use std::{error, fmt, io, net::SocketAddr, path::PathBuf};

/// Why a [`Telemetry`](crate::Telemetry) could not be built or installed.
///
/// The message names the setting, its value and what is accepted, or what to do instead.
pub struct Error(Box<Kind>);

#[derive(Debug)]
enum Kind {
    Configuration {
        setting: String,
        value: String,
        accepted: String,
    },
    AlreadyInstalled,
    ForeignSubscriber {
        already_set: &'static str,
    },
    ForeignRecorder,
    Listener {
        address: SocketAddr,
        source: io::Error,
    },
    Worker {
        source: io::Error,
    },
    LogFile {
        directory: PathBuf,
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn configuration(
        setting: impl Into<String>,
        value: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self(Box::new(Kind::Configuration {
            setting: setting.into(),
            value: value.into(),
            accepted: accepted.into(),
        }))
    }

    pub(crate) fn already_installed() -> Self {
        Self(Box::new(Kind::AlreadyInstalled))
    }

    /// `already_set` says what of ours stays in place; empty when nothing does.
    pub(crate) fn foreign_subscriber(already_set: &'static str) -> Self {
        Self(Box::new(Kind::ForeignSubscriber { already_set }))
    }

    pub(crate) fn foreign_recorder() -> Self {
        Self(Box::new(Kind::ForeignRecorder))
    }

    pub(crate) fn listener(address: SocketAddr, source: io::Error) -> Self {
        Self(Box::new(Kind::Listener { address, source }))
    }

    pub(crate) fn worker(source: io::Error) -> Self {
        Self(Box::new(Kind::Worker { source }))
    }

    pub(crate) fn log_file(directory: PathBuf, source: io::Error) -> Self {
        Self(Box::new(Kind::LogFile { directory, source }))
    }

    /// A setting, from a call or from the environment, has a value that is not accepted.
    pub fn is_configuration(&self) -> bool {
        matches!(*self.0, Kind::Configuration { .. })
    }

    /// The process has an installed orderscope already, a `tracing` subscriber, or a `metrics`
    /// recorder that is not ours.
    pub fn is_already_installed(&self) -> bool {
        matches!(
            *self.0,
            Kind::AlreadyInstalled | Kind::ForeignSubscriber { .. } | Kind::ForeignRecorder
        )
    }

    /// The operating system refused a socket, a thread or a file; [`source()`](error::Error::source) says
    /// why.
    pub fn is_io(&self) -> bool {
        matches!(
            *self.0,
            Kind::Listener { .. } | Kind::Worker { .. } | Kind::LogFile { .. }
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Configuration {
                setting,
                value,
                accepted,
            } => write!(f, "{setting} is {value:?}, but must be {accepted}"),
            Kind::AlreadyInstalled => f.write_str(
                "orderscope is installed in this process already; nothing was changed. \
                 Install once, in `main`, and clone the `Telemetry` it returned; \
                 for a second one that touches no global, call `build()` instead of `install()`",
            ),
            Kind::ForeignSubscriber { already_set } => {
                f.write_str(
                    "a `tracing` subscriber that is not orderscope's was set in this process before",
                )?;
                if already_set.is_empty() {
                    f.write_str("; nothing was changed")?;
                } else {
                    write!(f, " (a race: {already_set} had been set by then and stays)")?;
                }
                f.write_str(
                    ". Either remove the other subscriber's `init()`, or keep it and add \
                     `.without_subscriber()` before `.install()`",
                )?;
                match *already_set {
                    "" => Ok(()),
                    _ => f.write_str(
                        ", and `.without_recorder()` for a second attempt in this process",
                    ),
                }
            }
            Kind::ForeignRecorder => f.write_str(
                "a `metrics` recorder that is not orderscope's was set in this process before; \
                 nothing was changed. Either remove the other recorder's installation, or keep it \
                 and add `.without_recorder()` before `.install()`: `metrics::counter!` and its \
                 like then do not appear in orderscope",
            ),
            Kind::Listener { address, source } => {
                write!(
                    f,
                    "the metrics listener cannot listen on {address}: {source}. "
                )?;
                f.write_str(match source.kind() {
                    io::ErrorKind::AddrInUse => "The port is taken: choose",
                    _ => "Choose",
                })?;
                f.write_str(
                    " another with `metrics_listener(addr)`, or with OTEL_EXPORTER_PROMETHEUS_HOST \
                     and OTEL_EXPORTER_PROMETHEUS_PORT: an address of this machine and a port (0 \
                     takes any free one); or serve `metrics_route()` on the service's own port",
                )
            }
            Kind::Worker { source } => {
                write!(
                    f,
                    "the telemetry worker's thread could not be started: {source}"
                )
            }
            Kind::LogFile { directory, source } => {
                write!(
                    f,
                    "the log file cannot be written in {}: {source}. Choose a directory that this \
                     process may write to, or leave the lines on stderr",
                    directory.display()
                )
            }
        }
    }
}

/// As [`Display`](fmt::Display): `main` prints an error it returns by `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &*self.0 {
            Kind::Listener { source, .. }
            | Kind::Worker { source }
            | Kind::LogFile { source, .. } => Some(source),
            _ => None,
        }
    }
}
