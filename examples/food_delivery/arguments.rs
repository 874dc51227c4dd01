//! The command line.

use std::{
    io::{Write, sink, stderr, stdout},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use orderscope::{logs::Format, shared_state::Redis};

/// A small food-delivery platform with its own traffic, watched by orderscope.
#[derive(Debug, Parser)]
#[command(name = "food_delivery")]
pub(crate) struct Arguments {
    /// Address to serve on; port 0 takes any free one, as each of several replicas does
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,

    /// Requests per second to aim at; 0 serves without traffic of its own
    #[arg(long, value_name = "REQUESTS", default_value_t = 50.0, value_parser = rate)]
    pub(crate) rate: f64,

    /// Time to run, such as 30s or 5m; without it, until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) length: Option<Duration>,

    /// Seed of the traffic: the same seed makes the same decisions
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Processes that serve, each the whole platform; more than one need `--redis`
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) replicas: u8,

    /// Redis that keeps funnels, sessions, active users and features, such as redis://localhost:6379
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,

    /// File to write the summary to, as JSON; `-` is the standard output, alone then
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,

    /// How log lines are written on the standard error
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) log_format: LogFormat,

    /// Serves as one of several replicas, by the database that they share
    #[arg(long, value_name = "DATABASE", hide = true)]
    pub(crate) replica: Option<PathBuf>,

    /// Cooks for all replicas
    #[arg(long, hide = true, requires = "replica")]
    pub(crate) kitchen: bool,

    /// Tells this run from others that the Redis is of
    #[arg(long, value_name = "NAME", hide = true, default_value_t = any_name())]
    pub(crate) run: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Human,
    Json,
}

impl Arguments {
    /// Those of the process; it ends with an explanation where they make no sense.
    pub(crate) fn of_process() -> Self {
        let arguments = Self::parse();
        if arguments.replicas > 1 && arguments.redis.is_none() {
            let why = "--replicas above 1 needs --redis URL: without it each replica counts what comes \
                       to it alone, and a customer who hops between them is one of each";
            let kind = ErrorKind::MissingRequiredArgument;
            Self::command().error(kind, why).exit();
        }
        arguments
    }

    /// What replicas share. A customer's or a cart's number means another one in the next run, whose
    /// database is new, so each run has names of its own.
    pub(crate) fn shared_state(&self) -> Option<Redis> {
        let url = self.redis.as_ref()?;
        Some(Redis::at(url).prefix(format!("food_delivery:{}", self.run)))
    }

    /// How late an event may be told of. One process tells its events in order, and its summary is not
    /// to wait. Others tell of the same cart on their own time, and a busy one is late.
    pub(crate) fn lateness(&self) -> Duration {
        match self.redis {
            Some(_) => Duration::from_secs(1),
            None => Duration::ZERO,
        }
    }

    /// Where people read: not where the summary goes.
    pub(crate) fn to_people(&self) -> Box<dyn Write> {
        match self.summary.as_deref() {
            // People read of all replicas together.
            _ if self.replica.is_some() => Box::new(sink()),
            Some(path) if path == Path::new("-") => Box::new(stderr()),
            _ => Box::new(stdout()),
        }
    }
}

impl LogFormat {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

impl From<LogFormat> for Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Human => Self::Human,
            LogFormat::Json => Self::Json,
        }
    }
}

fn any_name() -> String {
    format!("{:016x}", fastrand::u64(..))
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=5_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected a number from 0 to 5000".to_owned()),
    }
}
