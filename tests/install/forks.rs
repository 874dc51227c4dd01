//! F26: children of a process that records on many threads. Whatever a child asks of its parent's
//! telemetry, it waits for no lock and sends nothing.

use std::any::Any;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::os::fd::AsFd;
use std::panic;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use metrics::{counter, describe_counter, gauge, histogram};
use opentelemetry::trace::{Span as _, Tracer as _};
use opentelemetry::{KeyValue, global};
use orderscope::database;
use orderscope::export::{LedgerRow, Reason};
use orderscope::logs::LogFile;
use orderscope::{Telemetry, capture_error, track_event};
use tower::{Layer, ServiceExt, service_fn};

use super::collector::{Collector, OF_A_CHILD};
use super::{SOON, alone};

const CHILDREN: usize = 20;
const RECORDERS: usize = 4;
/// The recorders rest while so many wait to be sent.
const MOST_QUEUED: u64 = 1_000;
/// As a child exits that did all it was to do.
const WELL: i32 = 0;

/// Runs `child` in a forked child, and gives how that ended: its code, or the signal that ended it,
/// below 0. One that hangs is killed.
#[expect(unsafe_code, reason = "nothing safe forks")]
fn in_a_child(child: impl FnOnce()) -> i32 {
    // SAFETY: the child of a program of many threads may do only what waits for none of the others.
    // That ours does not wait is what is tested; a failure is a child that hangs, and is killed.
    match unsafe { libc::fork() } {
        0 => {
            let did = panic::catch_unwind(panic::AssertUnwindSafe(child));
            std::process::exit(match did {
                Ok(()) => WELL,
                Err(panicked) => told(&*panicked),
            });
        }
        -1 => panic!("no child to be had"),
        child => waited_for(child),
    }
}

/// Says why a child failed.
fn told(panicked: &(dyn Any + Send)) -> i32 {
    let said = panicked.downcast_ref::<String>().cloned();
    let said = said.or_else(|| panicked.downcast_ref::<&str>().map(|said| said.to_string()));
    say(&format!("F26: in the child: {}", said.unwrap_or_default()));
    1
}

/// Past the lock on the standard error stream.
fn say(said: &str) {
    let stream = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
    writeln!(File::from(stream), "{said}").unwrap();
}

#[expect(unsafe_code, reason = "a child is waited for by its parent alone")]
fn waited_for(child: libc::pid_t) -> i32 {
    let began = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: `child` is a child of this process that was not waited for, `status` is a place
        // of its own.
        let ended = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
        match ended {
            0 if began.elapsed() < SOON => thread::sleep(Duration::from_millis(2)),
            0 => {
                // SAFETY: as above.
                unsafe {
                    libc::kill(child, libc::SIGKILL);
                    libc::waitpid(child, &raw mut status, 0);
                }
                panic!("F26: a child hangs");
            }
            _ if libc::WIFEXITED(status) => return libc::WEXITSTATUS(status),
            _ => return -libc::WTERMSIG(status),
        }
    }
}

/// What is ready when it is first asked: in a child nobody would wake who waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("F26: a child waits"),
    }
}

/// A process that records on many threads, through every door.
struct Parent {
    telemetry: Telemetry,
    collector: Collector,
    directory: std::path::PathBuf,
    issued: Arc<AtomicU64>,
    stops: Arc<AtomicBool>,
    recorders: Vec<JoinHandle<()>>,
}

impl Parent {
    fn start(name: &str) -> Self {
        // The standard hook prints, and so waits for whoever else does. Panics are recorded all the
        // time; what fails of the test is said.
        let parent = std::process::id();
        panic::set_hook(Box::new(move |panicked| {
            let fails = panicked.to_string().contains("F26");
            if fails && std::process::id() == parent {
                say(&panicked.to_string());
            }
        }));
        let directory = format!("orderscope-forks-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        let collector = Collector::start();
        let builder = collector.builder().metrics_listener(super::loopback());
        let telemetry = builder.log_file(LogFile::never(&directory, "orders"));
        let telemetry = telemetry.install().unwrap();
        let issued = Arc::<AtomicU64>::default();
        let stops = Arc::<AtomicBool>::default();
        let recorders = (0..RECORDERS).map(|thread| {
            let (telemetry, issued) = (telemetry.clone(), Arc::clone(&issued));
            let stops = Arc::clone(&stops);
            thread::spawn(move || {
                while !stops.load(Ordering::SeqCst) {
                    let n = issued.fetch_add(1, Ordering::SeqCst);
                    track_event!("issued", n);
                    record_through_every_door(&telemetry, &format!("{thread}-{}", n % 100));
                    // Locks are what is wanted of them, not a load that the machine cannot bear.
                    for _ in 0..20 {
                        let _ = telemetry.ledger();
                    }
                    thread::sleep(Duration::from_micros(500));
                    let queued = || telemetry.ledger().iter().map(LedgerRow::queued).sum();
                    while !stops.load(Ordering::SeqCst) && MOST_QUEUED < queued() {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            })
        });
        Self {
            recorders: recorders.collect(),
            telemetry,
            collector,
            directory,
            issued,
            stops,
        }
    }

    /// After `children` the parent's own records have come, each once, and none but those.
    fn ends(self) {
        self.stops.store(true, Ordering::SeqCst);
        for recorder in self.recorders {
            recorder.join().unwrap();
        }
        let report = self.telemetry.shutdown_blocking(SOON);
        assert!(report.is_complete(), "F26: of the parent's, {report}");
        let rows = report.ledger();
        assert!(
            rows.iter().all(|row| row.difference() == 0),
            "F26: {report}"
        );
        let by_fork = |row: &LedgerRow| {
            row.dropped()
                .find(|(reason, _)| *reason == Reason::Fork)
                .unwrap()
                .1
        };
        assert!(rows.iter().all(|row| by_fork(row) == 0), "F26: {report}");
        let expected = (0..self.issued.load(Ordering::SeqCst)).map(|n| (n as i64, 1));
        let expected: Vec<_> = expected.collect();
        let came: Vec<_> = self.collector.numbers().into_iter().collect();
        assert!(
            came == expected,
            "F26: {} of {}, or twice",
            came.len(),
            expected.len()
        );
        assert!(!self.collector.has_a_childs(), "F26: a child was heard");
        let written = std::fs::read_to_string(self.directory.join("orders.log")).unwrap();
        assert!(
            !written.contains(OF_A_CHILD),
            "F26: a child wrote to the log file"
        );
        std::fs::remove_dir_all(self.directory).unwrap();
    }
}

/// How many log records and spans [`record_through_every_door`] makes.
const LOGS: u64 = 4;
const SPANS: u64 = 4;

/// `said` is part of all of it, so that there are new series, new events, new routes each time.
fn record_through_every_door(telemetry: &Telemetry, said: &str) {
    track_event!("by_every_door", said = said.to_owned());
    tracing::error!("{said}");
    capture_error(&std::io::Error::other(said.to_owned()));
    let panicked = panic::catch_unwind(|| panic::panic_any(said.to_owned()));
    assert!(panicked.is_err());
    let span = tracing::info_span!("spanned", said, later = tracing::field::Empty);
    span.in_scope(|| span.record("later", said));
    let mut span = global::tracer("a-library").start(said.to_owned());
    span.set_attribute(KeyValue::new("said", said.to_owned()));
    span.end();

    let name: &'static str = Box::leak(format!("orders.{said}").into_boxed_str());
    describe_counter!(name, "Orders.");
    counter!(name, "said" => said.to_owned()).increment(1);
    counter!("orders.absolute").absolute(7);
    gauge!("orders.waiting", "said" => said.to_owned()).set(1.0);
    histogram!("orders.wait", "said" => said.to_owned()).record(1.0);
    let meter = global::meter("a-library");
    let attributes = [KeyValue::new("said", said.to_owned())];
    meter.u64_counter("by.the.api").build().add(1, &attributes);
    meter
        .f64_histogram(name)
        .with_unit(format!("{{{said}}}"))
        .build()
        .record(1.0, &attributes);
    let observed = meter.u64_observable_gauge(format!("observed.{said}"));
    let _observed = observed
        .with_callback(|gauge| gauge.observe(1, &[]))
        .build();

    let route: &'static str = Box::leak(format!("/{said}").into_boxed_str());
    let client = telemetry
        .client_layer()
        .layer(service_fn(async |_: Request<Empty<Bytes>>| {
            Ok::<_, std::io::Error>(Response::new(Body::empty()))
        }));
    let handler = async move || {
        let call = Request::get("http://couriers:3000/").body(Empty::new());
        client.oneshot(call.unwrap()).await.unwrap();
        "soup"
    };
    let app: Router = Router::new().route(route, get(handler));
    let app = app.layer(telemetry.http_layer());
    let asked = Request::get(route).body(Body::empty()).unwrap();
    let answer = at_once(app.oneshot(asked)).unwrap();
    assert!(answer.status().is_success());
    drop(at_once(answer.into_body().collect()).unwrap());
}

/// All that a child may do with its parent's telemetry; `before` is what was recorded in it before.
fn use_all(telemetry: Telemetry, before: u64) {
    let began = Instant::now();
    for n in 1..=3 {
        record_through_every_door(&telemetry, OF_A_CHILD);
        let counted: Vec<_> = telemetry.ledger();
        for row in &counted {
            assert_eq!(row.difference(), 0, "{row}");
            let rounds = before + n;
            let expected = match (row.destination(), row.signal()) {
                ("log_file", _) => rounds,
                (_, "logs") => rounds * LOGS,
                (_, "traces") => rounds * SPANS,
                _ => 0,
            };
            let by_fork = row.dropped().find(|(reason, _)| *reason == Reason::Fork);
            assert_eq!(by_fork, Some((Reason::Fork, expected)), "{row}");
            assert_eq!(row.accepted(), expected, "{row}");
        }
        assert_eq!(counted.len(), 4);
    }
    let read = async { Ok::<_, ()>(()) };
    assert_eq!(at_once(database::time("SELECT orders", read)), Ok(()));
    assert!(telemetry.snapshot().metrics().is_empty());
    let page: Router = Router::new().route("/metrics", telemetry.metrics_route());
    let asked = Request::get("/metrics").body(Body::empty()).unwrap();
    let answer = at_once(page.oneshot(asked)).unwrap().into_body();
    let answer = at_once(answer.collect()).unwrap().to_bytes();
    assert_eq!(&answer[..], b"# EOF\n");
    assert!(!telemetry.flush_blocking(SOON));
    assert!(!at_once(telemetry.flush(SOON)));
    assert!(!telemetry.shutdown_blocking(SOON).is_complete());
    assert!(!at_once(telemetry.shutdown(SOON)).is_complete());
    assert!(Telemetry::builder("second").install().is_err());
    record_through_every_door(&telemetry, OF_A_CHILD);
    drop(telemetry);
    // Threads of a child find their way, and leave.
    let thread = thread::spawn(|| counter!("orders.of.a.thread").increment(1));
    thread.join().unwrap();
    assert!(began.elapsed() < SOON);
}

#[test]
fn a_child_of_a_busy_process_waits_for_nothing_and_sends_nothing() {
    alone(&[], || {
        let parent = Parent::start("busy");
        for child in 0..CHILDREN {
            thread::sleep(Duration::from_millis(7));
            let telemetry = parent.telemetry.clone();
            let ended = in_a_child(move || use_all(telemetry, 0));
            assert_eq!(ended, WELL, "F26: child {child} of {CHILDREN}");
        }
        parent.ends();
    });
}

#[test]
fn a_built_telemetry_that_a_child_drops_goes_on_in_its_parent() {
    alone(&[], || {
        let collector = Collector::start();
        let telemetry = collector.builder().without_subscriber().build().unwrap();
        let recorder = telemetry.recorder();
        metrics::with_local_recorder(&recorder, || counter!("orders").increment(1));
        assert!(telemetry.flush_blocking(SOON), "F26: before any child");
        // The only handle, as the child has it.
        let mut handle = Some(telemetry);
        let ended = in_a_child(|| drop(handle.take()));
        assert_eq!(ended, WELL, "F26");
        let telemetry = handle.unwrap();
        for _ in 0..3 {
            assert!(
                telemetry.flush_blocking(SOON),
                "F26: the child took the connection off"
            );
        }
        let report = telemetry.shutdown_blocking(SOON);
        assert!(report.is_complete(), "F26: {report}");
    });
}

#[test]
fn a_child_of_a_child_waits_for_nothing_either() {
    alone(&[], || {
        let parent = Parent::start("generations");
        let telemetry = parent.telemetry.clone();
        let ended = in_a_child(move || {
            use_all(telemetry.clone(), 0);
            // Three rounds, and the one after the end.
            let ended = in_a_child(move || use_all(telemetry, 4));
            assert_eq!(ended, WELL);
        });
        assert_eq!(ended, WELL, "F26: of a child or its child");
        parent.ends();
    });
}

#[test]
fn a_telemetry_that_is_made_in_a_child_is_the_child_s_and_works() {
    alone(&[], || {
        let parent = Parent::start("own");
        let of_the_child = Collector::start();
        let theirs = of_the_child.clone();
        let ended = in_a_child(move || {
            let telemetry = theirs.builder().metrics_listener(super::loopback());
            let telemetry = telemetry.without_subscriber().build().unwrap();
            let recorder = telemetry.recorder();
            metrics::with_local_recorder(&recorder, || counter!("orders").increment(1));
            assert_eq!(telemetry.snapshot().counter("orders", &[]), 1);
            let layer = telemetry.tracing_layer();
            use tracing_subscriber::layer::SubscriberExt;
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(n = 1, "of its own");
            });
            assert!(telemetry.flush_blocking(SOON));
            let address = telemetry.metrics_address().unwrap();
            assert!(super::scrape(address).contains("\norders_total 1\n"));
            // A child of it is a child again.
            let handle = telemetry.clone();
            let ended = in_a_child(move || {
                assert!(!handle.flush_blocking(SOON));
                assert!(!handle.shutdown_blocking(SOON).is_complete());
            });
            assert_eq!(ended, WELL);
            let report = telemetry.shutdown_blocking(SOON);
            assert!(report.is_complete(), "{report}");
        });
        assert_eq!(ended, WELL, "F26: a child with a telemetry of its own");
        let came: Vec<_> = of_the_child.numbers().into_iter().collect();
        assert_eq!(came, [(1, 1)], "F26: of the child's own");
        parent.ends();
    });
}
