//! What users did and nobody has taken yet, without an allocation for each.

use crate::{
    pipeline::subject,
    records::cut,
    semconv,
    shared_state::{Deed, Doing, Id},
};
use compact_str::format_compact;

/// Deeds that wait.
const MOST: usize = 65_536;
/// Bytes of an id, or of a step's name, that are kept.
const LONGEST: usize = 256;

/// What somebody does, in words of the program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    Event(&'static str),
    Request {
        method: &'static str,
        /// `None`: no route matched.
        route: Option<&'static str>,
    },
    /// The session is over.
    End,
}

/// Whose it is, as the application says it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Who<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    told: Vec<Told>,
    /// Of each in order: its session, its user.
    texts: String,
}

#[derive(Debug)]
struct Told {
    at: u64,
    id: Id,
    what: Named,
    session: usize,
    user: usize,
}

impl Who<'_> {
    /// Whether there is nobody whose session it could be. What was masked would make one of all.
    pub(super) fn is_nobody(&self) -> bool {
        self.unit().is_none()
    }

    fn unit(&self) -> Option<Id> {
        let of_session = self.session.and_then(subject::of_session);
        of_session.or_else(|| self.user.and_then(subject::of_text))
    }
}

impl Waiting {
    /// `false`: there is no room.
    pub(super) fn push(&mut self, at: u64, id: Id, what: Named, who: Who<'_>) -> bool {
        if self.told.len() >= MOST {
            return false;
        }
        let mut keep = |text: Option<&str>| {
            let text = cut(text.unwrap_or_default(), LONGEST);
            self.texts.push_str(text);
            text.len()
        };
        let (session, user) = (keep(who.session), keep(who.user));
        self.told.push(Told {
            at,
            id,
            what,
            session,
            user,
        });
        true
    }

    /// Hands all of it over, and keeps the memory.
    pub(super) fn take(&mut self, mut each: impl FnMut(Id, Deed)) {
        let mut texts = self.texts.as_str();
        for told in self.told.drain(..) {
            let mut next = |length| {
                let (text, rest) = texts.split_at(length);
                texts = rest;
                text
            };
            let (session, user) = (next(told.session), next(told.user));
            let who = Who {
                session: Some(session),
                user: Some(user),
            };
            let Some(unit) = who.unit() else {
                continue;
            };
            let is_of_session = subject::of_session(session).is_some();
            let deed = Deed {
                at: told.at,
                what: told.what.doing(),
                id: told.id,
                step: told.what.step(),
                session: if is_of_session { session } else { "" }.into(),
                user: user.into(),
            };
            each(unit, deed);
        }
        self.texts.clear();
    }
}

/// Passes on whom the fields of an event name.
pub(super) fn who(fields: &[u8], pass_on: impl FnOnce(Who<'_>)) {
    let [session, user] =
        [semconv::SESSION_ID, semconv::USER_ID].map(|name| subject::said(fields, name));
    pass_on(Who {
        session: session.as_ref().map(subject::Said::as_str),
        user: user.as_ref().map(subject::Said::as_str),
    });
}

impl Named {
    fn doing(self) -> Doing {
        match self {
            Self::Event(_) => Doing::Event,
            Self::Request { .. } => Doing::Request,
            Self::End => Doing::End,
        }
    }

    fn step(self) -> Box<str> {
        match self {
            Self::Event(name) => cut(name, LONGEST).into(),
            Self::Request {
                method,
                route: Some(route),
            } => cut(&format_compact!("{method} {route}"), LONGEST).into(),
            Self::Request {
                method,
                route: None,
            } => method.into(),
            Self::End => Box::default(),
        }
    }
}
