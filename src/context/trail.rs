//! What happened in a request before an error: its last lines of log, events and calls, in a ring of
//! fixed size. What is kept has been masked, and is kept only where it is recorded anyway.

use super::{with_request, with_request_mut};
use crate::{
    records::{Fields, MESSAGE, Severity, Value, cut, read},
    semconv,
};
use std::{
    cell::RefCell,
    fmt,
    time::{Duration, Instant},
};

/// What is kept of a request; the oldest goes first.
const ENTRIES: usize = 16;
/// Bytes of one of them.
const LONGEST: usize = 160;
/// Trails that a thread keeps for requests to come, of 3 KB each.
const SPARE: usize = 32;

/// The last of what happened in a request. Its memory goes back to a thread when the request ends.
#[derive(Debug)]
pub(crate) struct Trail(Option<Box<Ring>>);

#[derive(Clone, Debug)]
struct Ring {
    entries: [Entry; ENTRIES],
    /// How many there were, those that are gone included.
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    what: Happened,
    length: usize,
    text: [u8; LONGEST],
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    Line(Severity),
    Event,
    /// It took so long.
    Call(Duration),
    Error,
}

impl Happened {
    fn word(self) -> &'static str {
        match self {
            Self::Line(severity) => severity.text(),
            Self::Event => "event",
            Self::Call(_) => "call",
            Self::Error => "error",
        }
    }
}

thread_local! {
    #[expect(clippy::vec_box, reason = "each goes to a request as it is, and comes back")]
    static KEPT: RefCell<Vec<Box<Ring>>> = const { RefCell::new(Vec::new()) };
}

impl Trail {
    fn begin(now: Instant) -> Self {
        let kept = KEPT.try_with(|kept| kept.try_borrow_mut().ok()?.pop());
        let mut ring = kept.ok().flatten().unwrap_or_else(|| {
            let empty = Entry {
                at: now,
                what: Happened::Event,
                length: 0,
                text: [0; LONGEST],
            };
            Box::new(Ring {
                entries: [empty; ENTRIES],
                count: 0,
            })
        });
        ring.count = 0;
        Self(Some(ring))
    }

    fn note(&mut self, at: Instant, what: Happened, words: &[&str]) {
        let Some(ring) = &mut self.0 else {
            return;
        };
        if let Some(entry) = ring.entries.get_mut(ring.count % ENTRIES) {
            (entry.at, entry.what, entry.length) = (at, what, 0);
            for word in words.iter().filter(|word| !word.is_empty()) {
                if entry.length > 0 {
                    entry.push(" ");
                }
                entry.push(word);
            }
            ring.count = ring.count.wrapping_add(1);
        }
    }

    /// The oldest first.
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let ring = self.0.iter();
        ring.flat_map(|ring| {
            let oldest = ring.count.saturating_sub(ENTRIES);
            let kept = oldest..ring.count;
            kept.filter_map(|number| ring.entries.get(number % ENTRIES))
        })
    }
}

impl Entry {
    fn text(&self) -> &str {
        let shown = self.text.get(..self.length);
        str::from_utf8(shown.unwrap_or_default()).unwrap_or_default()
    }

    /// As much of it as there is room for.
    fn push(&mut self, word: &str) {
        let shown = cut(word, LONGEST.saturating_sub(self.length));
        let end = self.length + shown.len();
        if let Some(room) = self.text.get_mut(self.length..end) {
            room.copy_from_slice(shown.as_bytes());
            self.length = end;
        }
    }
}

/// A task that is carried on begins with what led to it.
impl Clone for Trail {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let Some(ring) = self.0.take() else {
            return;
        };
        // An error: the thread is going.
        let _ = KEPT.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut()
                && kept.len() < SPARE
            {
                kept.push(ring);
            }
        });
    }
}

/// Keeps the message of a record, or its name where it has none, with the request that it is of.
/// Lines below INFO are not kept.
pub(crate) fn note_record(at: Instant, what: Happened, name: &str, fields: &Fields) {
    if matches!(what, Happened::Line(severity) if severity < Severity::Info) {
        return;
    }
    let mut said = read(fields.as_bytes());
    let message = said.find_map(|(name, value)| match value {
        Value::Text(text) if name == MESSAGE => Some(text),
        _ => None,
    });
    note(at, what, &[message.unwrap_or(name)]);
}

/// Keeps what happened with the current request. What there is to say has been masked; empty words
/// are none.
pub(crate) fn note(at: Instant, what: Happened, words: &[&str]) {
    let _ = with_request_mut(|request| {
        let trail = request.trail.get_or_insert_with(|| Trail::begin(at));
        trail.note(at, what, words);
    });
}

/// Adds what happened in the current request before `now`, where anything did. Fit for a panic hook.
pub(crate) fn describe_trail(now: Instant, fields: &mut Fields) {
    let _ = with_request(|request| {
        if let Some(trail) = &request.trail {
            fields.masked(semconv::ERROR_TRAIL, Shown { trail, now });
        }
    });
}

/// A line for each: how long before the error, what, and its words.
struct Shown<'a> {
    trail: &'a Trail,
    now: Instant,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in self.trail.entries().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            let ago = self.now.saturating_duration_since(entry.at);
            write!(f, "-{} {} {}", Millis(ago), entry.what.word(), entry.text())?;
            if let Happened::Call(took) = entry.what {
                write!(f, " {}", Millis(took))?;
            }
        }
        Ok(())
    }
}

/// `12.3ms`.
pub(crate) struct Millis(pub(crate) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.as_micros() / 100;
        write!(f, "{}.{}ms", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Request, carry, enter},
        *,
    };
    use crate::{clock::Clock, pipeline::Pipeline, records::Limits};

    fn request() -> Option<Box<Request>> {
        Some(Request::for_tests(Pipeline::for_tests(&[]), false))
    }

    /// The trail of the current request, without its times.
    fn trail() -> Vec<String> {
        let mut fields = Fields::new(Limits::default(), Vec::new());
        describe_trail(Clock::system().now(), &mut fields);
        let all = read(fields.as_bytes()).next();
        let Some((semconv::ERROR_TRAIL, Value::Text(text))) = all else {
            return Vec::new();
        };
        let lines = text.lines().map(|line| line.split_once("ms ").unwrap());
        lines
            .map(|(ago, said)| {
                assert!(ago.starts_with('-'), "{text}");
                said.to_owned()
            })
            .collect()
    }

    fn note_now(what: Happened, text: &str) {
        note(Clock::system().now(), what, &[text]);
    }

    #[test]
    fn the_last_sixteen_are_kept_the_oldest_first() {
        let mut mine = request();
        let _entered = enter(&mut mine);
        assert!(trail().is_empty());
        note_now(Happened::Line(Severity::Info), "cart loaded");
        note_now(Happened::Event, "cart_viewed");
        let took = Happened::Call(Duration::from_micros(12_300));
        note(Clock::system().now(), took, &["GET", "couriers", "", "503"]);
        let expected = [
            "INFO cart loaded",
            "event cart_viewed",
            "call GET couriers 503 12.3ms",
        ];
        assert_eq!(trail(), expected);
        for number in 0..20 {
            note_now(Happened::Error, &number.to_string());
        }
        let kept = trail();
        assert_eq!(kept.len(), ENTRIES);
        assert_eq!((&*kept[0], &*kept[15]), ("error 4", "error 19"));
    }

    #[test]
    fn what_is_long_is_cut_at_a_character() {
        let mut mine = request();
        let _entered = enter(&mut mine);
        note_now(Happened::Event, &"é".repeat(500));
        assert_eq!(trail(), [format!("event {}", "é".repeat(LONGEST / 2))]);
    }

    #[test]
    fn each_request_has_its_own_and_a_new_one_begins_with_none() {
        let (mut one, mut other) = (request(), request());
        {
            let _entered = enter(&mut one);
            note_now(Happened::Event, "of one");
            let _entered = enter(&mut other);
            note_now(Happened::Event, "of the other");
            assert_eq!(trail(), ["event of the other"]);
        }
        drop(other);
        let mut third = request();
        {
            let _entered = enter(&mut third);
            assert!(trail().is_empty());
            note_now(Happened::Event, "of a third");
            assert_eq!(
                trail(),
                ["event of a third"],
                "in memory that was used before"
            );
        }
        let _entered = enter(&mut one);
        assert_eq!(trail(), ["event of one"]);
    }

    #[test]
    fn a_carried_task_begins_with_what_led_to_it() {
        let mut mine = request();
        let task = {
            let _entered = enter(&mut mine);
            note_now(Happened::Event, "before");
            let task = carry(async {
                note_now(Happened::Event, "within");
                trail()
            });
            note_now(Happened::Event, "beside");
            assert_eq!(trail(), ["event before", "event beside"]);
            task
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        assert_eq!(
            runtime.unwrap().block_on(task),
            ["event before", "event within"]
        );
    }

    #[test]
    fn outside_a_request_nothing_is_kept() {
        note_now(Happened::Event, "nobody's");
        assert!(trail().is_empty());
    }

    #[test]
    fn a_line_is_kept_by_its_message_and_below_info_not_at_all() {
        let mut mine = request();
        let _entered = enter(&mut mine);
        let mut fields = Fields::new(Limits::default(), Vec::new());
        fields.word("order", "7");
        fields.message("password=hunter2 refused");
        let now = Clock::system().now();
        note_record(now, Happened::Line(Severity::Debug), "", &fields);
        assert!(trail().is_empty());
        note_record(now, Happened::Line(Severity::Warn), "", &fields);
        let nameless = Fields::new(Limits::default(), Vec::new());
        note_record(now, Happened::Event, "order_placed", &nameless);
        assert_eq!(trail(), ["WARN password=*** refused", "event order_placed"]);
    }

    #[test]
    fn times_are_told_to_a_tenth_of_a_millisecond() {
        let shown = |micros| Millis(Duration::from_micros(micros)).to_string();
        assert_eq!(
            [0, 99, 1_250, 12_000].map(shown),
            ["0.0ms", "0.0ms", "1.2ms", "12.0ms"]
        );
    }
}
