//! What a query pays within a request, as services run them: `cargo bench --bench query`.
//!
//! SQLite in memory, on one connection of each pool; every variant runs in turn in short rounds, so
//! that whatever else the machine does hits them alike. The figure is the median of the differences
//! to the bare pool, or the bare connection, within each round. SQLite runs a query on a thread of its
//! own, whose time is in all of them alike; what is added is on the caller's. With and without a
//! destination each in a process of its own, where its telemetry is the installed one.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program")]

mod figures;

use axum::body::Body;
use figures::{Counting, allocations_made, median};
use http::{Request, Response};
use orderscope::{
    Telemetry, database,
    export::{Destination, InMemory},
};
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};
use std::{convert::Infallible, env, process::Command, time::Duration};
use tokio::{runtime, time::Instant};
use tower::{Layer as _, ServiceExt as _, service_fn};

const METRICS: &str = "metrics";
const NAMES: [&str; 2] = [METRICS, "metrics-and-spans"];
const ROUNDS: usize = 400;
const QUERIES: u32 = 50;
const SQL: &str = "SELECT dish FROM orders WHERE id = ?";

#[global_allocator]
static ALLOCATOR: Counting = Counting { tells_held: false };

/// Nanoseconds and allocations of a query.
async fn measured<F: Future>(mut query: impl FnMut() -> F) -> (f64, f64) {
    let allocations = allocations_made();
    let began = Instant::now();
    for _ in 0..QUERIES {
        query().await;
    }
    let took = began.elapsed().as_nanos() as f64;
    let allocated = (allocations_made() - allocations) as f64;
    (took / f64::from(QUERIES), allocated / f64::from(QUERIES))
}

async fn pool() -> SqlitePool {
    let options = SqlitePoolOptions::new().max_connections(1);
    let pool = options
        .connect("sqlite::memory:")
        .await
        .expect("SQLite in memory");
    let schema = "CREATE TABLE orders (id INTEGER PRIMARY KEY, dish TEXT NOT NULL);
                  INSERT INTO orders VALUES (1, 'soup')";
    sqlx::raw_sql(schema)
        .execute(&pool)
        .await
        .expect("a schema");
    pool
}

macro_rules! ask {
    ($executor:expr) => {
        sqlx::query(SQL)
            .bind(1)
            .fetch_optional($executor)
            .await
            .expect("a row")
    };
}

async fn run(name: &str, telemetry: &Telemetry) {
    let bare = pool().await;
    let watched = telemetry.database("orders-db", pool().await);
    let (mut of_pool, mut of_connection, mut of_time) = (Vec::new(), Vec::new(), Vec::new());
    let mut allocated = [0.0; 5];
    for round in 0..ROUNDS {
        settle(telemetry).await;
        let one = measured(async || ask!(&bare)).await;
        settle(telemetry).await;
        let two = measured(async || ask!(&watched)).await;
        settle(telemetry).await;
        let mut mine = bare.acquire().await.expect("a connection");
        let mut ours = watched.acquire().await.expect("a connection");
        let (mut three, mut four) = ((0.0, 0.0), (0.0, 0.0));
        for _ in 0..QUERIES {
            let began = (Instant::now(), allocations_made());
            ask!(&mut *mine);
            let middle = (Instant::now(), allocations_made());
            ask!(&mut ours);
            let ended = (Instant::now(), allocations_made());
            three.0 += (middle.0 - began.0).as_nanos() as f64 / f64::from(QUERIES);
            four.0 += (ended.0 - middle.0).as_nanos() as f64 / f64::from(QUERIES);
            three.1 += (middle.1 - began.1) as f64 / f64::from(QUERIES);
            four.1 += (ended.1 - middle.1) as f64 / f64::from(QUERIES);
        }
        settle(telemetry).await;
        let five =
            measured(async || database::time("SELECT orders", async { Ok::<_, ()>(()) }).await)
                .await;
        if round >= ROUNDS / 10 {
            of_pool.push(two.0 - one.0);
            of_connection.push(four.0 - three.0);
            of_time.push(five.0);
            allocated = [one.1, two.1, three.1, four.1, five.1];
        }
    }
    let ours = [("db.query.summary", "SELECT orders")];
    let counted = telemetry
        .snapshot()
        .histogram("db.client.operation.duration", &ours);
    let asked = 3 * ROUNDS as u64 * u64::from(QUERIES);
    assert_eq!(counted.count(), asked, "every operation was counted");
    let [one, two, three, four, five] = allocated;
    println!(
        "{name}: pool {:+.0} ns ({two:.1} allocations for {one:.1}), connection {:+.0} ns \
         ({four:.1} for {three:.1}), time() {:.0} ns ({five:.1})",
        median(of_pool),
        median(of_connection),
        median(of_time),
    );
}

/// Before each variant: what the one before has put off is done by then.
async fn settle(telemetry: &Telemetry) {
    assert!(telemetry.flush(Duration::from_secs(5)).await, "flushed");
}

fn main() {
    let Some(name) = env::args().find(|argument| NAMES.contains(&argument.as_str())) else {
        let program = env::current_exe().expect("a path to itself");
        for name in NAMES {
            let status = Command::new(&program).arg(name).status();
            assert!(status.is_ok_and(|status| status.success()), "{name} failed");
        }
        return;
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let builder = Telemetry::builder("orders");
    let builder = match name.as_str() {
        METRICS => builder,
        _ => builder.destination(Destination::in_memory(
            "memory",
            &InMemory::with_bound(1 << 16),
        )),
    };
    let telemetry = builder.install().expect("a telemetry");
    let within = service_fn(async |_: Request<Body>| {
        run(&name, &telemetry).await;
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let request = telemetry.http_layer().layer(within);
    let answered = runtime.block_on(request.oneshot(Request::new(Body::empty())));
    drop(answered.expect("an answer"));
}
