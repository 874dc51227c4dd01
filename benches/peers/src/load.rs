//! A service under load over sockets, with `--load`.
//!
//! 64 connections on the loopback that stay open and ask again as soon as they are answered, from a thread of
//! their own; the service has one thread too, and so one core. The bare router and the others take turns of
//! half a second; a ratio is the median, over the rounds, of the figure to that of the bare router in the same
//! round. Two handlers: one that does nothing, which no service has, and one that works for some 50 µs.
//! Subscribers are the process's: ours and the assembly each have one of their own, and each its own bare
//! router. What a variant puts off is done while the next one is measured, as a service does it.

use crate::{
    assembly::{self, End},
    ours,
    rounds::{Delivered, median},
    sinks::Sink,
};
use axum::{Router, extract::Path, routing::get};
use orderscope::{Telemetry, telemetry::Sampling};
use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::{self, Runtime},
    task::JoinSet,
    time::Instant,
};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 20;
const QUICK_ROUNDS: usize = 2;
const A_TURN: Duration = Duration::from_millis(500);
const WORK: Duration = Duration::from_micros(50);
const REQUESTS: [(&str, &[u8]); 2] = [
    (
        "a handler that does nothing",
        b"GET /orders/17 HTTP/1.1\r\nhost: orders\r\n\r\n",
    ),
    (
        "a handler that works for 50 µs",
        b"GET /menus/17 HTTP/1.1\r\nhost: orders\r\n\r\n",
    ),
];
/// Whose subscriber it is.
pub(crate) const OURS: &str = "load-ours";
pub(crate) const ASSEMBLY: &str = "load-assembly";
/// How each response ends.
const ANSWER: &[u8] = b"order 17";

async fn order(Path(id): Path<u32>) -> String {
    format!("order {id}")
}

async fn logged_order(Path(id): Path<u32>) -> String {
    tracing::info!(order_id = id, restaurant = "Roma", "order read");
    format!("order {id}")
}

/// Of the CPU, whoever else runs: no clock tells when it is enough.
fn work(turns: u64) {
    let mut mixed = 1_u64;
    for turn in 0..turns {
        mixed = black_box(mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) ^ turn);
    }
}

/// How many turns last that long on an idle core: the best of several.
fn turns_of(duration: Duration) -> u64 {
    const TURNS: u64 = 100_000;
    let took = (0..20).map(|_| {
        let began = Instant::now();
        work(TURNS);
        began.elapsed().as_nanos() as u64
    });
    TURNS * duration.as_nanos() as u64 / took.min().unwrap_or(1).max(1)
}

fn routes(is_logged: bool, turns: u64) -> Router {
    let working = async move |Path(id): Path<u32>| {
        work(turns);
        if is_logged {
            tracing::info!(order_id = id, restaurant = "Roma", "menu read");
        }
        format!("order {id}")
    };
    let order = if is_logged {
        get(logged_order)
    } else {
        get(order)
    };
    Router::new()
        .route("/orders/{id}", order)
        .route("/menus/{id}", get(working))
}

async fn serve(app: Router) -> SocketAddr {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = bound.unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address.unwrap_or_else(|error| panic!("{error}"))
}

/// Asks on one connection until the time is over: how long each answer took, in nanoseconds.
async fn ask(to: SocketAddr, request: &[u8], until: Instant) -> std::io::Result<Vec<u64>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (mut latencies, mut answer) = (Vec::new(), Vec::with_capacity(1_024));
    while Instant::now() < until {
        let began = Instant::now();
        stream.write_all(request).await?;
        answer.clear();
        while !answer.ends_with(ANSWER) {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        latencies.push(began.elapsed().as_nanos() as u64);
    }
    Ok(latencies)
}

struct Turn {
    requests: u64,
    a_second: f64,
    /// Of their latency, in microseconds.
    p99: f64,
}

fn turn(client: &Runtime, to: SocketAddr, request: &'static [u8]) -> Turn {
    client.block_on(async {
        let began = Instant::now();
        let asking: JoinSet<_> = (0..CONNECTIONS)
            .map(|_| ask(to, request, began + A_TURN))
            .collect();
        let asked = asking.join_all().await;
        let took = began.elapsed();
        let asked = asked.into_iter().flat_map(|answered| {
            answered.unwrap_or_else(|error| panic!("a connection failed: {error}"))
        });
        let mut latencies: Vec<u64> = asked.collect();
        latencies.sort_unstable();
        Turn {
            requests: latencies.len() as u64,
            a_second: latencies.len() as f64 / took.as_secs_f64(),
            p99: latencies[latencies.len() * 99 / 100] as f64 / 1e3,
        }
    })
}

/// Routers and how they are called, and what has reached the other end, after all of it is through.
struct Variants {
    routers: Vec<(&'static str, Router)>,
    delivered: Box<dyn Fn() -> Delivered>,
}

/// All signals, to a destination that soon drops them; and metrics alone.
fn of_ours(turns: u64) -> Variants {
    let silent = Telemetry::builder("orders").build();
    let silent = silent.unwrap_or_else(|error| panic!("{error}"));
    let recording = ours::with_destination(Sampling::ALL);
    let layered =
        |is_logged, telemetry: &Telemetry| routes(is_logged, turns).layer(telemetry.http_layer());
    Variants {
        routers: vec![
            ("orderscope, metrics", layered(false, &silent)),
            ("orderscope, full coverage", layered(false, &recording)),
            ("orderscope, full, one log event", layered(true, &recording)),
        ],
        delivered: Box::new(move || {
            ours::settle(&recording)();
            ours::delivered(&recording)
        }),
    }
}

/// As it is in the other tables; what it sends is encoded, since ours is.
fn of_the_assembly(turns: u64) -> Variants {
    let sink = Sink::default();
    let assembly = assembly::started(&sink, 1.0, End::Encoded);
    let layered = |is_logged| assembly::layered(routes(is_logged, turns));
    Variants {
        routers: vec![
            ("assembly, full coverage", layered(false)),
            ("assembly, full, one log event", layered(true)),
        ],
        delivered: Box::new(move || {
            assembly.flush();
            sink.delivered()
        }),
    }
}

/// The rows of one subscriber, in this process.
pub(crate) fn measure(whose: &str, is_quick: bool) {
    let rounds = if is_quick { QUICK_ROUNDS } else { ROUNDS };
    let turns = turns_of(WORK);
    let Variants { routers, delivered } = match whose {
        OURS => of_ours(turns),
        _ => of_the_assembly(turns),
    };
    let mut one_thread = runtime::Builder::new_multi_thread();
    let server = one_thread.worker_threads(1).enable_all().build();
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let client = runtime::Builder::new_current_thread().enable_all().build();
    let client = client.unwrap_or_else(|error| panic!("{error}"));
    let served: Vec<_> = [("bare router", routes(false, turns))]
        .into_iter()
        .chain(routers)
        .map(|(name, app)| (name, server.block_on(serve(app))))
        .collect();
    let mut asked = Asked::default();
    for (handler, request) in REQUESTS {
        let rounds: Vec<Vec<[f64; 2]>> = (0..=rounds)
            .map(|_| {
                let turns = served.iter().map(|(name, to)| {
                    let turn = turn(&client, *to, request);
                    asked.count(name, turn.requests);
                    [turn.a_second, turn.p99]
                });
                turns.collect()
            })
            .skip(1)
            .collect();
        println!(
            "\n| {handler} | requests/s | × bare | p99, µs | × bare |\n| --- | --: | --: | --: | --: |"
        );
        for (variant, (name, _)) in served.iter().enumerate() {
            let of = |figure: usize| median(rounds.iter().map(|round| round[variant][figure]));
            let ratio = |figure: usize| {
                let ratios = rounds
                    .iter()
                    .map(|round| round[variant][figure] / round[0][figure]);
                median(ratios)
            };
            let ([rate, p99], [of_rate, of_p99]) = ([of(0), of(1)], [ratio(0), ratio(1)]);
            println!("| {name} | {rate:.0} | {of_rate:.3} | {p99:.0} | {of_p99:.3} |");
        }
    }
    let delivered = delivered();
    let share = |delivered: u64, asked: u64| delivered as f64 / asked as f64 * 100.0;
    println!(
        "\nDelivered: {:.1} % of the spans, {:.1} % of the lines.",
        share(delivered.spans, asked.spans),
        share(delivered.logs, asked.logs)
    );
}

/// What there was to deliver.
#[derive(Default)]
struct Asked {
    spans: u64,
    logs: u64,
}

impl Asked {
    fn count(&mut self, variant: &str, requests: u64) {
        if variant.contains("full") {
            self.spans += requests;
        }
        if variant.contains("log event") {
            self.logs += requests;
        }
    }
}
