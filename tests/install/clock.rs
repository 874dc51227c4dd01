//! Wall clocks that are wrong, stand still or jump: a whole service in a process of its own, whose
//! wall clock is ours to set. Its monotonic clock is the system's.

#![expect(
    clippy::disallowed_methods,
    reason = "it is the system's clocks that are tested"
)]

use std::cell::Cell;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::Request;
use axum::{Router, routing::get};
use http_body_util::BodyExt;
use opentelemetry::global;
use opentelemetry::trace::{Span as _, Tracer as _};
use orderscope::export::{
    Destination, InMemory, ReceivedLog, ReceivedPointValue, ReceivedSpan, Signal, Temporality,
};
use orderscope::logs::{Format, LogFile};
use orderscope::{Telemetry, capture_error, track_event};
use tower::ServiceExt;
use tracing::Instrument as _;

use super::{CASE, SOON, alone, block_on, loopback, printed, scrape};

const HOUR: i64 = 60 * 60;
const YEAR: i64 = 8_766 * HOUR;
/// What a handler waits in each of its two halves.
const HALF: Duration = Duration::from_millis(40);
/// What it may take on a machine that is busy with other things.
const LONGEST: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(100);
/// What the receiver asks for at its first refusal.
const ASKED_FOR: Duration = Duration::from_secs(1);

/// For the flush: only a push is under way when the receiver refuses.
const SPANS_WAIT: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "60000");
const LOGS_WAIT: (&str, &str) = ("OTEL_BLRP_SCHEDULE_DELAY", "60000");

/// Where the wall clock of a case is set.
struct Hands(File);

impl Hands {
    fn at(path: &Path) -> Self {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(path);
        Self(file.unwrap())
    }

    /// Those of the process of this case.
    fn mine() -> Self {
        Self::at(Path::new(&env::var_os("WALL_CLOCK").unwrap()))
    }

    fn set(&self, stand_still: bool, seconds: i64) {
        let hands = [i64::from(stand_still), seconds].map(i64::to_ne_bytes);
        self.0.write_all_at(&hands.concat(), 0).unwrap();
    }
}

/// Runs a test's `case` in a process of its own, with a wall clock that is set so; gives what it
/// printed.
fn at(stand_still: bool, seconds: i64, variables: &[(&str, &str)], case: impl FnOnce()) -> String {
    static LIBRARY: LazyLock<String> = LazyLock::new(compiled);
    static CASES: AtomicUsize = AtomicUsize::new(0);
    if env::var_os(CASE).is_some() {
        alone(&[], case);
        unreachable!("its process has ended");
    }
    let number = CASES.fetch_add(1, Ordering::Relaxed);
    let path = temporary(&format!("{number}.wall"));
    Hands::at(&path).set(stand_still, seconds);
    let mut all = vec![
        ("LD_PRELOAD", LIBRARY.as_str()),
        ("WALL_CLOCK", path.to_str().unwrap()),
    ];
    all.extend(variables);
    let printed = printed(&alone(&all, case));
    fs::remove_file(path).unwrap();
    printed
}

/// The library that looks at the hands.
fn compiled() -> String {
    let (made, library) = (temporary("wall_clock.so"), "wall_clock.so");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(library);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/install/wall_clock.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]);
    let status = compiler.arg(&made).arg(source).status();
    assert!(status.expect("a C compiler").success());
    // At once, should another run be using it.
    fs::rename(made, &library).unwrap();
    library.to_str().unwrap().to_owned()
}

fn temporary(name: &str) -> PathBuf {
    let name = format!("{}-{name}", std::process::id());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// An OTLP receiver that refuses the first request, and takes the others.
struct Receiver {
    address: SocketAddr,
    /// When which path was asked for.
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind(loopback()).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut first, mut length) = (String::new(), 0);
                reader.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    // Nothing: a connection that was opened and not used.
                    if reader.read_line(&mut line).unwrap() < 3 {
                        break;
                    }
                    if let Some(given) = line.to_lowercase().strip_prefix("content-length:") {
                        length = given.trim().parse().unwrap();
                    }
                }
                if first.is_empty() {
                    continue;
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                let mut noted = noted.lock().unwrap();
                let status = match noted.is_empty() {
                    true => format!(
                        "503 Service Unavailable\r\nretry-after: {}",
                        ASKED_FOR.as_secs()
                    ),
                    false => "200 OK".to_owned(),
                };
                noted.push((Instant::now(), path));
                drop(noted);
                let head = "content-length: 0\r\nconnection: close\r\n\r\n";
                let answer = format!("HTTP/1.1 {status}\r\n{head}");
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<(Instant, String)> {
        self.asked.lock().unwrap().clone()
    }
}

/// One life of a service, with all doors open; `jump` moves the clock amid what is measured.
fn live(format: Format, jump: impl Fn(usize)) {
    let receiver = Receiver::start();
    let (memory, deltas) = (InMemory::new(), InMemory::new());
    let only_deltas = Destination::in_memory("deltas", &deltas)
        .temporality(Temporality::Delta)
        .only([Signal::Metrics]);
    let mut builder = Telemetry::builder("orders")
        .destination(Destination::in_memory("memory", &memory).temporality(Temporality::Cumulative))
        .destination(only_deltas)
        .destination(Destination::otlp(
            "collector",
            format!("http://{}", receiver.address),
        ))
        .metrics_interval(INTERVAL)
        .metrics_listener(loopback())
        .log_format(format);
    let folder = temporary("log");
    if format == Format::Json {
        builder = builder.log_file(LogFile::hourly(&folder, "orders"));
    }
    let telemetry = builder.install().unwrap();
    let wall = SystemTime::now();

    let app = Router::new()
        .route("/orders/{id}", get(order))
        .layer(telemetry.http_layer())
        .route("/metrics", telemetry.metrics_route());
    block_on(async {
        for number in 0..2 {
            HALFWAY.set(false);
            let request = Request::get("/orders/7").body(Body::empty()).unwrap();
            let answer = app.clone().oneshot(request);
            let halfway = async {
                while !HALFWAY.get() {
                    tokio::task::yield_now().await;
                }
                jump(number);
            };
            let (answer, ()) = tokio::join!(answer, halfway);
            answer.unwrap().into_body().collect().await.unwrap();
        }
    });
    // The refusal has come, and the pause is under way.
    within("F18: nothing was sent", || !receiver.asked().is_empty());
    thread::sleep(ASKED_FOR / 10);
    jump(2);
    thread::sleep(3 * INTERVAL);
    jump(3);
    let began = Instant::now();
    assert!(
        block_on(telemetry.flush(SOON)),
        "F18: a flush was held up: {:#?}",
        telemetry.ledger()
    );
    assert!(began.elapsed() < SOON, "F18: {:?}", began.elapsed());

    let asked = receiver.asked();
    assert!(
        asked[1].0 - asked[0].0 >= ASKED_FOR,
        "F18: a pause was cut short: {asked:?}"
    );
    assert!(
        asked.iter().any(|(_, path)| path == "/v1/traces"),
        "{asked:?}"
    );
    check_spans(&memory.spans(), wall);
    check_logs(&memory.logs(), wall);
    check_metrics(&telemetry, &memory, &deltas);
    check_page(&telemetry, app);
    if format == Format::Json {
        check_file(&folder, wall);
    }
    let report = block_on(telemetry.shutdown(SOON));
    for row in report.ledger() {
        // A push that was refused is made anew at the next interval.
        let is_told = row.signal() == "metrics" || row.acknowledged() == row.accepted();
        assert!(row.difference() == 0 && is_told, "F18: {report}");
    }
}

thread_local! {
    /// Whether the handler is within the spans that a jump is to be amid.
    static HALFWAY: Cell<bool> = const { Cell::new(false) };
}

async fn order() -> String {
    let mut outgoing = global::tracer("redis").start("GET");
    let left_open = global::tracer("redis").start("left open");
    {
        let _cook = tracing::info_span!("cook").entered();
        thread::sleep(HALF);
    }
    let cook = tracing::info_span!("carry");
    async {
        HALFWAY.set(true);
        tokio::time::sleep(HALF).await;
        tracing::warn!("one more order");
        track_event!("order_seen", order_id = 7);
        capture_error(&std::io::Error::other("no pan"));
    }
    .instrument(cook)
    .await;
    metrics::counter!("orders.seen").increment(1);
    thread::sleep(HALF);
    outgoing.add_event("answered", Vec::new());
    outgoing.end();
    drop(left_open);
    "order 7".to_owned()
}

fn within(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What the telemetry makes of a wall clock: no time before 1970, none after 2262.
fn told(wall: SystemTime) -> SystemTime {
    let latest = UNIX_EPOCH + Duration::from_nanos(i64::MAX as u64);
    wall.clamp(UNIX_EPOCH, latest)
}

/// Within a day of the wall clock, which has jumped by hours at most.
#[track_caller]
fn assert_near(at: SystemTime, wall: SystemTime) {
    let (at, wall) = (told(at), told(wall));
    let apart = at
        .duration_since(wall)
        .or_else(|_| wall.duration_since(at))
        .unwrap();
    let day = Duration::from_secs(24 * HOUR as u64);
    assert!(apart < day, "F18: {at:?} is told, and it was {wall:?}");
}

fn check_spans(spans: &[ReceivedSpan], wall: SystemTime) {
    for (name, least) in [
        ("GET /orders/{id}", 3 * HALF),
        ("GET", 3 * HALF),
        ("left open", 3 * HALF),
        ("cook", HALF),
        ("carry", HALF),
    ] {
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 2, "F18: {name}: {spans:#?}");
        for span in found {
            let took = span.ended.duration_since(span.started);
            assert!(
                took.as_ref()
                    .is_ok_and(|took| (least..LONGEST).contains(took)),
                "F18: {name} took {took:?}"
            );
            assert_near(span.started, wall);
            for event in &span.events {
                assert!((span.started..=span.ended).contains(&event.at), "{span:#?}");
            }
        }
    }
}

fn check_logs(logs: &[ReceivedLog], wall: SystemTime) {
    assert_eq!(logs.len(), 6, "F18: {logs:#?}");
    let mut ids = Vec::new();
    for log in logs {
        assert_near(log.at, wall);
        if let Some(id) = log.attribute("orderscope.event.id") {
            ids.push(uuid::Uuid::parse_str(id.as_str().unwrap()).unwrap());
        }
    }
    assert!(ids.len() == 2 && ids[0] != ids[1], "F18: {ids:?}");
    assert!(ids.iter().all(|id| id.get_version_num() == 7), "{ids:?}");
}

fn check_metrics(telemetry: &Telemetry, memory: &InMemory, deltas: &InMemory) {
    for (backend, is_delta) in [(memory, false), (deltas, true)] {
        let metrics = backend.metrics();
        for point in metrics.iter().flat_map(|metric| &metric.points) {
            assert!(point.started <= point.at, "F18: {point:#?}");
        }
        let mut seen = metrics
            .iter()
            .filter(|metric| metric.name == "orders.seen")
            .flat_map(|metric| &metric.points)
            .filter_map(|point| match point.value {
                ReceivedPointValue::Integer(value) => Some(value),
                _ => None,
            });
        let told = match is_delta {
            true => seen.sum::<i64>(),
            false => seen.next_back().unwrap_or_default(),
        };
        assert_eq!(told, 2, "F18: {is_delta}");
    }
    let numbers = telemetry.snapshot();
    for name in [
        "http.server.request.duration",
        "orderscope.http.server.time_to_first_byte",
    ] {
        let durations = numbers.histogram(name, &[("http.route", "/orders/{id}")]);
        assert_eq!(durations.count(), 2, "{name}");
        let (least, most) = ((6 * HALF).as_secs_f64(), (2 * LONGEST).as_secs_f64());
        let sum = durations.sum();
        assert!((least..most).contains(&sum), "F18: {name}: {sum}");
    }
    let uptime = numbers.gauge("process.uptime", &[]);
    assert!((0.0..600.0).contains(&uptime), "F18: {uptime}");
}

fn check_page(telemetry: &Telemetry, app: Router) {
    let page = block_on(async {
        let request = Request::get("/metrics")
            .header("accept", "application/openmetrics-text;version=1.0.0")
            .body(Body::empty());
        let answer = app.oneshot(request.unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.into()).unwrap()
    });
    assert!(page.ends_with("# EOF\n"), "{page}");
    let mut exemplars = 0;
    for (_, exemplar) in page.lines().filter_map(|line| line.split_once(" # {")) {
        let at: f64 = exemplar.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(at >= 0.0 && at.is_finite(), "F18: {exemplar}");
        exemplars += 1;
    }
    assert!(exemplars > 0, "{page}");
    // Before 1970 hyper's server has no date to give, and panics: it is not asked.
    if SystemTime::now() >= UNIX_EPOCH {
        scrape(telemetry.metrics_address().unwrap());
    }
}

fn check_file(folder: &Path, wall: SystemTime) {
    let lines = || {
        let files = fs::read_dir(folder).unwrap();
        let files = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        files.collect::<String>()
    };
    within("F18: a line was not written", || {
        lines().matches("one more order").count() == 2
    });
    for line in lines().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let at = line["timestamp"].as_str().unwrap();
        assert_near(humantime::parse_rfc3339(at).unwrap(), wall);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_wall_clock_that_is_wrong_or_stands_still_changes_no_duration_and_no_delay() {
    for (wall, stand_still, seconds) in [
        ("before 1970", false, -60 * YEAR),
        ("stands still", true, 1_795_000_000),
        // Beyond what 32 bits hold of seconds, 63 and 64 of nanoseconds.
        ("2106", false, 82 * YEAR),
        ("2262", false, 240 * YEAR),
        ("2554", false, 530 * YEAR),
    ] {
        let printed = at(stand_still, seconds, &[SPANS_WAIT, LOGS_WAIT], || {
            let is_frozen = SystemTime::now() == SystemTime::now();
            let years = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() / YEAR as u64);
            assert!(is_frozen || !(1..100).contains(&years), "no clock of ours");
            live(Format::Json, |_| ());
        });
        assert!(!printed.contains("panicked"), "F18: {wall}: {printed}");
    }
}

#[test]
fn a_wall_clock_that_jumps_changes_no_duration_and_no_delay() {
    for first in [HOUR, -HOUR] {
        let first = first.to_string();
        let variables = [("FIRST_JUMP", &*first), SPANS_WAIT, LOGS_WAIT];
        let printed = at(false, 0, &variables, || {
            let hands = Hands::mine();
            let first: i64 = env::var("FIRST_JUMP").unwrap().parse().unwrap();
            // There, back, the other way, back.
            live(Format::Human, |number| {
                let before = SystemTime::now();
                hands.set(false, [first, 0, -first, 0][number]);
                let jumped = match SystemTime::now().duration_since(before) {
                    Ok(on) => on,
                    Err(back) => back.duration(),
                };
                assert!(jumped.as_secs() > HOUR as u64 - 60, "no clock of ours");
            });
        });
        assert!(!printed.contains("panicked"), "F18: {printed}");
        assert!(printed.contains("one more order"), "{printed}");
    }
}

#[test]
fn a_log_file_that_began_at_a_wrong_time_goes_on_in_the_right_one() {
    for seconds in [-60 * YEAR, 82 * YEAR] {
        at(false, seconds, &[], || {
            let folder = temporary("log");
            let telemetry = Telemetry::builder("orders")
                .log_file(LogFile::daily(&folder, "orders"))
                .install()
                .unwrap();
            let said_in = |line: &str| {
                let mut files = fs::read_dir(&folder).unwrap().map(Result::unwrap);
                let found = files.find(|file| {
                    let text = fs::read_to_string(file.path()).unwrap();
                    text.contains(line)
                });
                found.map(|file| file.file_name().into_string().unwrap())
            };
            tracing::info!("at the wrong time");
            within("F18: nothing was written", || {
                said_in("at the wrong time").is_some()
            });
            Hands::mine().set(false, 0);
            tracing::info!("at the right time");
            within("F18: nothing more was written", || {
                said_in("at the right time").is_some()
            });
            let names = ["wrong", "right"].map(|time| said_in(&format!("at the {time} time")));
            let [wrong, right] = names.map(Option::unwrap);
            assert!(wrong != right, "F18: all days are one file: {wrong}");
            let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
            assert_eq!(right, format!("orders.{}.log", &today[..10]), "F18");
            let report = block_on(telemetry.shutdown(SOON));
            assert!(report.is_complete(), "F18: {report}");
            fs::remove_dir_all(folder).unwrap();
        });
    }
}
