//! What of a stack is worth showing, and how it reads.

use super::{Frame, path};
use std::fmt::Write;

/// The longest rendered trace, in bytes, its last line included.
const LIMIT: usize = 16 * 1024;
/// Room for the line that tells how many frames were left out.
const LAST_LINE: usize = 48;

/// Where a stack was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In a function that the application called: what is ours goes, nothing else.
    Call,
    /// In a panic hook: the hooks and the panic's own machinery go too. It has to be told, since
    /// an error captured in a `Drop` while unwinding has the same machinery further out.
    Panic,
}

/// Release builds often have names without files, so the crates that every service stands on are
/// known by name.
const FOREIGN_CRATES: [&str; 46] = [
    "addr2line",
    "alloc",
    "anyhow",
    "async_trait",
    "axum",
    "axum_core",
    "backtrace",
    "bytes",
    "core",
    "crossbeam_channel",
    "eyre",
    "futures",
    "futures_channel",
    "futures_core",
    "futures_executor",
    "futures_util",
    "h2",
    "http",
    "http_body",
    "http_body_util",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "matchit",
    "metrics",
    "mio",
    "opentelemetry",
    "opentelemetry_sdk",
    "parking_lot",
    "prost",
    "rayon",
    "rayon_core",
    "redis",
    "reqwest",
    "rustls",
    "serde",
    "serde_json",
    "sqlx",
    "sqlx_core",
    "std",
    "tokio",
    "tokio_util",
    "tonic",
    "tower",
    "tower_http",
    "tracing",
];

/// Which crates are the application's own; by the names that the application gives.
#[derive(Clone, Debug, Default)]
pub(crate) struct InApp {
    /// None: all that are neither Rust's, nor a dependency's, nor ours.
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    /// Where named crates lie, as the resolver finds it in the program.
    pub(super) packages: Vec<(String, String)>,
}

impl InApp {
    pub(super) fn has(&self, function: Option<&str>, file: Option<&str>) -> bool {
        let lies_there = |name: &String| {
            let mut of_crate = self.packages.iter().filter(|(of, _)| of == name);
            file.is_some_and(|file| of_crate.any(|(_, folder)| path::is_in_package(file, folder)))
        };
        let is_named = |crates: &[String]| {
            let mut crates = crates.iter();
            crates.any(|name| is_of(name, function, file) || lies_there(name))
        };
        match self.include.is_empty() {
            _ if is_named(&self.exclude) => false,
            true => is_in_app(function, file),
            false => is_named(&self.include),
        }
    }
}

/// Whether a frame is of that crate, which may be spelled with dashes.
fn is_of(name: &str, function: Option<&str>, file: Option<&str>) -> bool {
    let of_function = function.and_then(crate_of);
    of_function.is_some_and(|of| name.replace('-', "_") == of)
        || file.is_some_and(|file| path::is_of_crate(file, name))
}

/// The application's own code is what is neither Rust's, nor a dependency's, nor ours.
fn is_in_app(function: Option<&str>, file: Option<&str>) -> bool {
    if file.is_some_and(path::is_foreign) || is_ours(function.unwrap_or_default(), file) {
        return false;
    }
    // With a file, its path has decided: names have none where line tables are all there is.
    match function.and_then(crate_of) {
        _ if file.is_some() => true,
        Some(name) => !is_foreign_crate(name),
        // A name without a path is C's, or the program's `main` as C calls it.
        None => false,
    }
}

fn is_foreign_crate(name: &str) -> bool {
    FOREIGN_CRATES.binary_search(&name).is_ok() || name.starts_with("tracing_")
}

/// Whether a path is of a crate that every service stands on, or of ours.
pub(super) fn is_of_a_foreign_crate(path: &str) -> bool {
    crate_of(path).is_none_or(|name| is_foreign_crate(name) || name == "orderscope")
}

/// The first segment of a path, also in `<&mut app::Basket as core::fmt::Debug>::fmt`, and of the
/// trait where the type has no path, as in `<F as axum::handler::Handler<M, S>>::call`.
pub(super) fn crate_of(function: &str) -> Option<&str> {
    let path = function.trim_start_matches(['<', '&', '(', '[', '*']);
    let path = ["mut ", "dyn ", "const ", "impl "]
        .iter()
        .fold(path, |path, word| path.trim_start_matches(word));
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let (name, rest) = path.split_at(path.find(|c| !is_name(c)).unwrap_or(path.len()));
    if rest.starts_with("::") && !name.is_empty() {
        return Some(name);
    }
    let (_, of_trait) = rest.split_once(" as ")?;
    crate_of(of_trait)
}

/// The crate's own tests stand in for an application.
fn is_ours(function: &str, file: Option<&str>) -> bool {
    // A path may be remapped, and a name may lack its crate.
    let is_ours = file.is_some_and(path::is_ours) || crate_of(function) == Some("orderscope");
    is_ours && !function.contains("::tests::")
}

/// Frames that a panic puts between the place that panicked and its hook. The same module holds
/// `catch_unwind`, which lies further out on the stack of each tokio task.
fn is_panic_machinery(function: &str, file: Option<&str>) -> bool {
    let caught = |rest: &str| rest.starts_with("catch_unwind") || rest.starts_with("try");
    // Inlined into the program, they have their short names.
    let is_in = |path: &[&str]| file.is_some_and(|file| path::ends_in(file, path));
    function.starts_with("core::panicking::")
        || is_in(&["core", "src", "panicking.rs"])
        || function
            .strip_prefix("std::panicking::")
            .or(Some(function).filter(|_| is_in(&["std", "src", "panicking.rs"])))
            .is_some_and(|rest| !caught(rest) && !rest.starts_with("do_c"))
        || function.ends_with("rust_begin_unwind")
        || function.starts_with("std::panic::panic_any")
        || function.contains("__rust_end_short_backtrace")
}

/// The frames between the machinery of capturing and panicking, inside, and that of starting a
/// thread, outside. All of them, where nothing would be left.
pub(crate) fn trim(frames: &[Frame], origin: Origin) -> &[Frame] {
    let is_capture = |frame: &Frame| {
        let (function, file) = (name(frame), frame.file.as_deref());
        is_ours(function, file)
            || crate_of(function) == Some("backtrace")
            || file.and_then(path::package) == Some("backtrace")
            || function.starts_with("_Unwind_")
    };
    let is_panic = |frame: &Frame| is_panic_machinery(name(frame), frame.file.as_deref());
    let run = |from: usize, is_part: &dyn Fn(&Frame) -> bool| {
        let rest = frames.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|frame| is_part(frame)).count()
    };
    let start = match origin {
        Origin::Call => run(0, &is_capture),
        // Other hooks may lie between ours and the panic, so its first frame is looked for.
        Origin::Panic => match frames.iter().position(is_panic) {
            Some(first) => run(first, &is_panic),
            None => run(0, &is_capture),
        },
    };
    let inner = frames.get(start..).unwrap_or_default();
    let thread_start = |frame: &Frame| name(frame).contains("__rust_begin_short_backtrace");
    let end = inner.iter().position(thread_start).unwrap_or(inner.len());
    match inner.get(..end) {
        Some(kept) if !kept.is_empty() => kept,
        _ => frames,
    }
}

/// As Rust's own backtraces read, at most 16 KiB; what is beyond is counted in the last line. Where
/// lines are not known, with what finds them elsewhere: offsets, and the build ids of `modules`.
///
/// ```text
///    0: orders::basket::total
///              at src/basket.rs:17:9
///    1: orders + 0x2a14
/// build id: orders 8f3a…
/// ```
pub(crate) fn render(frames: &[Frame], modules: &[String]) -> String {
    let mut text = String::new();
    for (index, frame) in frames.iter().enumerate() {
        let before = text.len();
        line_of(&mut text, index, frame);
        let is_last = index + 1 == frames.len();
        if text.len() + if is_last { 0 } else { LAST_LINE } > LIMIT {
            text.truncate(before);
            let left_out = frames.len() - index;
            let _ = writeln!(text, "      … {left_out} more frames");
            break;
        }
    }
    for module in modules {
        let _ = writeln!(text, "build id: {module}");
    }
    text
}

fn name(frame: &Frame) -> &str {
    frame.function.as_deref().unwrap_or_default()
}

fn line_of(text: &mut String, index: usize, frame: &Frame) {
    let function = frame.function.as_deref().unwrap_or("<unknown>");
    // Writing into a String does not fail.
    let _ = writeln!(text, "{index:>4}: {function}");
    if let Some(file) = frame.file.as_deref() {
        let _ = write!(text, "             at {file}");
        for number in [frame.line, frame.column].into_iter().flatten() {
            let _ = write!(text, ":{number}");
        }
        text.push('\n');
    } else if let Some(module) = frame.module.as_deref().filter(|module| *module != function) {
        let _ = writeln!(text, "             at {module}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(functions: &[&str]) -> Vec<Frame> {
        let frame = |function: &&str| Frame {
            function: Some((*function).into()),
            ..Frame::default()
        };
        functions.iter().map(frame).collect()
    }

    #[track_caller]
    fn assert_trimmed(origin: Origin, functions: &[&str], kept: &[&str]) {
        assert_eq!(trim(&stack(functions), origin), stack(kept));
    }

    const THREAD_START: [&str; 4] = [
        "std::sys::backtrace::__rust_begin_short_backtrace",
        "std::thread::lifecycle::spawn_unchecked::{{closure}}",
        "start_thread",
        "__clone3",
    ];

    #[test]
    fn the_trace_of_an_error_begins_at_its_caller_and_ends_at_the_start_of_the_thread() {
        let mut functions = vec![
            "backtrace::backtrace::libunwind::trace",
            "backtrace::backtrace::trace_unsynchronized",
            "orderscope::stack::walk",
            "orderscope::stack::capture",
            "orderscope::instrumentation::errors::capture_error",
            "orders::basket::total",
            "std::panicking::catch_unwind::do_call",
            "<orderscope::http::Service<S> as tower_service::Service<R>>::call",
            "tokio::runtime::task::core::Core<T,S>::poll",
        ];
        let kept = functions[5..].to_vec();
        functions.extend(THREAD_START);
        assert_trimmed(Origin::Call, &functions, &kept);
    }

    #[test]
    fn the_trace_of_a_panic_begins_where_it_panicked_behind_hooks_of_anyone() {
        // As rustc 1.95 has them.
        let mut functions = vec![
            "orderscope::stack::capture",
            "orderscope::instrumentation::errors::hook",
            "<alloc::boxed::Box<dyn core::ops::function::Fn<A>> as core::ops::function::Fn<A>>::call",
            "sentry_panic::panic_handler::{{closure}}",
            "<alloc::boxed::Box<dyn core::ops::function::Fn<A>> as core::ops::function::Fn<A>>::call",
            "std::panicking::panic_with_hook",
            "std::panicking::panic_handler::{closure#0}",
            "std::sys::backtrace::__rust_end_short_backtrace::<std::panicking::panic_handler::{closure#0}, !>",
            "__rustc::rust_begin_unwind",
            "core::panicking::panic_fmt",
            "core::panicking::panic",
            "core::option::unwrap_failed",
            "orders::basket::total",
            "std::panicking::catch_unwind::do_call",
            "std::panic::catch_unwind",
        ];
        let kept = functions[11..].to_vec();
        functions.extend(THREAD_START);
        assert_trimmed(Origin::Panic, &functions, &kept);
    }

    #[test]
    fn an_error_or_a_panic_while_unwinding_keeps_the_frames_of_its_own_drop() {
        let unwinding = [
            "<orders::Basket as core::ops::drop::Drop>::drop",
            "_Unwind_RaiseException",
            "std::panicking::rust_panic",
            "std::panicking::panic_with_hook",
            "core::panicking::panic_fmt",
            "orders::pay",
        ];
        let functions = [&["orderscope::stack::capture"][..], &unwinding].concat();
        assert_trimmed(Origin::Call, &functions, &unwinding);
        let hook = [
            "orderscope::stack::capture",
            "std::panicking::begin_panic",
            "std::panic::panic_any",
        ];
        let functions = [&hook[..], &unwinding].concat();
        assert_trimmed(Origin::Panic, &functions, &unwinding);
    }

    #[test]
    fn a_trace_is_never_trimmed_to_nothing() {
        for functions in [&["orderscope::stack::capture"][..], &THREAD_START, &[]] {
            assert_trimmed(Origin::Call, functions, functions);
            assert_trimmed(Origin::Panic, functions, functions);
        }
    }

    #[test]
    fn the_application_s_own_code_is_told_by_file_and_else_by_crate() {
        let registry =
            Some("/usr/local/cargo/registry/src/mirror-1949cf8c6b5b557f/x-1.2.3/src/lib.rs");
        let library =
            Some("/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/ptr/mod.rs");
        for (function, file, in_app) in [
            ("orders::pay", Some("src/pay.rs"), true),
            (
                "orders::vendor::menu",
                Some("/srv/src/vendor/menu.rs"),
                true,
            ),
            (
                "<orders::Pay as orderscope::events::Event>::name",
                None,
                true,
            ),
            ("<&mut orders::Pay as core::fmt::Debug>::fmt", None, true),
            ("<F as orders::Handler>::call", None, true),
            ("orderscope::stack::tests::at_depth", None, true),
            ("<F as axum::handler::Handler<M,S>>::call", None, false),
            ("orders::pay", registry, false),
            ("core::ptr::drop_in_place<orders::Pay>", library, false),
            (
                "<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<A>>::call_once",
                None,
                false,
            ),
            ("tokio::runtime::task::core::Core<T,S>::poll", None, false),
            (
                "tracing_subscriber::registry::sharded::Registry::close",
                None,
                false,
            ),
            (
                "orderscope::http::Layer::call",
                Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http.rs")),
                false,
            ),
            // Names as they are where line tables are all there is.
            ("pay", Some("/srv/orders/src/pay.rs"), true),
            ("{closure#0}", registry, false),
            (
                "call",
                Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http.rs")),
                false,
            ),
            (
                "__libc_start_call_main",
                Some("./csu/../libc_start_call_main.h"),
                false,
            ),
            ("start_thread", None, false),
            ("orders + 0x1234", None, false),
        ] {
            assert_eq!(is_in_app(Some(function), file), in_app, "{function}");
        }
        assert!(!is_in_app(None, None));
        assert!(is_in_app(None, Some("/srv/orders/src/pay.rs")));
        assert!(FOREIGN_CRATES.is_sorted());
    }

    #[test]
    fn which_crates_are_the_application_s_own_can_be_said() {
        let crates = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let in_app = InApp {
            include: crates(&["orders", "payment_core"]),
            exclude: Vec::new(),
            packages: Vec::new(),
        };
        for (function, file, expected) in [
            ("orders::pay", None, true),
            ("pay", Some("/srv/payment-core/src/lib.rs"), true),
            (
                "pay",
                Some("/cargo/registry/src/mirror-1949cf8c6b5b557f/payment-core-1.2.3/src/lib.rs"),
                true,
            ),
            ("menus::list", Some("/srv/menus/src/lib.rs"), false),
        ] {
            assert_eq!(in_app.has(Some(function), file), expected, "{function}");
        }
        let in_app = InApp {
            include: Vec::new(),
            exclude: crates(&["vendored"]),
            packages: Vec::new(),
        };
        assert!(in_app.has(Some("menus::list"), None));
        assert!(!in_app.has(Some("vendored::list"), None));
        assert!(!in_app.has(Some("list"), Some("/srv/vendored/src/lib.rs")));
    }

    #[test]
    fn a_name_without_its_crate_is_of_the_crate_whose_package_its_file_is_in() {
        let in_app = InApp {
            include: vec!["orders".to_owned()],
            exclude: Vec::new(),
            packages: vec![("orders".to_owned(), "/app".to_owned())],
        };
        assert!(in_app.has(Some("pay"), Some("/app/src/pay.rs")));
        assert!(in_app.has(Some("{closure#0}"), Some("/app/src/bin/orders.rs")));
        assert!(!in_app.has(Some("list"), Some("/app/menus/src/list.rs")));
        assert!(!in_app.has(Some("list"), Some("/apps/src/list.rs")));
    }

    #[test]
    fn a_trace_reads_as_rust_s_own() {
        let mut frames = stack(&["orders::basket::total", "orders::pay"]);
        frames[0].file = Some("src/basket.rs".into());
        (frames[0].line, frames[0].column) = (Some(17), Some(9));
        frames.push(Frame::default());
        frames[1].module = Some("orders + 0x2a14".into());
        let expected = [
            "   0: orders::basket::total",
            "             at src/basket.rs:17:9",
            "   1: orders::pay",
            "             at orders + 0x2a14",
            "   2: <unknown>",
            "build id: orders 8f3a",
        ];
        let text = render(&frames, &["orders 8f3a".to_owned()]);
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_long_trace_ends_at_a_line_and_tells_what_was_left_out() {
        let name = format!("orders::{}", "é".repeat(200));
        let text = render(&stack(&[name.as_str(); 64]), &[]);
        assert!(text.len() <= LIMIT, "{}", text.len());
        let shown = text.lines().count() - 1;
        assert!(shown > 30 && shown < 64, "{shown}");
        let last = text.lines().next_back().unwrap();
        assert_eq!(last, format!("      … {} more frames", 64 - shown));
    }
}
