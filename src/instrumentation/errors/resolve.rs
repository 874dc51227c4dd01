//! On the worker: the addresses of a stack become a trace, and what tells one error from another.

use super::{panics, template::template};
use crate::{
    delivery::Stage,
    records::{Fields, Raised, Record, Value, read},
    redaction, semconv,
    stack::{Fingerprint, Frame, InApp, Origin, Resolver, Sources, render, trim},
};
use rustc_hash::FxHashMap;
use std::{
    collections::hash_map::Entry,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Adds `exception.stacktrace`, `code.function.name`, the lines around it, and, where the error came
/// with no place of its own, that of this function; and the fingerprint. What it found of a stack it
/// remembers: errors come again.
#[derive(Default)]
pub(crate) struct ResolveStack {
    in_app: InApp,
    resolver: Resolver,
    sources: Sources,
    found: FxHashMap<Seen, Found>,
    /// The log was told of what the program's build leaves out.
    has_advised: bool,
}

/// Stacks that are remembered: about 2 MB when full, 8 at worst. Then all are forgotten, which costs
/// each that comes again 20 µs.
const REMEMBERED: usize = 512;
/// What the trace says when resolving failed.
const UNRESOLVED: &str = "(the stack could not be resolved)";

/// What decides what is found.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Seen {
    frames: Box<[usize]>,
    type_name: Box<str>,
    place: Option<(Box<str>, i64)>,
}

/// What the worker adds.
#[derive(Debug)]
struct Found {
    trace: String,
    /// `None`: no frame of the application's own has its file.
    fingerprint: Option<Fingerprint>,
    function: Option<Box<str>>,
    place: Option<(Box<str>, u32)>,
    lines: Option<Arc<str>>,
}

impl ResolveStack {
    pub(crate) fn new(in_app: InApp) -> Self {
        Self {
            resolver: Resolver::new(in_app.clone()),
            in_app,
            ..Self::default()
        }
    }

    /// `None`: the stack could not be resolved.
    fn find(&mut self, seen: Seen) -> Option<&Found> {
        if self.found.len() >= REMEMBERED && !self.found.contains_key(&seen) {
            self.found.clear();
        }
        match self.found.entry(seen) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(unknown) => {
                let (resolver, sources) = (&mut self.resolver, &mut self.sources);
                // The error is told without its trace rather than not at all.
                let found = catch_unwind(AssertUnwindSafe(|| {
                    Found::of(unknown.key(), resolver, sources)
                }));
                let Ok((found, is_bare)) = found else {
                    self.resolver = Resolver::new(self.in_app.clone());
                    return None;
                };
                if is_bare && !mem::replace(&mut self.has_advised, true) {
                    tracing::warn!(
                        target: "orderscope::errors",
                        "stacks have no lines: build with `debug = 1` or `debug = \"line-tables-only\"` in \
                         the profile; `split-debuginfo = \"packed\"` keeps them beside the program"
                    );
                }
                Some(unknown.insert(found))
            }
        }
    }
}

impl Stage for ResolveStack {
    fn apply(&mut self, record: &Record, fields: &mut Fields) {
        let Record::Error(_, raised) = record else {
            return;
        };
        let (seen, message) = Seen::of(raised, fields);
        let by_place = by_place(&seen, message);
        let has_place = seen.place.is_some();
        let Some(found) = self.find(seen) else {
            fields.word(semconv::EXCEPTION_STACKTRACE, UNRESOLVED);
            let fingerprint = raised.fingerprint.unwrap_or(by_place);
            return fields.word(semconv::ERROR_FINGERPRINT, &fingerprint.to_string());
        };
        let fingerprint = raised.fingerprint.or(found.fingerprint).unwrap_or(by_place);
        fields.word(semconv::ERROR_FINGERPRINT, &fingerprint.to_string());
        if !found.trace.is_empty() {
            fields.word(semconv::EXCEPTION_STACKTRACE, &found.trace);
        }
        if let Some(function) = &found.function {
            fields.word(semconv::CODE_FUNCTION_NAME, function);
        }
        if let (false, Some((file, line))) = (has_place, &found.place) {
            fields.told(semconv::CODE_FILE_PATH, file);
            fields.number(semconv::CODE_LINE_NUMBER, (*line).into());
        }
        if let Some(lines) = &found.lines {
            fields.told(semconv::ERROR_SOURCE, lines);
        }
    }
}

/// The fingerprint where no function of the application's is known: by the place, else by the words.
fn by_place(seen: &Seen, message: &str) -> Fingerprint {
    match &seen.place {
        Some((file, line)) => Fingerprint::of_place(&seen.type_name, file, *line),
        None => Fingerprint::of_words(&[&seen.type_name, &template(message)]),
    }
}

impl Seen {
    /// With the message.
    fn of<'a>(raised: &Raised, fields: &'a Fields) -> (Self, &'a str) {
        let (mut type_name, mut message, mut file, mut line) = ("", "", None, None);
        for (name, value) in read(fields.as_bytes()) {
            match (name, value) {
                (semconv::EXCEPTION_TYPE, Value::Text(name)) => type_name = name,
                (semconv::EXCEPTION_MESSAGE, Value::Text(text)) => message = text,
                (semconv::CODE_FILE_PATH, Value::Text(path)) => file = Some(path),
                (semconv::CODE_LINE_NUMBER, Value::Integer(number)) => line = Some(number),
                _ => {}
            }
        }
        let seen = Self {
            frames: raised.stack.frames().into(),
            type_name: type_name.into(),
            place: file.zip(line).map(|(file, line)| (file.into(), line)),
        };
        (seen, message)
    }

    /// What of the stack is shown.
    fn trace<'a>(&self, frames: &'a [Frame]) -> &'a [Frame] {
        let origin = match &*self.type_name == panics::TYPE {
            true => Origin::Panic,
            false => Origin::Call,
        };
        let trace = trim(frames, origin);
        // What lies further in than the place that is told is `#[track_caller]`: not the culprit, as
        // a `From` that `?` calls, or the indexing of a slice.
        let told = self.place.as_ref().and_then(|(file, line)| {
            let is_told = |frame: &Frame| is_at(frame, file, *line);
            trace.iter().position(is_told)
        });
        trace.get(told.unwrap_or(0)..).unwrap_or_default()
    }
}

impl Seen {
    /// The folder that the compiler's places are relative to, as the frame of the place that is told
    /// shows it: a checkout may lie anywhere.
    fn workspace<'a>(&self, trace: &'a [Frame]) -> Option<&'a str> {
        let (told, _) = self.place.as_ref()?;
        let files = trace.iter().filter_map(|frame| frame.file.as_deref());
        let mut folders = files.filter_map(|file| file.strip_suffix(&**told));
        folders.find(|folder| folder.ends_with(['/', '\\']))
    }
}

impl Found {
    /// And whether no frame of Rust's has a line.
    fn of(seen: &Seen, resolver: &mut Resolver, sources: &mut Sources) -> (Self, bool) {
        let frames = resolver.resolve_all(&seen.frames);
        let trace = seen.trace(&frames);
        let own = trace.iter().find(|frame| frame.in_app);
        let place = own.and_then(|frame| Some((frame.file.clone()?, frame.line?)));
        // The C library may have its own.
        let is_rust = |file: &str| file.ends_with(".rs");
        let has_line =
            |frame: &Frame| frame.line.is_some() && frame.file.as_deref().is_some_and(is_rust);
        let modules: Vec<_> = resolver
            .modules_of(trace)
            .into_iter()
            .map(masked_module)
            .collect();
        let found = Self {
            trace: render(&masked(trace), &modules),
            fingerprint: Fingerprint::of_frames(&seen.type_name, trace, seen.workspace(trace)),
            function: own.and_then(|frame| frame.function.clone()),
            lines: place
                .as_ref()
                .and_then(|(file, line)| sources.around(file, *line)),
            place,
        };
        (found, !trace.is_empty() && !trace.iter().any(has_line))
    }
}

/// A folder or a program may be named after a secret; a function is not.
fn masked(trace: &[Frame]) -> Vec<Frame> {
    let text = |text: &str| redaction::text(text).into();
    let masked = |frame: &Frame| {
        let module = frame.module.as_deref().map(text);
        let is_nameless = frame.module.is_some() && frame.function == frame.module;
        Frame {
            function: match is_nameless {
                true => module.clone(),
                false => frame.function.clone(),
            },
            file: frame.file.as_deref().map(text),
            module,
            ..frame.clone()
        }
    };
    trace.iter().map(masked).collect()
}

/// The same of `orders 8f3a…`; the build id looks like a secret and is none.
fn masked_module(module: String) -> String {
    match module.rsplit_once(' ') {
        Some((name, build_id)) => format!("{} {build_id}", redaction::text(name)),
        None => module,
    }
}

/// Whether a frame, which has a whole path, is at the place that the compiler names by the path
/// that it was given.
fn is_at(frame: &Frame, file: &str, line: i64) -> bool {
    let is_there = |frame_file: &str| {
        let folder = frame_file.strip_suffix(file);
        folder.is_some_and(|folder| folder.is_empty() || folder.ends_with(['/', '\\']))
    };
    frame.line.map(i64::from) == Some(line) && frame.file.as_deref().is_some_and(is_there)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            capture_error,
            planted::{Told, pipeline, within},
        },
        *,
    };
    use crate::records::{Limits, Log};

    fn resolved(told: &Told) -> Told {
        let mut fields = Fields::new(Limits::default(), told.fields.clone());
        ResolveStack::default().apply(&told.record, &mut fields);
        let Record::Error(log, stack) = &told.record else {
            panic!("{told:?}");
        };
        let log = Log {
            event_name: log.event_name.clone(),
            ..*log
        };
        Told {
            record: Record::Error(log, stack.clone()),
            fields: fields.into_bytes(),
        }
    }

    #[test]
    fn a_secret_in_a_path_is_not_shown_and_no_other_path_or_name_is_touched() {
        let frame = |function: &str, file: &str| Frame {
            function: Some(function.into()),
            file: Some(file.into()),
            line: Some(17),
            ..Frame::default()
        };
        for (function, file) in [
            ("orders::auth::token::verify", "/srv/token/src/password.rs"),
            (
                "orders::api_key::Key::check",
                "C:\\ci\\secret\\src\\api_key.rs",
            ),
            ("orders::session::cookie::parse", "src/session/cookie.rs"),
        ] {
            let trace = [frame(function, file)];
            assert_eq!(masked(&trace), trace);
        }
        let text = render(
            &masked(&[frame("orders::pay", "/ci/token=hush47/src/pay.rs")]),
            &[],
        );
        assert!(
            !text.contains("hush47") && text.contains("orders::pay"),
            "{text}"
        );
    }

    #[test]
    fn a_secret_in_the_name_of_a_program_is_not_shown_and_its_offset_and_build_are() {
        let frame = |module: &str| Frame {
            function: Some(module.into()),
            module: Some(module.into()),
            ..Frame::default()
        };
        let build = "8f3a0b1c2d3e4f5061728394a5b6c7d8e9f00112";
        let plain = [frame("api-key-service + 0x2a14")];
        assert_eq!(masked(&plain), plain);
        let text = render(
            &masked(&[frame("token=hush47 + 0x2a14")]),
            &[masked_module(format!("token=hush47 {build}"))],
        );
        assert!(!text.contains("hush47"), "{text}");
        assert!(text.contains(" + 0x2a14") && text.contains(build), "{text}");
    }

    #[test]
    fn a_secret_in_the_path_of_the_place_is_not_told() {
        let at = std::panic::Location::caller();
        let mut fields = Fields::new(Limits::default(), Vec::new());
        super::super::exception::compose_place(at.file(), at.line(), &mut fields);
        super::super::exception::compose_place("/ci/token=hush47/src/pay.rs", 7, &mut fields);
        let paths: Vec<_> = read(fields.as_bytes())
            .filter(|(name, _)| *name == semconv::CODE_FILE_PATH)
            .map(|(_, path)| path)
            .collect();
        assert_eq!(paths[0], Value::Text(file!()));
        let Value::Text(masked) = paths[1] else {
            panic!("{paths:?}");
        };
        assert!(
            !masked.contains("hush47") && masked.starts_with("/ci/"),
            "{masked}"
        );
    }

    #[test]
    fn a_trace_begins_where_the_error_was_captured() {
        let pipeline = pipeline();
        within(pipeline, || capture_error(&std::fmt::Error));
        let told = resolved(&Told::one(pipeline));
        let own = "a_trace_begins_where_the_error_was_captured";
        let trace = told.text(semconv::EXCEPTION_STACKTRACE);
        assert!(trace.lines().next().unwrap().contains(own), "{trace}");
        let function = told.text(semconv::CODE_FUNCTION_NAME);
        assert!(function.contains(own), "{function}");
        assert_eq!(told.text(semconv::CODE_FILE_PATH), file!());
    }

    #[test]
    fn a_trace_begins_with_who_called_what_tracks_its_caller() {
        #[inline(never)]
        #[track_caller]
        fn give_up() {
            capture_error(&std::fmt::Error);
            std::hint::black_box(());
        }
        let pipeline = pipeline();
        within(pipeline, || {
            give_up();
            std::hint::black_box(());
        });
        let told = resolved(&Told::one(pipeline));
        let trace = told.text(semconv::EXCEPTION_STACKTRACE);
        assert!(!trace.contains("give_up"), "{trace}");
        assert!(trace.lines().next().unwrap().contains("tracks_its_caller"));
        let function = told.text(semconv::CODE_FUNCTION_NAME);
        assert!(function.contains("tracks_its_caller"), "{function}");
    }

    #[test]
    fn an_error_captured_in_a_chain_has_the_place_of_its_function() {
        let pipeline = pipeline();
        within(pipeline, || {
            let _ = Err::<(), _>(std::fmt::Error).inspect_err(capture_error);
        });
        let told = resolved(&Told::one(pipeline));
        let file = told.text(semconv::CODE_FILE_PATH);
        assert!(file.ends_with(file!()), "{file}");
    }

    #[test]
    fn what_carries_no_stack_is_told_without_a_trace() {
        let pipeline = pipeline();
        within(pipeline, || panics::record_caught(pipeline, &"planted"));
        let told = resolved(&Told::one(pipeline));
        assert_eq!(told.value(semconv::EXCEPTION_STACKTRACE), None);
        assert_eq!(told.value(semconv::CODE_FUNCTION_NAME), None);
        assert!(told.value(semconv::ERROR_FINGERPRINT).is_some());
    }
}
