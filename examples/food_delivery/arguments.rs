//! The command line.

use std::{
    io::{Write, stderr, stdout},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, ValueEnum};
use orderscope::logs::Format;

/// A small food-delivery platform with its own traffic, watched by orderscope.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Address to serve on; port 0 takes any free one
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

    /// File to write the summary to, as JSON; `-` is the standard output, alone then
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,

    /// How log lines are written on the standard error
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Human,
    Json,
}

impl Arguments {
    /// Where people read: not where the summary goes.
    pub(crate) fn to_people(&self) -> Box<dyn Write> {
        match self.summary.as_deref() {
            Some(path) if path == Path::new("-") => Box::new(stderr()),
            _ => Box::new(stdout()),
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

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=5_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected a number from 0 to 5000".to_owned()),
    }
}
