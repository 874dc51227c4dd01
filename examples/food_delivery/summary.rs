//! What the run came to, by the telemetry's own account: as a table, and as JSON.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    time::Duration,
};

use orderscope::{
    Telemetry,
    export::LedgerRow,
    snapshot::{Distribution, Snapshot},
};
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    audience::{Active, Features, Visits},
    backend::Received,
    funnels::Funnels,
    ledger::Ledger,
    problems::Problems,
    requests::Requests,
    statements::{Pools, Statements},
    tallies::Tallies,
    transactions::Transactions,
};

/// Of the platform, and of the payment provider that it calls.
#[derive(Serialize)]
pub(crate) struct Summaries {
    #[serde(flatten)]
    pub(crate) platform: Summary,
    pub(crate) payments: Summary,
}

/// Of one service.
#[derive(Serialize)]
pub(crate) struct Summary {
    requests: Requests,
    /// To the last byte, by route; requests without a route under the empty string.
    latency_seconds: BTreeMap<String, Latency>,
    /// To the first byte, likewise; streams that never end on their own are here alone.
    first_byte_seconds: BTreeMap<String, Latency>,
    #[serde(flatten)]
    tallies: Tallies,
    error_groups: Problems,
    funnels: Funnels,
    sessions: Option<Visits>,
    active_users: Active,
    features: Features,
    transactions: Transactions,
    /// The slowest ones.
    statements: Statements,
    pools: Pools,
    ledger: Ledger,
    /// What arrived in the backend in memory, if it was that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<Received>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Latency {
    count: u64,
    p50: Option<f64>,
    p99: Option<f64>,
}

impl Summary {
    /// Of the numbers and the ledger as they are after the shutdown.
    pub(crate) fn of(
        snapshot: &Snapshot,
        ledger: &[LedgerRow],
        received: Option<Received>,
    ) -> Self {
        Self {
            requests: Requests::of(snapshot),
            latency_seconds: by_route(snapshot, LAST_BYTE),
            first_byte_seconds: by_route(snapshot, FIRST_BYTE),
            tallies: Tallies::of(snapshot),
            error_groups: Problems::of(snapshot),
            funnels: Funnels::of(snapshot),
            sessions: snapshot.sessions().map(Visits::from),
            active_users: Active::of(snapshot),
            features: Features::of(snapshot),
            transactions: Transactions::of(snapshot),
            statements: Statements::of(snapshot),
            pools: Pools::of(snapshot),
            ledger: Ledger::of(ledger),
            received,
        }
    }

    /// Whether every request that started has finished with one outcome, and every record that was
    /// accepted is accounted for.
    pub(crate) fn is_balanced(&self) -> bool {
        self.requests.are_balanced() && self.ledger.is_balanced()
    }
}

impl Summaries {
    pub(crate) fn are_balanced(&self) -> bool {
        self.platform.is_balanced() && self.payments.is_balanced()
    }
}

impl Display for Summaries {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { platform, payments } = self;
        write!(f, "{platform}\npayments: {}", payments.requests)
    }
}

/// Waits until the last requests are accounted for, or for a second.
pub(crate) async fn settled(telemetry: &Telemetry) {
    for _ in 0..100 {
        if Requests::of(&telemetry.snapshot()).are_balanced() {
            return;
        }
        // A connection's last request falls a moment after the server has let go of it.
        sleep(Duration::from_millis(10)).await;
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<15}{:>8}", "outcome", "requests")?;
        for (outcome, requests) in self.requests.by_outcome() {
            writeln!(f, "{outcome:<15}{requests:>8}")?;
        }

        let routes: BTreeMap<_, _> = self
            .first_byte_seconds
            .iter()
            .chain(&self.latency_seconds)
            .collect();
        let width = routes
            .keys()
            .map(|route| name(route).len())
            .max()
            .unwrap_or(0);
        writeln!(
            f,
            "\n{:width$}  {:>8}  {:>23}  {:>23}",
            "", "", "first byte, ms", "last byte, ms"
        )?;
        write!(f, "{:<width$}  {:>8}", "route", "requests")?;
        writeln!(f, "  {0:>11} {1:>11}  {0:>11} {1:>11}", "p50", "p99")?;
        for route in routes.into_keys() {
            let first = self
                .first_byte_seconds
                .get(route)
                .copied()
                .unwrap_or_default();
            let last = self.latency_seconds.get(route).copied().unwrap_or_default();
            write!(
                f,
                "{:<width$}  {:>8}",
                name(route),
                first.count.max(last.count)
            )?;
            write!(
                f,
                "  {:>11} {:>11}",
                milliseconds(first.p50),
                milliseconds(first.p99)
            )?;
            writeln!(
                f,
                "  {:>11} {:>11}",
                milliseconds(last.p50),
                milliseconds(last.p99)
            )?;
        }
        writeln!(
            f,
            "\nInterpolated within buckets. Upgrades have no latency, streams no last byte, and \
             requests\nthat their client gave up early no first byte: the columns count different \
             requests.\n"
        )?;
        write!(f, "{}{}{}", self.tallies, self.error_groups, self.funnels)?;
        write!(f, "{}{}{}", self.transactions, self.statements, self.pools)?;
        if let Some(sessions) = &self.sessions {
            write!(f, "{sessions}")?;
        }
        write!(f, "{}{}", self.active_users, self.features)?;
        writeln!(f, "telemetry\n{}", self.ledger)?;

        write!(f, "{}", self.requests)
    }
}

impl From<Distribution> for Latency {
    fn from(distribution: Distribution) -> Self {
        Self {
            count: distribution.count(),
            p50: distribution.quantile(0.50),
            p99: distribution.quantile(0.99),
        }
    }
}

fn by_route(snapshot: &Snapshot, metric: &str) -> BTreeMap<String, Latency> {
    let routes = snapshot.attribute_values(metric, ROUTE).into_iter();
    let latencies = routes.map(|route| {
        let latency: Latency = snapshot.histogram(metric, &[(ROUTE, &route)]).into();
        (route, latency)
    });
    // A route of streams alone has no latency to the last byte.
    latencies.filter(|(_, latency)| latency.count > 0).collect()
}

fn name(route: &str) -> &str {
    if route.is_empty() {
        "(no route)"
    } else {
        route
    }
}

fn milliseconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(
        || "-".to_owned(),
        |seconds| format!("{:.2}", seconds * 1_000.0),
    )
}

const LAST_BYTE: &str = "http.server.request.duration";
const FIRST_BYTE: &str = "orderscope.http.server.time_to_first_byte";
const ROUTE: &str = "http.route";
