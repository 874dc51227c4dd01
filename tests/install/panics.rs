//! The panic hook: what it counts, and that nothing else changes.

use std::error::Error;
use std::os::unix::process::ExitStatusExt;
use std::panic::{self, AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::{env, fmt};

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use orderscope::{Telemetry, errors};
use tower::ServiceExt;

use super::signals::in_memory;
use super::storms::swamped;
use super::{SOON, alone, block_on, in_a_process, printed};

/// Set in a process that is to install a telemetry.
const INSTALLS: &str = "ORDERSCOPE_INSTALLS";

fn installed() -> Telemetry {
    Telemetry::builder("orders").install().unwrap()
}

/// Panics, those counted as exceptions, and those counted by type.
#[track_caller]
fn assert_counted(telemetry: &Telemetry, panics: u64) {
    let numbers = telemetry.snapshot();
    let unhandled = [("severity", "ERROR"), ("handled", "false")];
    let counted = [
        numbers.counter("orderscope.panics", &[]),
        numbers.counter("orderscope.exceptions", &unhandled),
        numbers.counter(
            "orderscope.exceptions.by_type",
            &[("exception.type", "panic")],
        ),
    ];
    assert_eq!(counted, [panics; 3]);
}

/// A hook that counts its calls and prints nothing.
fn count_calls() -> &'static AtomicU64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    panic::set_hook(Box::new(|_| {
        CALLS.fetch_add(1, Ordering::SeqCst);
    }));
    &CALLS
}

/// Puts the standard hook back, so that a failed assertion of the case is printed.
fn print_again() {
    let _ = panic::take_hook();
}

fn status_of(telemetry: &Telemetry, handler: fn() -> StatusCode) -> StatusCode {
    let routes = Router::new().route("/", get(async move || handler()));
    let app = routes.layer(telemetry.http_layer());
    let answer = app.oneshot(Request::get("/").body(Body::empty()).unwrap());
    block_on(answer).unwrap().status()
}

#[test]
fn each_panic_is_counted_once_and_the_previous_hook_is_called_once() {
    alone(&[], || {
        let calls = count_calls();
        let telemetry = installed();
        assert_counted(&telemetry, 0);
        let text = catch_unwind(|| panic!("order {}", std::hint::black_box(7))).unwrap_err();
        let number = catch_unwind(|| panic_any(7_u8)).unwrap_err();
        let thread = thread::spawn(|| panic!("of no request")).join();
        print_again();
        assert_eq!(text.downcast_ref::<String>().unwrap(), "order 7");
        assert_eq!(number.downcast_ref::<u8>(), Some(&7));
        assert!(thread.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        assert_counted(&telemetry, 3);
    });
}

#[test]
fn a_panic_amid_another_is_counted_too() {
    struct Clumsy;
    impl Drop for Clumsy {
        fn drop(&mut self) {
            let _ = catch_unwind(|| panic!("in a destructor"));
        }
    }
    alone(&[], || {
        let calls = count_calls();
        let telemetry = installed();
        let outer = catch_unwind(|| {
            let _clumsy = Clumsy;
            panic!("outer")
        });
        print_again();
        assert!(outer.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert_counted(&telemetry, 2);
    });
}

#[test]
fn a_handler_s_panic_is_counted_once_by_hook_or_layer() {
    alone(&[], || {
        let telemetry = installed();
        let panicked = status_of(&telemetry, || panic!("planted"));
        assert_eq!(panicked, StatusCode::INTERNAL_SERVER_ERROR);
        assert_counted(&telemetry, 1);
        // The hook is not called for this one.
        let resumed = status_of(&telemetry, || resume_unwind(Box::new("planted")));
        assert_eq!(resumed, StatusCode::INTERNAL_SERVER_ERROR);
        assert_counted(&telemetry, 2);
        // One that the handler dealt with says nothing of the next.
        let after_another = status_of(&telemetry, || {
            let _ = catch_unwind(|| panic!("dealt with"));
            resume_unwind(Box::new("planted"))
        });
        assert_eq!(after_another, StatusCode::INTERNAL_SERVER_ERROR);
        assert_counted(&telemetry, 4);
        // One that goes on as it was is one.
        let went_on = status_of(&telemetry, || {
            let caught = catch_unwind(|| panic!("order {}", std::hint::black_box(7)));
            resume_unwind(caught.unwrap_err())
        });
        assert_eq!(went_on, StatusCode::INTERNAL_SERVER_ERROR);
        assert_counted(&telemetry, 5);
    });
}

#[test]
fn under_a_built_telemetry_the_layer_alone_counts() {
    alone(&[], || {
        let telemetry = Telemetry::builder("orders").build().unwrap();
        let panicked = status_of(&telemetry, || panic!("planted"));
        assert_eq!(panicked, StatusCode::INTERNAL_SERVER_ERROR);
        let _ = catch_unwind(|| panic!("nobody's"));
        assert_counted(&telemetry, 1);
    });
}

#[test]
fn a_handler_s_error_is_counted_by_its_type_once_the_layer_saw_it() {
    alone(&[], || {
        let telemetry = Telemetry::builder("orders").build().unwrap();
        let routes = Router::new().route(
            "/",
            get(async || {
                orderscope::capture_error(&std::fmt::Error);
                let error = errors::HandlerError::new(&std::fmt::Error);
                (StatusCode::BAD_GATEWAY, axum::Extension(error))
            }),
        );
        let app = routes.layer(telemetry.http_layer());
        let answer = app.oneshot(Request::get("/").body(Body::empty()).unwrap());
        assert_eq!(block_on(answer).unwrap().status(), StatusCode::BAD_GATEWAY);
        let numbers = telemetry.snapshot();
        let handled = [("severity", "ERROR"), ("handled", "true")];
        assert_eq!(numbers.counter("orderscope.exceptions", &handled), 2);
        let of_type = [("exception.type", "core::fmt::Error")];
        assert_eq!(
            numbers.counter("orderscope.exceptions.by_type", &of_type),
            2
        );
    });
}

#[test]
fn sixty_four_threads_that_panic_at_once_all_come_to_their_end() {
    const THREADS: u64 = 64;
    const EACH: u64 = 200;
    alone(&[], || {
        let calls = count_calls();
        let telemetry = installed();
        let start = Arc::new(Barrier::new(usize::try_from(THREADS).unwrap()));
        let (ended, ends) = mpsc::channel();
        for _ in 0..THREADS {
            let (start, ended) = (Arc::clone(&start), ended.clone());
            thread::spawn(move || {
                start.wait();
                let caught = (0..EACH).filter(|_| catch_unwind(|| panic!("planted")).is_err());
                ended.send(caught.count()).unwrap();
            });
        }
        for _ in 0..THREADS {
            // One that hangs is ended with its process.
            assert_eq!(ends.recv().unwrap() as u64, EACH);
        }
        print_again();
        assert_eq!(calls.load(Ordering::SeqCst), THREADS * EACH);
        assert_counted(&telemetry, THREADS * EACH);
    });
}

#[test]
fn a_panic_that_nobody_catches_ends_the_process_as_ever() {
    let [with, without] = [&[(INSTALLS, "1")][..], &[]].map(|variables| {
        in_a_process(variables, || {
            let _telemetry = env::var_os(INSTALLS).map(|_| installed());
            panic!("planted")
        })
    });
    assert_eq!(with.status.code(), Some(101), "{}", printed(&with));
    assert_eq!(with.status, without.status);
    assert_eq!(said(&with), said(&without));
}

#[test]
fn a_destructor_that_panics_amid_a_panic_ends_the_process_as_ever() {
    const SIGABRT: i32 = 6;
    let [with, without] = [&[(INSTALLS, "1")][..], &[]].map(|variables| {
        in_a_process(variables, || {
            let _telemetry = env::var_os(INSTALLS).map(|_| installed());
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let _bomb = Bomb;
                panic!("planted")
            }));
        })
    });
    assert_eq!(with.status.signal(), Some(SIGABRT), "{}", printed(&with));
    assert_eq!(with.status, without.status);
    assert_eq!(said(&with), said(&without));
}

/// Ways in which a process comes to its end, or goes on.
const ENDINGS: [(&str, fn()); 6] = [
    ("main panics", || panic!("planted")),
    ("a thread panics", || {
        assert!(thread::spawn(|| panic!("planted")).join().is_err());
    }),
    ("a thread's panic goes on in main", || {
        let panicked = thread::spawn(|| panic!("planted")).join();
        resume_unwind(panicked.unwrap_err());
    }),
    ("a destructor panics amid a panic", || {
        let _bomb = Bomb;
        panic!("planted")
    }),
    ("a destructor panics as its thread ends", || {
        thread_local! {
            static BOMB: Bomb = const { Bomb };
        }
        let _ = thread::spawn(|| BOMB.with(|_| ())).join();
    }),
    ("it aborts", || std::process::abort()),
];

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("planted in a destructor");
    }
}

#[test]
fn before_a_collector_that_hangs_and_with_a_full_queue_a_process_ends_as_ever() {
    const ENDING: &str = "ORDERSCOPE_ENDING";
    for (name, _) in ENDINGS {
        let [with, without] =
            [&[(INSTALLS, "1"), (ENDING, name)][..], &[(ENDING, name)]].map(|variables| {
                in_a_process(variables, || {
                    let _telemetry = env::var_os(INSTALLS).map(|_| swamped());
                    let chosen = env::var(ENDING).unwrap();
                    let ending = ENDINGS.iter().find(|(name, _)| *name == chosen);
                    ending.unwrap().1();
                })
            });
        assert_eq!(
            with.status,
            without.status,
            "F13: {name}: {}",
            printed(&with)
        );
        assert_eq!(
            said(&with),
            said(&without),
            "F13: {name}: {}",
            printed(&with)
        );
    }
}

#[test]
fn what_a_thread_does_as_it_ends_is_counted_and_harmless() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            orderscope::capture_error(&std::fmt::Error);
            let _ = catch_unwind(|| panic!("planted"));
        }
    }
    thread_local! {
        static LAST: Last = const { Last };
    }
    alone(&[], || {
        let calls = count_calls();
        let (builder, backend) = in_memory();
        let telemetry = builder.without_subscriber().install().unwrap();
        let capture = || orderscope::capture_error(&std::fmt::Error);
        // What we keep for a thread is gone before, and after.
        let ended = [
            thread::spawn(move || {
                LAST.with(|_| ());
                capture();
            }),
            thread::spawn(move || {
                capture();
                LAST.with(|_| ());
            }),
        ];
        let ended = ended.map(|thread| thread.join().is_ok());
        assert!(telemetry.flush_blocking(SOON));
        print_again();
        assert_eq!(ended, [true; 2]);
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert_counted(&telemetry, 2);
        let numbers = telemetry.snapshot();
        let handled = [("severity", "ERROR"), ("handled", "true")];
        assert_eq!(numbers.counter("orderscope.exceptions", &handled), 4);
        let told = backend.logs().into_iter();
        assert_eq!(told.filter(|log| log.event_name == "exception").count(), 6);
    });
}

#[test]
fn an_error_whose_code_panics_costs_its_caller_nothing() {
    struct Explosive;
    impl fmt::Display for Explosive {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("planted in Display")
        }
    }
    impl fmt::Debug for Explosive {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("planted in Debug")
        }
    }
    impl Error for Explosive {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            panic!("planted in source")
        }
    }
    alone(&[], || {
        count_calls();
        let telemetry = installed();
        let error: &(dyn Error + 'static) = &Explosive;
        let captured = catch_unwind(|| orderscope::capture_error(&Explosive));
        let of_any_type = catch_unwind(AssertUnwindSafe(|| orderscope::capture_error(error)));
        print_again();
        let went_on = [captured.is_ok(), of_any_type.is_ok()];
        assert_eq!(went_on, [true; 2], "F13: the caller goes on");
        let handled = [("severity", "ERROR"), ("handled", "true")];
        let numbers = telemetry.snapshot();
        assert_eq!(
            numbers.counter("orderscope.exceptions", &handled),
            2,
            "F13: counted"
        );
    });
}

/// How often the words of the panics were printed.
fn said(output: &std::process::Output) -> [usize; 2] {
    let text = printed(output);
    ["planted", "panicked at"].map(|words| text.matches(words).count())
}
