//! One unit's sessions, as a machine that is fed what its user does.
//!
//! What is done is applied in the order of time, and not before it is older than the lateness.

use super::{Id, Machine};
use serde::{Deserialize, Serialize};
use siphasher::sip128::SipHasher13;
use uuid::Builder;

/// Steps of a session that are told one by one.
const MOST_STEPS: u32 = 50;
/// Bytes of them, as long as a record has room.
const MOST_PATH: usize = 4_000;
const BETWEEN: &str = " > ";
/// Makes the ids of sessions others than those of the events that begin them.
const KEYS: (u64, u64) = (0x7365_7373_696f_6e73, 7);

/// When a session ends; in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Without activity.
    pub(crate) idle: u64,
    /// After its start.
    pub(crate) longest: u64,
    /// How long after its end its id is known to the next.
    pub(crate) remembered: u64,
}

/// Something that a user does. Their order is that in which they are applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Deed {
    pub(crate) at: u64,
    pub(crate) what: Doing,
    pub(crate) id: Id,
    /// Its name, such as `GET /menu`; empty where the session is to end.
    pub(crate) step: Box<str>,
    /// As the application has it; empty where it has none.
    pub(crate) session: Box<str>,
    /// Empty where unknown.
    pub(crate) user: Box<str>,
}

/// At one moment, what a request tracked comes before its end, and that before the end of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Doing {
    Event,
    Request,
    End,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visited {
    pub(crate) session: Box<str>,
    pub(crate) previous: Option<Box<str>>,
    pub(crate) user: Box<str>,
    pub(crate) at: u64,
    /// `None`: it began.
    pub(crate) end: Option<End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) reason: Reason,
    pub(crate) lasted: u64,
    /// The first of its steps, in order.
    pub(crate) path: String,
    /// How many followed.
    pub(crate) beyond: u32,
    pub(crate) last: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Timeout,
    MaxDuration,
    Explicit,
}

/// All that has to be known of one unit, but for what waits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Visits {
    open: Option<Visit>,
    before: Option<Before>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Before {
    session: Box<str>,
    ended: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Visit {
    session: Box<str>,
    previous: Option<Box<str>>,
    user: Box<str>,
    began: u64,
    /// When something was done last.
    active: u64,
    path: String,
    told: u32,
    beyond: u32,
    last: Box<str>,
}

impl Machine for Visits {
    type Rules = Limits;
    type Event = Deed;
    type Turn = Visited;

    fn at(event: &Deed) -> u64 {
        event.at
    }

    fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn end(&self, limits: &Limits) -> Option<u64> {
        match (&self.open, &self.before) {
            (Some(open), _) => Some(open.end(limits).0),
            (None, Some(before)) => Some(before.ended.saturating_add(limits.remembered)),
            (None, None) => None,
        }
    }

    fn expire(&mut self, limits: &Limits, at: u64, tell: &mut dyn FnMut(Visited)) {
        if let Some(open) = self.open.take_if(|open| open.end(limits).0 < at) {
            let (ends, reason) = open.end(limits);
            // Nobody was there any more while it was waited for them.
            let ended = match reason {
                Reason::Timeout => open.active,
                Reason::MaxDuration | Reason::Explicit => ends,
            };
            self.close(open, ended, reason, tell);
        }
        let is_old = |before: &mut Before| before.ended.saturating_add(limits.remembered) < at;
        if self.open.is_none() {
            self.before.take_if(is_old);
        }
    }

    fn apply(&mut self, _: &Limits, deed: Deed, tell: &mut dyn FnMut(Visited)) {
        match deed.what {
            Doing::End => {
                if let Some(open) = self.open.take() {
                    self.close(open, deed.at, Reason::Explicit, tell);
                }
            }
            Doing::Event | Doing::Request => {
                let before = &self.before;
                let open = self.open.get_or_insert_with(|| {
                    let open = Visit::begun(before.as_ref(), &deed);
                    tell(open.turn(deed.at, None));
                    open
                });
                open.go_on(&deed);
            }
        }
    }
}

impl Visits {
    fn close(&mut self, open: Visit, ended: u64, reason: Reason, tell: &mut dyn FnMut(Visited)) {
        let end = End {
            reason,
            lasted: ended.saturating_sub(open.began),
            path: open.path.clone(),
            beyond: open.beyond,
            last: open.last.clone(),
        };
        tell(open.turn(ended, Some(end)));
        self.before = Some(Before {
            session: open.session,
            ended,
        });
    }
}

impl Visit {
    fn begun(before: Option<&Before>, deed: &Deed) -> Self {
        let session = match before {
            // The application's id is that of the session before, and of that one alone.
            None if !deed.session.is_empty() => deed.session.clone(),
            _ => made(deed.at, deed.id),
        };
        Self {
            session,
            previous: before.map(|before| before.session.clone()),
            user: deed.user.clone(),
            began: deed.at,
            active: deed.at,
            path: String::new(),
            told: 0,
            beyond: 0,
            last: Box::default(),
        }
    }

    fn go_on(&mut self, deed: &Deed) {
        let step = &deed.step;
        self.active = deed.at;
        self.last.clone_from(step);
        if !deed.user.is_empty() {
            self.user.clone_from(&deed.user);
        }
        let fits = self.path.len() + BETWEEN.len() + step.len() <= MOST_PATH;
        if self.beyond > 0 || self.told >= MOST_STEPS || !fits {
            self.beyond = self.beyond.saturating_add(1);
            return;
        }
        if self.told > 0 {
            self.path.push_str(BETWEEN);
        }
        self.told += 1;
        self.path.push_str(step);
    }

    /// The last moment at which something done is still of it, and why.
    fn end(&self, limits: &Limits) -> (u64, Reason) {
        let idle = self.active.saturating_add(limits.idle);
        let longest = self.began.saturating_add(limits.longest);
        match idle <= longest {
            true => (idle, Reason::Timeout),
            false => (longest, Reason::MaxDuration),
        }
    }

    fn turn(&self, at: u64, end: Option<End>) -> Visited {
        Visited {
            session: self.session.clone(),
            previous: self.previous.clone(),
            user: self.user.clone(),
            at,
            end,
        }
    }
}

/// A UUID of version 7 that is the same whoever makes it.
fn made(at: u64, id: Id) -> Box<str> {
    let hash = SipHasher13::new_with_keys(KEYS.0, KEYS.1).hash(id.as_bytes());
    let bytes = hash.as_u128().to_be_bytes();
    let mut tail = [0; 10];
    tail.copy_from_slice(&bytes[..10]);
    Builder::from_unix_timestamp_millis(at / 1_000, &tail)
        .into_uuid()
        .to_string()
        .into()
}

#[cfg(test)]
pub(super) mod tests;
