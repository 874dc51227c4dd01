//! A small food-delivery platform with its own traffic, failures included, watched by `orderscope`.
//!
//! ```sh
//! cargo run --example food_delivery                          # until Ctrl-C
//! cargo run --example food_delivery -- --for 30s --summary summary.json
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run --example food_delivery
//! cargo run --example food_delivery -- --replicas 3 --redis redis://localhost:6379
//! ```
//!
//! Customers browse, fill carts, order, pay and follow their couriers over real sockets; scanners
//! probe, clients vanish half-way, one coupon panics and one bank never answers. Payments are the
//! business of a second service, in the same process but behind HTTP, so that traces go over both.
//! While it runs, `/metrics` shows it, and a collector gets traces, logs, errors, events and metrics
//! if the environment names one; at the end, a summary says where every request and every record
//! went.
//!
//! With `--redis`, funnels, sessions, active users and features are kept there. With `--replicas`, so
//! many processes serve, and a customer's next request goes to the next of them, yet each attempt, each
//! session and each user is counted once: the summary has what they come to together, and under
//! `replicas` what each says of itself.

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
#[path = "food_delivery/replicas.rs"]
mod replicas;
#[path = "food_delivery/requests.rs"]
mod requests;
#[path = "food_delivery/service.rs"]
mod service;
#[path = "food_delivery/statements.rs"]
mod statements;
#[path = "food_delivery/strangers.rs"]
mod strangers;
#[path = "food_delivery/summary.rs"]
mod summary;
#[path = "food_delivery/tallies.rs"]
mod tallies;
#[path = "food_delivery/together.rs"]
mod together;
#[path = "food_delivery/tracking.rs"]
mod tracking;
#[path = "food_delivery/traffic.rs"]
mod traffic;
#[path = "food_delivery/transactions.rs"]
mod transactions;

use std::{
    error::Error,
    fmt::Display,
    fs::File,
    io::{ErrorKind, Write, stdout},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::{net::TcpListener, time::sleep};

use crate::{
    arguments::Arguments,
    client::Client,
    deadline::Deadline,
    replicas::{Replicas, parent_gone},
    service::Service,
    traffic::Traffic,
};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::of_process();
    let ended = match arguments.replicas {
        1 => serve(arguments).await,
        _ => oversee(arguments).await,
    };
    match ended {
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
async fn serve(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    // All that can be wrong with the command line is told before the run, not after it.
    let listener = listen(&arguments.listen).await?;
    let summary_file = arguments.summary.as_deref().map(create).transpose()?;

    let service = Service::open(&arguments, listener).await?;
    let addresses = Arc::from([service.address]);
    if arguments.replica.is_some() {
        // For whoever started it.
        writeln!(stdout(), "{}", service.address)?;
    }
    announce(&arguments, &addresses, service.metrics_of_payments())?;
    receive_visitors(&arguments, addresses).await?;
    let summaries = service.close().await?;
    sum_up(&arguments, summary_file, &summaries)?;
    Ok(summaries.are_balanced())
}

/// Has replicas run the platform; true if each of them accounts for all that came to it.
async fn oversee(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let summary_file = arguments.summary.as_deref().map(create).transpose()?;

    let replicas = tokio::select! {
        started = Replicas::start(&arguments) => started?,
        result = interrupted() => return Ok(result.map(|()| true)?),
    };
    announce(&arguments, &replicas.addresses(), None)?;
    receive_visitors(&arguments, replicas.addresses()).await?;
    let together = replicas.end().await?;
    sum_up(&arguments, summary_file, &together)?;
    Ok(together.are_balanced())
}

/// Sends visitors until the run is over; when this returns, they have left.
async fn receive_visitors(
    arguments: &Arguments,
    addresses: Arc<[SocketAddr]>,
) -> Result<(), Box<dyn Error>> {
    let leaving = Deadline::new();
    let traffic = Traffic {
        client: Client::new(addresses),
        rate: arguments.rate,
        seed: arguments.seed,
        leaving: leaving.clone(),
    };
    let visitors = tokio::spawn(traffic.run());
    let gone = parent_gone(arguments);
    tokio::select! {
        () = end_of(arguments.length) => {}
        () = gone.passed() => {}
        result = interrupted() => result?,
    }
    leaving.pass();
    visitors.await?;

    // A replica need not wait: who started it has.
    if arguments.redis.is_some() && arguments.replica.is_none() {
        // Whether anybody reads it or not.
        let _ = writeln!(
            arguments.to_people(),
            "\nWaiting {SETTLING:?} until what is shared is settled; Ctrl-C cuts it short"
        );
        tokio::select! {
            () = sleep(SETTLING) => {}
            result = interrupted() => result?,
        }
    }
    Ok(())
}

/// Writes the summary for programs and for people.
fn sum_up(
    arguments: &Arguments,
    file: Option<Box<dyn Write>>,
    summary: &(impl Display + Serialize),
) -> Result<(), Box<dyn Error>> {
    // The file first: it must not depend on whether anybody still reads the output.
    if let Some(mut file) = file {
        serde_json::to_writer_pretty(&mut file, summary)?;
        writeln!(file)?;
    }
    writeln!(arguments.to_people(), "\n{summary}")?;
    Ok(())
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
    addresses: &[SocketAddr],
    metrics_of_payments: Option<SocketAddr>,
) -> std::io::Result<()> {
    let urls: Vec<_> = addresses
        .iter()
        .map(|address| format!("http://{address}"))
        .collect();
    let (all, url) = (urls.join(", "), &urls[0]);
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
        "Food delivery at {all}, {length}: {rate} requests a second of its own, seed {seed}

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

/// How long it takes until replicas have told what happened last and it is counted by all: they wait
/// for each other for 2 s and an event's lateness, and ask for the number of users every 10 s.
const SETTLING: Duration = Duration::from_secs(11);
