//! F23: flush and shutdown from every kind of thread, with every runtime and with none.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::global;
use orderscope::telemetry::{Builder, ShutdownReport};
use orderscope::{Telemetry, track_event};
use tokio::runtime::{self, Runtime};

use super::collector::Collector;
use super::{SOON, alone, least, loopback, scrape};

/// What a deadline may be missed by, when the machine has nothing else to do.
const OVER: Duration = Duration::from_millis(100);
/// The longest that a task beside ours may be held up.
const STALL: Duration = Duration::from_millis(50);

/// An executor that nobody's runtime has anything to do with: it parks the thread.
fn park_on<T>(future: impl Future<Output = T>) -> T {
    struct Parked(thread::Thread);
    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

fn current_thread() -> Runtime {
    // Neither its timer nor its sockets are needed.
    runtime::Builder::new_current_thread().build().unwrap()
}

fn multi_thread() -> Runtime {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.worker_threads(1).build().unwrap()
}

async fn flush_and_shut_down(telemetry: Telemetry) -> (bool, ShutdownReport) {
    track_event!("issued", n = 1);
    let is_flushed = telemetry.flush(SOON).await;
    track_event!("issued", n = 2);
    (is_flushed, telemetry.shutdown(SOON).await)
}

fn flush_and_shut_down_blocking(telemetry: &Telemetry) -> (bool, ShutdownReport) {
    track_event!("issued", n = 1);
    let is_flushed = telemetry.flush_blocking(SOON);
    track_event!("issued", n = 2);
    (is_flushed, telemetry.shutdown_blocking(SOON))
}

fn without_a_panic<T>(call: impl FnOnce() -> T) -> T {
    match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(done) => done,
        Err(_) => panic!("F23: it panicked, as said above"),
    }
}

/// Runs `drive`, which is to issue two events and to end the telemetry, in a process of its own.
fn delivers(drive: impl FnOnce(Telemetry) -> (bool, ShutdownReport)) {
    let collector = Collector::start();
    let telemetry = collector.builder().install().unwrap();
    let (is_flushed, report) = without_a_panic(|| drive(telemetry));
    assert!(is_flushed, "F23: what was recorded was not flushed");
    assert!(report.is_complete(), "F23: {report}");
    let numbers: Vec<_> = collector.numbers().into_iter().collect();
    assert_eq!(numbers, [(1, 1), (2, 1)], "F23: by number of times");
}

#[test]
fn without_a_runtime_flush_and_shutdown_are_awaited_by_a_thread_that_parks() {
    alone(&[], || {
        delivers(|telemetry| park_on(flush_and_shut_down(telemetry)));
    });
}

#[test]
fn without_a_runtime_flush_and_shutdown_block() {
    alone(&[], || {
        delivers(|telemetry| flush_and_shut_down_blocking(&telemetry));
    });
}

fn awaited_on(runtime: &Runtime) {
    delivers(|telemetry| {
        let ended = runtime.spawn(flush_and_shut_down(telemetry));
        runtime.block_on(ended).unwrap()
    });
}

#[test]
fn a_runtime_of_the_current_thread_needs_no_timer_for_flush_and_shutdown() {
    alone(&[], || awaited_on(&current_thread()));
}

#[test]
fn a_runtime_of_one_thread_needs_no_timer_for_flush_and_shutdown() {
    alone(&[], || awaited_on(&multi_thread()));
}

#[test]
fn on_a_runtime_s_thread_the_blocking_forms_block_and_never_panic() {
    alone(&[], || {
        delivers(|telemetry| {
            current_thread().block_on(async {
                // As a task that has had its share of turns, and is to let others go first.
                for _ in 0..1_000 {
                    tokio::task::coop::consume_budget().await;
                }
                flush_and_shut_down_blocking(&telemetry)
            })
        });
    });
}

#[test]
fn from_spawn_blocking_either_form_works() {
    alone(&[], || {
        let collector = Collector::start();
        let telemetry = collector.builder().install().unwrap();
        let (is_flushed, report) = multi_thread().block_on(async move {
            let blocking = telemetry.clone();
            let flush = move || blocking.flush_blocking(SOON);
            let is_flushed = tokio::task::spawn_blocking(flush).await.unwrap();
            let end = move || {
                let handle = runtime::Handle::current();
                handle.block_on(telemetry.shutdown(SOON))
            };
            (is_flushed, tokio::task::spawn_blocking(end).await.unwrap())
        });
        assert!(is_flushed && report.is_complete(), "F23: {report}");
    });
}

#[test]
fn a_runtime_that_is_gone_before_shutdown_is_not_missed() {
    alone(&[], || {
        delivers(|telemetry| {
            let runtime = runtime::Builder::new_multi_thread().enable_all().build();
            let runtime = runtime.unwrap();
            // Begun on it, and given up with it.
            let begun = telemetry.clone();
            runtime.spawn(async move { begun.flush(SOON).await });
            drop(runtime);
            park_on(flush_and_shut_down(telemetry))
        });
    });
}

#[test]
fn in_the_drop_of_a_runtime_that_goes_the_end_is_reached() {
    struct EndsIt(Telemetry, mpsc::Sender<(bool, ShutdownReport)>);
    impl Drop for EndsIt {
        fn drop(&mut self) {
            self.1.send(flush_and_shut_down_blocking(&self.0)).unwrap();
        }
    }
    alone(&[], || {
        delivers(|telemetry| {
            let (tell, told) = mpsc::channel();
            let runtime = multi_thread();
            let ends_it = EndsIt(telemetry, tell);
            runtime.spawn(async move {
                let _ends_it = ends_it;
                std::future::pending::<()>().await;
            });
            runtime.block_on(tokio::task::yield_now());
            drop(runtime);
            told.recv_timeout(SOON).expect("F23: the drop hangs")
        });
    });
}

#[test]
fn in_the_drop_of_what_is_a_thread_s_own_the_end_is_reached() {
    struct EndsIt(Telemetry, mpsc::Sender<(bool, ShutdownReport)>);
    impl Drop for EndsIt {
        fn drop(&mut self) {
            self.1.send(flush_and_shut_down_blocking(&self.0)).unwrap();
        }
    }
    thread_local! {
        static KEPT: RefCell<Option<EndsIt>> = const { RefCell::new(None) };
    }
    alone(&[], || {
        delivers(|telemetry| {
            let (tell, told) = mpsc::channel();
            // As tokio's own is gone by then, which was used after it.
            let thread = thread::spawn(move || {
                KEPT.set(Some(EndsIt(telemetry, tell)));
                current_thread().block_on(tokio::task::yield_now());
            });
            let ended = told.recv_timeout(SOON).expect("F23: the drop hangs");
            thread.join().unwrap();
            ended
        });
    });
}

#[test]
fn an_executor_that_moves_its_tasks_between_threads_awaits_flush_and_shutdown() {
    alone(&[], || {
        delivers(|telemetry| {
            let mut task: Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(flush_and_shut_down(telemetry));
            // Polled once on one thread, then to its end on another.
            let began = thread::spawn(move || {
                let polled = poll_fn(|context| Poll::Ready(task.as_mut().poll(context).is_ready()));
                assert!(!park_on(polled));
                task
            });
            let task = began.join().unwrap();
            thread::spawn(move || park_on(task)).join().unwrap()
        });
    });
}

/// The least that `wait` takes beyond `within`.
fn least_over(within: Duration, mut wait: impl FnMut(Duration)) -> Duration {
    least(OVER, || {
        let began = Instant::now();
        without_a_panic(|| wait(within));
        began.elapsed().saturating_sub(within)
    })
}

#[test]
fn a_collector_that_never_answers_holds_up_nothing_beyond_the_deadline() {
    alone(&[], || {
        let collector = Collector::silent();
        for within in [0, 1, 50, 300].map(Duration::from_millis) {
            let made = || {
                let telemetry = collector.builder().without_subscriber().build().unwrap();
                let recorder = telemetry.recorder();
                metrics::with_local_recorder(&recorder, || {
                    metrics::counter!("orders").increment(1)
                });
                telemetry
            };
            let over = least_over(within, |within| {
                assert!(!made().flush_blocking(within), "F23: flushed to nobody");
            });
            assert!(
                over < OVER,
                "F23: flush_blocking({within:?}) took {over:?} more"
            );
            let over = least_over(within, |within| {
                assert!(!park_on(made().flush(within)), "F23: flushed to nobody");
            });
            assert!(over < OVER, "F23: flush({within:?}) took {over:?} more");
            let over = least_over(within, |within| {
                let report = made().shutdown_blocking(within);
                assert!(!report.is_complete(), "F23: {report}");
            });
            assert!(
                over < OVER,
                "F23: shutdown_blocking({within:?}) took {over:?} more"
            );
            let over = least_over(within, |within| {
                let report = park_on(made().shutdown(within));
                assert!(!report.is_complete(), "F23: {report}");
            });
            assert!(over < OVER, "F23: shutdown({within:?}) took {over:?} more");
        }
    });
}

#[test]
fn all_the_time_in_the_world_is_no_more_than_is_needed() {
    alone(&[], || {
        let telemetry = Collector::start().builder().install().unwrap();
        track_event!("issued", n = 1);
        assert!(telemetry.flush_blocking(Duration::MAX), "F23: not flushed");
        assert!(park_on(telemetry.flush(Duration::MAX)), "F23: not flushed");
        let report = park_on(telemetry.shutdown(Duration::MAX));
        assert!(report.is_complete(), "F23: {report}");
        assert_eq!(telemetry.shutdown_blocking(Duration::MAX), report, "F23");
    });
}

#[test]
fn a_second_call_may_bring_the_deadline_forward() {
    alone(&[], || {
        let telemetry = Collector::silent().builder().install().unwrap();
        track_event!("issued", n = 1);
        let patient = telemetry.clone();
        let patient = thread::spawn(move || patient.shutdown_blocking(Duration::MAX));
        thread::sleep(Duration::from_millis(50));
        let report = telemetry.shutdown_blocking(Duration::from_millis(50));
        assert!(!report.is_complete(), "F23: {report}");
        assert_eq!(patient.join().unwrap(), report, "F23: two reports");
    });
}

#[test]
fn a_task_beside_the_one_that_waits_is_not_held_up() {
    alone(&[], || {
        let collector = Collector::silent();
        let stall = least(STALL, || {
            let telemetry = collector.builder().without_subscriber().build().unwrap();
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(longest_stall_beside(telemetry))
        });
        assert!(
            stall < STALL,
            "F23: a sibling task stood still for {stall:?}"
        );
    });
}

async fn longest_stall_beside(telemetry: Telemetry) -> Duration {
    let is_over = Arc::new(AtomicBool::new(false));
    let stops = Arc::clone(&is_over);
    let sibling = tokio::spawn(async move {
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        while !stops.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        longest
    });
    let within = Duration::from_millis(200);
    assert!(!telemetry.flush(within).await, "F23: flushed to nobody");
    let report = telemetry.shutdown(within).await;
    assert!(!report.is_complete(), "F23: {report}");
    is_over.store(true, Ordering::Relaxed);
    sibling.await.unwrap()
}

/// A telemetry with its own listener, which its own code can reach.
fn reachable(with: impl FnOnce(Builder, &'static OnceLock<Telemetry>) -> Builder) -> Telemetry {
    static MADE: OnceLock<Telemetry> = OnceLock::new();
    let builder = Collector::start().builder().metrics_listener(loopback());
    let telemetry = with(builder, &MADE).install().unwrap();
    MADE.get_or_init(|| telemetry.clone());
    telemetry
}

#[test]
fn a_readiness_check_may_flush_and_one_that_ends_the_telemetry_waits_for_itself_no_longer_than_it_said()
 {
    alone(&[], || {
        let (tell, told) = mpsc::channel();
        let telemetry = reachable(|builder, made| {
            builder.readiness_check("ends it all", move || {
                let telemetry = made.get().unwrap();
                let began = Instant::now();
                let is_flushed = telemetry.flush_blocking(SOON);
                let report = telemetry.shutdown_blocking(Duration::from_millis(300));
                tell.send((is_flushed, report, began.elapsed())).unwrap();
                Ok(())
            })
        });
        let address = telemetry.metrics_address().unwrap();
        let probe = thread::spawn(move || {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            let request = b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n";
            stream.write_all(request).unwrap();
            // Cut off or answered: it comes to an end.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let (is_flushed, _, took) = told.recv_timeout(2 * SOON).expect("F23: the check hangs");
        assert!(
            is_flushed,
            "F23: the telemetry's thread was free, and did not flush"
        );
        assert!(took < SOON, "F23: the check took {took:?}");
        probe.join().unwrap();
    });
}

#[test]
fn a_callback_on_the_telemetry_s_own_thread_waits_for_itself_no_longer_than_it_said() {
    alone(&[], || {
        let telemetry = reachable(|builder, _| builder);
        let (tell, told) = mpsc::channel();
        let mine = telemetry.clone();
        let within = Duration::from_millis(100);
        let _asked_at_each_scrape = global::meter("a-library")
            .u64_observable_gauge("careless")
            .with_callback(move |_| {
                let began = Instant::now();
                if mine.flush_blocking(within) {
                    panic!("flushed by the thread that waits for it");
                }
                let is_complete = mine.shutdown_blocking(within).is_complete();
                let _ = tell.send((is_complete, began.elapsed()));
            })
            .build();
        let address = telemetry.metrics_address().unwrap();
        // Its connection may be cut off by the end that its own page asked for.
        let _ = thread::spawn(move || scrape(address)).join();
        let (is_complete, took) = told.recv_timeout(SOON).expect("F23: the callback hangs");
        assert!(!is_complete, "F23: all of it ended, with itself at work");
        assert!(took < SOON / 6, "F23: {took:?}");
        let began = Instant::now();
        let _ = telemetry.shutdown_blocking(SOON);
        let took = began.elapsed();
        assert!(
            took < SOON / 2,
            "F23: nothing was left to wait for: {took:?}"
        );
    });
}

#[test]
fn a_callback_of_the_host_s_that_hangs_at_the_end_does_not_hold_it_up() {
    alone(&[], || {
        let telemetry = Collector::start().builder().install().unwrap();
        let _asked_at_the_end = global::meter("a-library")
            .u64_observable_gauge("hanging")
            .with_callback(|_| thread::sleep(SOON))
            .build();
        let began = Instant::now();
        let report = telemetry.shutdown_blocking(Duration::from_millis(200));
        let took = began.elapsed();
        assert!(took < SOON / 3, "F23: took {took:?}");
        assert!(!report.is_complete(), "F23: {report}");
    });
}
