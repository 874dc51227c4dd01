//! A small food-delivery platform with its own traffic, failures included, watched by `orderscope`.
//!
//! ```sh
//! cargo run --example food_delivery                          # until Ctrl-C
//! cargo run --example food_delivery -- --for 30s --summary summary.json
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run --example food_delivery
//! ```
//!
//! Customers browse, fill carts, order, pay and follow their couriers over real sockets; scanners
//! probe, clients vanish half-way, one coupon panics and one bank never answers. Payments are the
//! business of a second service, in the same process but behind HTTP, so that traces go over both.
//! While it runs, `/metrics` shows it, and a collector gets traces, logs, errors, events and metrics
//! if the environment names one; at the end, a summary says where every request and every record
//! went.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to whoever started it"
)]

#[path = "food_delivery/accounts.rs"]
mod accounts;
#[path = "food_delivery/arguments.rs"]
mod arguments;
#[path = "food_delivery/audience.rs"]
mod audience;
#[path = "food_delivery/backend.rs"]
mod backend;
#[path = "food_delivery/carts.rs"]
mod carts;
#[path = "food_delivery/catalogue.rs"]
mod catalogue;
#[path = "food_delivery/client.rs"]
mod client;
#[path = "food_delivery/couriers.rs"]
mod couriers;
#[path = "food_delivery/customers.rs"]
mod customers;
#[path = "food_delivery/database.rs"]
mod database;
#[path = "food_delivery/deadline.rs"]
mod deadline;
#[path = "food_delivery/funnels.rs"]
mod funnels;
#[path = "food_delivery/journeys.rs"]
mod journeys;
#[path = "food_delivery/ledger.rs"]
mod ledger;
#[path = "food_delivery/orders.rs"]
mod orders;
#[path = "food_delivery/payments.rs"]
mod payments;
#[path = "food_delivery/platform.rs"]
mod platform;
#[path = "food_delivery/problems.rs"]
mod problems;
#[path = "food_delivery/provider.rs"]
mod provider;
#[path = "food_delivery/strangers.rs"]
mod strangers;
#[path = "food_delivery/summary.rs"]
mod summary;
#[path = "food_delivery/tallies.rs"]
mod tallies;
#[path = "food_delivery/tracking.rs"]
mod tracking;
#[path = "food_delivery/traffic.rs"]
mod traffic;

use std::{
    error::Error,
    fs::File,
    io::{ErrorKind, Write, stdout},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use orderscope::{
    Telemetry,
    catalog::http::{REQUEST_DURATION, TIME_TO_FIRST_BYTE},
    events::{PaymentFailed, PaymentSucceeded, Transaction},
};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    arguments::Arguments,
    backend::Backend,
    client::Client,
    database::Database,
    deadline::Deadline,
    payments::Payments,
    platform::Platform,
    provider::PaymentProvider,
    summary::{Summaries, Summary},
    traffic::Traffic,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("food_delivery: some requests or records are unaccounted for");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("food_delivery: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the platform to its end; true if every request and every record is accounted for.
async fn run(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    // All that can be wrong with the command line is told before the run, not after it.
    let listener = listen(&arguments.listen).await?;
    let address = listener.local_addr()?;
    let summary_file = arguments.summary.as_deref().map(create).transpose()?;

    let backend = Backend::chosen();
    let [basket, checkout] = funnels::declared();
    let telemetry = audience::declare(backend.take_from(Telemetry::builder("food-delivery")))
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
        .log_format(arguments.log_format.into())
        .install()?;
    orders::describe_metrics();
    let backend_of_payments = Backend::chosen();
    let payments = Payments::open(&backend_of_payments).await?;

    let closing = Deadline::new();
    let provider = PaymentProvider::new(payments.address, &telemetry)?;
    let platform = Platform::new(Database::open().await?, provider, closing.clone());
    let errands = platform.errands.clone();
    let kitchen = tokio::spawn(tracking::kitchen(platform.clone()));
    let app = platform::router(platform, &telemetry);
    let shutdown = closing.clone();
    let server = tokio::spawn(
        axum::serve(listener, app)
            .with_graceful_shutdown(async move { shutdown.passed().await })
            .into_future(),
    );
    announce(&arguments, address, payments.telemetry.metrics_address())?;

    let leaving = Deadline::new();
    let traffic = Traffic {
        client: Client::new(reachable(address)),
        rate: arguments.rate,
        seed: arguments.seed,
        leaving: leaving.clone(),
    };
    let visitors = tokio::spawn(traffic.run());
    tokio::select! {
        () = end_of(arguments.length) => {}
        result = interrupted() => result?,
    }

    // Visitors first, then the server, then telemetry: each outlives what it serves.
    leaving.pass();
    visitors.await?;
    closing.pass();
    kitchen.await?;
    match timeout(SERVER_GRACE, server).await {
        Ok(served) => served??,
        Err(_) => eprintln!("food_delivery: some connections did not close in {SERVER_GRACE:?}"),
    }
    errands.close();
    let _ = timeout(SERVER_GRACE, errands.wait()).await;
    let telemetry_of_payments = payments.telemetry.clone();
    payments.close(SERVER_GRACE).await?;

    let summaries = Summaries {
        platform: ended(&telemetry, &backend).await,
        payments: ended(&telemetry_of_payments, &backend_of_payments).await,
    };
    // The file first: it must not depend on whether anybody still reads the output.
    if let Some(mut file) = summary_file {
        serde_json::to_writer_pretty(&mut file, &summaries)?;
        writeln!(file)?;
    }
    writeln!(arguments.to_people(), "\n{summaries}")?;
    Ok(summaries.are_balanced())
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

/// A database in memory answers faster than the usual edges tell apart.
fn finer(edges: &[f64]) -> impl Iterator<Item = f64> {
    [0.000_5, 0.001, 0.002_5]
        .into_iter()
        .chain(edges.iter().copied())
}

async fn listen(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => {
                format!("{address} is already in use; take any free port with --listen 127.0.0.1:0")
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
}

fn create(path: &Path) -> Result<Box<dyn Write>, String> {
    if path == Path::new("-") {
        return Ok(Box::new(stdout()));
    }
    File::create(path)
        .map(|file| Box::new(file) as _)
        .map_err(|error| format!("cannot write the summary to {}: {error}", path.display()))
}

fn announce(
    arguments: &Arguments,
    address: SocketAddr,
    metrics_of_payments: Option<SocketAddr>,
) -> std::io::Result<()> {
    let url = format!("http://{}", reachable(address));
    let length = match arguments.length {
        Some(length) => format!("for {}", humantime::format_duration(length)),
        None => "until Ctrl-C".to_owned(),
    };
    let Arguments { rate, seed, .. } = arguments;
    let payments = metrics_of_payments
        .map(|address| format!("\n  payments  curl http://{address}/metrics    the second service"))
        .unwrap_or_default();
    writeln!(
        arguments.to_people(),
        "Food delivery at {url}, {length}: {rate} requests a second of its own, seed {seed}

  metrics   curl {url}/metrics{payments}
  health    curl {url}/health/ready
  browse    curl {url}/restaurants
            curl {url}/restaurants/3/dishes
  search    curl {url}/search?q=pizza
  track     curl -N {url}/orders/1/track    while the first order is on its way

Now and then it fails on purpose: a panic, a timeout, a declined payment, a client that leaves, a
payment that is captured twice.
"
    )
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

async fn end_of(length: Option<Duration>) {
    match length {
        Some(length) => tokio::time::sleep(length).await,
        None => std::future::pending().await,
    }
}

/// Waits for Ctrl-C, or for SIGTERM where there is one.
async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// How long open connections may take to end once the server is told to stop.
const SERVER_GRACE: Duration = Duration::from_secs(5);

/// How long telemetry may take to hand over what it still holds.
const TELEMETRY_GRACE: Duration = Duration::from_secs(5);
