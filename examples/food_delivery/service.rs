//! What one process serves: the platform and its payments, from the first request to the summary.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use orderscope::{
    Telemetry,
    catalog::http::{REQUEST_DURATION, TIME_TO_FIRST_BYTE},
    events::{PaymentFailed, PaymentSucceeded, Transaction},
};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    arguments::Arguments,
    audience,
    backend::Backend,
    database::Database,
    deadline::Deadline,
    funnels, orders,
    payments::Payments,
    platform::{self, Platform},
    provider::PaymentProvider,
    summary::{self, Summaries, Summary},
    tracking,
};

/// The two services while they serve.
pub(crate) struct Service {
    /// Where a client on this machine finds the platform.
    pub(crate) address: SocketAddr,
    telemetry: Telemetry,
    backend: Backend,
    payments: Payments,
    backend_of_payments: Backend,
    errands: TaskTracker,
    kitchen: Option<JoinHandle<()>>,
    server: JoinHandle<io::Result<()>>,
    closing: Deadline,
}

impl Service {
    pub(crate) async fn open(
        arguments: &Arguments,
        listener: TcpListener,
    ) -> Result<Self, Box<dyn Error>> {
        let address = reachable(listener.local_addr()?);
        let backend = Backend::chosen();
        let telemetry = watched(arguments, &backend)?;
        orders::describe_metrics();
        let backend_of_payments = Backend::chosen();
        let payments = Payments::open(&backend_of_payments).await?;

        let closing = Deadline::new();
        let provider = PaymentProvider::new(payments.address, &telemetry)?;
        let database = match &arguments.replica {
            Some(shared) => Database::join(shared, &telemetry).await?,
            None => Database::in_memory(&telemetry).await?,
        };
        let platform = Platform::new(database, provider, closing.clone());
        let errands = platform.errands.clone();
        // One kitchen cooks for all replicas: it moves on every order that is in the database.
        let cooks = arguments.replica.is_none() || arguments.kitchen;
        let kitchen = cooks.then(|| tokio::spawn(tracking::kitchen(platform.clone())));
        let app = platform::router(platform, &telemetry);
        let shutdown = closing.clone();
        let server = tokio::spawn(
            axum::serve(listener, app)
                .with_graceful_shutdown(async move { shutdown.passed().await })
                .into_future(),
        );
        Ok(Self {
            address,
            telemetry,
            backend,
            payments,
            backend_of_payments,
            errands,
            kitchen,
            server,
            closing,
        })
    }

    pub(crate) fn metrics_of_payments(&self) -> Option<SocketAddr> {
        self.payments.telemetry.metrics_address()
    }

    /// The server first, then telemetry, which outlives what it watches.
    pub(crate) async fn close(self) -> Result<Summaries, Box<dyn Error>> {
        self.closing.pass();
        if let Some(kitchen) = self.kitchen {
            kitchen.await?;
        }
        match timeout(SERVER_GRACE, self.server).await {
            Ok(served) => served??,
            Err(_) => {
                eprintln!("food_delivery: some connections did not close in {SERVER_GRACE:?}");
            }
        }
        self.errands.close();
        let _ = timeout(SERVER_GRACE, self.errands.wait()).await;
        let telemetry_of_payments = self.payments.telemetry.clone();
        self.payments.close(SERVER_GRACE).await?;
        Ok(Summaries {
            platform: ended(&self.telemetry, &self.backend).await,
            payments: ended(&telemetry_of_payments, &self.backend_of_payments).await,
        })
    }
}

/// The telemetry of the platform, with all that it is to count.
fn watched(arguments: &Arguments, backend: &Backend) -> Result<Telemetry, orderscope::Error> {
    let lateness = arguments.lateness();
    let [basket, checkout] = funnels::declared(lateness);
    let telemetry = backend.take_from(Telemetry::builder("food-delivery"));
    let telemetry = audience::declare(telemetry, lateness)
        .funnel(basket)
        .funnel(checkout)
        .transaction(
            Transaction::new("payment")
                .succeeded_by(PaymentSucceeded::NAME)
                .failed_by(PaymentFailed::NAME),
        )
        .version(env!("CARGO_PKG_VERSION"))
        .environment("demo")
        .histogram_edges(REQUEST_DURATION.name(), finer(REQUEST_DURATION.edges()))
        .histogram_edges(TIME_TO_FIRST_BYTE.name(), finer(TIME_TO_FIRST_BYTE.edges()))
        .log_format(arguments.log_format.into());
    match arguments.shared_state() {
        Some(redis) => telemetry.shared_state(redis).install(),
        None => telemetry.install(),
    }
}

/// A database in memory answers faster than the usual edges tell apart.
fn finer(edges: &[f64]) -> impl Iterator<Item = f64> {
    [0.000_5, 0.001, 0.002_5]
        .into_iter()
        .chain(edges.iter().copied())
}

/// Ends the telemetry of a service that has ended, and sums it up.
async fn ended(telemetry: &Telemetry, backend: &Backend) -> Summary {
    summary::settled(telemetry).await;
    let report = telemetry.shutdown(TELEMETRY_GRACE).await;
    // What a destination would not take is told here, beside where the log lines are.
    if !report.is_complete() {
        let service = telemetry.resource().get("service.name").unwrap_or_default();
        eprintln!("{service}: {report}");
    }
    let received = backend.received();
    Summary::of(&telemetry.snapshot(), report.ledger(), received)
}

/// Where a client on this machine finds a server that may listen on every address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// How long open connections may take to end once the server is told to stop.
const SERVER_GRACE: Duration = Duration::from_secs(5);

/// How long telemetry may take to hand over what it still holds.
const TELEMETRY_GRACE: Duration = Duration::from_secs(5);
