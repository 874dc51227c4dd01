//! The command line.

use orderscope::export::Protocol;
use std::{env, process, time::Duration};

const USAGE: &str = "usage: host --endpoint URL [--endpoint URL …] [--protocol http|grpc]
    [--load l1|l2|sealed|none] [--rate PER_SECOND] [--threads N] [--errors PER_SECOND] [--spin]
    [--events N] [--for SECONDS] [--bytes N] [--within MILLISECONDS] [--interval MILLISECONDS]
    [--timeout MILLISECONDS] [--bare]";

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// L1: requests through the layer.
    Requests,
    /// L2: events.
    Events,
    /// Events of threads that may make no call to the system.
    Sealed,
    None,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) endpoints: Vec<String>,
    pub(crate) protocol: Protocol,
    pub(crate) load: Kind,
    /// Requests or events a second, over all threads; 0: as fast as they can.
    pub(crate) rate: u64,
    pub(crate) threads: u64,
    /// Of events: errors a second, captured by a thread of their own.
    pub(crate) errors: u64,
    /// Of events: a thread that is early spins, so that every switch of context is recording's.
    pub(crate) spin: bool,
    /// Of sealed threads: events of each.
    pub(crate) events: u64,
    pub(crate) length: Duration,
    pub(crate) bytes: usize,
    /// The deadline of shutdown.
    pub(crate) within: Duration,
    /// Of metrics.
    pub(crate) interval: Duration,
    pub(crate) timeout: Option<Duration>,
    /// The load without the crate.
    pub(crate) bare: bool,
}

impl Arguments {
    pub(crate) fn from_command_line() -> Self {
        Self::parse(env::args().skip(1)).unwrap_or_else(|what| {
            eprintln!("host: {what}\n{USAGE}");
            process::exit(2)
        })
    }

    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut all = Self {
            endpoints: Vec::new(),
            protocol: Protocol::HttpProtobuf,
            load: Kind::Requests,
            rate: u64::MAX,
            threads: 2,
            errors: 0,
            spin: false,
            events: 1_000_000,
            length: Duration::from_secs(3_600),
            bytes: 32 << 20,
            within: Duration::from_secs(5),
            interval: Duration::from_secs(60),
            timeout: None,
            bare: false,
        };
        while let Some(flag) = words.next() {
            match flag.as_str() {
                "--bare" => all.bare = true,
                "--spin" => all.spin = true,
                flag => {
                    let value = words.next().ok_or(format!("{flag} wants a value"))?;
                    all.set(flag, value)?;
                }
            }
        }
        if all.rate == u64::MAX {
            all.rate = match all.load {
                Kind::Requests => 2_000,
                _ => 200_000,
            };
        }
        match all.endpoints.is_empty() && !all.bare {
            true => Err("--endpoint is missing".to_owned()),
            false => Ok(all),
        }
    }

    fn set(&mut self, flag: &str, value: String) -> Result<(), String> {
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("{flag}: {value:?} is no number"))
        };
        let millis = || number().map(Duration::from_millis);
        match flag {
            "--endpoint" => self.endpoints.push(value),
            "--protocol" => {
                self.protocol = match value.as_str() {
                    "http" => Protocol::HttpProtobuf,
                    "grpc" => Protocol::Grpc,
                    _ => return Err(format!("no protocol is called {value:?}")),
                }
            }
            "--load" => {
                self.load = match value.as_str() {
                    "l1" => Kind::Requests,
                    "l2" => Kind::Events,
                    "sealed" => Kind::Sealed,
                    "none" => Kind::None,
                    _ => return Err(format!("no load is called {value:?}")),
                }
            }
            "--rate" => self.rate = number()?,
            "--threads" => self.threads = number()?.max(1),
            "--errors" => self.errors = number()?,
            "--events" => self.events = number()?,
            "--for" => self.length = Duration::from_secs(number()?),
            "--bytes" => self.bytes = number()? as usize,
            "--within" => self.within = millis()?,
            "--interval" => self.interval = millis()?,
            "--timeout" => self.timeout = Some(millis()?),
            _ => return Err(format!("{flag} is not known")),
        }
        Ok(())
    }
}
