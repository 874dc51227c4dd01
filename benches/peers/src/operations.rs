//! The rows of the table of operations: one call each, outside any request.

use crate::{
    assembly::{self, End, flushed},
    errors, instruments, json_line, ours,
    rounds::{self, Measured, Subject},
    sinks::Sink,
};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use orderscope::{telemetry::Sampling, track_event};
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt as _, registry};

pub(crate) struct Operation {
    pub(crate) key: &'static str,
    pub(crate) what: &'static str,
    pub(crate) by: &'static str,
    /// The row of ours that does the same.
    pub(crate) against: &'static str,
    pub(crate) turns: Turns,
    pub(crate) start: fn() -> Subject,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Turns {
    /// Many, each of as many as wait for a flush.
    Of(u32),
    /// The first that the process does, and no other.
    First,
}

impl Operation {
    pub(crate) fn measure(&self, is_quick: bool) -> Measured {
        let subject = (self.start)();
        match self.turns {
            Turns::Of(a_turn) => rounds::measure(None, subject, a_turn, is_quick),
            Turns::First => rounds::measure_first(subject),
        }
    }
}

const ERROR: &str = "`error!` with 3 fields to an OTLP record";
const EVENT: &str = "business event with 6 attributes";
const LINE: &str = "line of JSON with 3 fields";
/// No stock queue of OpenTelemetry overflows at its 2,048 before it is flushed.
const RECORDS_A_TURN: u32 = 2_000;

/// Every row, in the order of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Operation> {
    RECORDS.iter().chain(&errors::ALL).chain(&instruments::ALL)
}

static RECORDS: [Operation; 8] = [
    Operation {
        key: "ours-error",
        what: ERROR,
        by: "**orderscope**",
        against: "ours-error",
        turns: Turns::Of(RECORDS_A_TURN),
        start: || through_ours(log_error),
    },
    Operation {
        key: "appender-error",
        what: ERROR,
        by: "opentelemetry-appender-tracing",
        against: "ours-error",
        turns: Turns::Of(RECORDS_A_TURN),
        start: || through_the_appender(log_error, End::Dropped),
    },
    Operation {
        key: "appender-error-encoded",
        what: ERROR,
        by: "opentelemetry-appender-tracing, encoded as ours",
        against: "ours-error",
        turns: Turns::Of(RECORDS_A_TURN),
        start: || through_the_appender(log_error, End::Encoded),
    },
    Operation {
        key: "ours-event",
        what: EVENT,
        by: "**orderscope**, `track_event!`",
        against: "ours-event",
        turns: Turns::Of(RECORDS_A_TURN),
        start: || through_ours(event_of_ours),
    },
    Operation {
        key: "appender-event",
        what: EVENT,
        by: "opentelemetry-appender-tracing",
        against: "ours-event",
        turns: Turns::Of(RECORDS_A_TURN),
        start: || through_the_appender(event_of_tracing, End::Dropped),
    },
    Operation {
        key: "appender-event-encoded",
        what: EVENT,
        by: "opentelemetry-appender-tracing, encoded as ours",
        against: "ours-event",
        turns: Turns::Of(RECORDS_A_TURN),
        start: || through_the_appender(event_of_tracing, End::Encoded),
    },
    Operation {
        key: "ours-json",
        what: LINE,
        by: "**orderscope**, written to a file",
        against: "ours-json",
        turns: Turns::Of(RECORDS_A_TURN),
        start: || json_line::through_ours(log_error),
    },
    Operation {
        key: "fmt-json",
        what: LINE,
        by: "tracing-subscriber, written nowhere",
        against: "ours-json",
        turns: Turns::Of(RECORDS_A_TURN),
        start: || json_line::through_fmt(log_error),
    },
];

fn log_error() {
    tracing::error!(
        order_id = 17,
        courier = "Ada",
        is_late = true,
        "courier lost"
    );
}

fn event_of_ours() {
    track_event!(
        "dish_viewed",
        dish_id = 7,
        restaurant = "Roma",
        city = "Graz",
        price = 8.9,
        is_vegan = true,
        position = 3
    );
}

fn event_of_tracing() {
    tracing::info!(
        name: "dish_viewed",
        dish_id = 7,
        restaurant = "Roma",
        city = "Graz",
        price = 8.9,
        is_vegan = true,
        position = 3
    );
}

pub(crate) fn times(operation: fn()) -> Box<dyn FnMut(u32)> {
    Box::new(move |times| (0..times).for_each(|_| operation()))
}

fn through_ours(operation: fn()) -> Subject {
    let telemetry = ours::with_destination(Sampling::ALL);
    Subject {
        threads: 1,
        run: times(operation),
        settle: ours::settle(&telemetry),
        delivered: Box::new(move || ours::delivered(&telemetry)),
    }
}

fn through_the_appender(operation: fn(), end: End) -> Subject {
    let sink = Sink::default();
    let logs = assembly::logs(&sink, end);
    let bridge = OpenTelemetryTracingBridge::new(&logs);
    let subscriber = registry().with(LevelFilter::INFO).with(bridge);
    let installed = tracing::subscriber::set_global_default(subscriber);
    installed.unwrap_or_else(|error| panic!("{error}"));
    Subject {
        threads: 1,
        run: times(operation),
        settle: Box::new(move || flushed(logs.force_flush())),
        delivered: Box::new(move || sink.delivered()),
    }
}
