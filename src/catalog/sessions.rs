//! The declaration that sessions are followed, and of what ends one.

use crate::error::Error;
use http::HeaderName;
use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);
const LONGEST_LATENESS: Duration = Duration::from_secs(3_600);
/// What a kitchen, a courier or an accountant does while the user does nothing. That an order failed is
/// not among them: it answers what the user just tried.
const NOT_THE_USERS: [&str; 7] = [
    "order_accepted",
    "order_rejected",
    "courier_assigned",
    "order_picked_up",
    "order_delivered",
    "delivery_late",
    "order_refunded",
];

/// What a user does from coming to going, by the session that the application names or, where it names
/// none, by the user.
///
/// ```
/// use orderscope::{Telemetry, events::Sessions};
/// use std::time::Duration;
///
/// let sessions = Sessions::new().idle_after(Duration::from_secs(20 * 60));
/// let telemetry = Telemetry::builder("orders").sessions(sessions).build()?;
/// # drop(telemetry);
/// # Ok::<(), orderscope::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it follows nobody until a builder is given it"]
pub struct Sessions {
    idle: Duration,
    longest: Duration,
    lateness: Duration,
    not_extended_by: Vec<String>,
    carrier: Option<Carrier>,
}

/// What of a request names the session that it is of.
#[derive(Clone, Debug)]
pub(crate) enum Carrier {
    Cookie(String),
    /// As it was given.
    Header(String),
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

impl Sessions {
    /// Those that end after 30 minutes without activity, and after 24 hours.
    pub fn new() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            longest: Duration::from_secs(24 * 3_600),
            lateness: Duration::from_secs(10),
            not_extended_by: NOT_THE_USERS.map(str::to_owned).into(),
            carrier: None,
        }
    }

    /// How long without activity a session goes on; activity at exactly the end extends it. More than 0,
    /// at most [`at_most`](Self::at_most); default 30 minutes.
    pub fn idle_after(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// How long a session goes on at all; activity after that begins another. At most 30 days; default 24
    /// hours.
    pub fn at_most(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// How late activity may come to be put in its place among the rest: so long after it is it applied.
    /// At most an hour; default 10 seconds.
    pub fn lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// An event that is no activity of the user: it neither begins nor extends a session, nor is it one
    /// of its steps. May be called again; it adds to what is so by default: `order_accepted`,
    /// `order_rejected`, `courier_assigned`, `order_picked_up`, `order_delivered`, `delivery_late`,
    /// `order_refunded`.
    pub fn not_extended_by(mut self, event: impl Into<String>) -> Self {
        self.not_extended_by.push(event.into());
        self
    }

    /// Each request is of the session that a cookie of this name stands for, unless the program says
    /// otherwise by [`identify`](crate::context::identify) or
    /// [`identify_session`](crate::context::identify_session). Who has a session's cookie is its user, so
    /// `session.id` is the first half of its SHA-256, as 32 hexadecimal digits. One cookie or one
    /// [header](Self::from_header): the last call stands. Default: none.
    pub fn from_cookie(mut self, name: impl Into<String>) -> Self {
        self.carrier = Some(Carrier::Cookie(name.into()));
        self
    }

    /// As [`from_cookie`](Self::from_cookie), by a header, such as `x-session-id`, whose value is
    /// `session.id` as it is, up to 128 bytes; one that is not visible ASCII names none. It leaves in records:
    /// not for one by which a user is known to the service.
    pub fn from_header(mut self, name: impl Into<String>) -> Self {
        self.carrier = Some(Carrier::Header(name.into()));
        self
    }

    pub(crate) fn carrier(&self) -> Option<&Carrier> {
        self.carrier.as_ref()
    }

    pub(crate) fn idle(&self) -> Duration {
        self.idle
    }

    pub(crate) fn longest(&self) -> Duration {
        self.longest
    }

    pub(crate) fn allowed_lateness(&self) -> Duration {
        self.lateness
    }

    pub(crate) fn others_events(&self) -> &[String] {
        &self.not_extended_by
    }

    /// # Errors
    /// A time is out of its bounds, or an event is one that `is_known` denies.
    pub(crate) fn check(&self, is_known: impl Fn(&str) -> bool) -> Result<(), Error> {
        let refused = |what: &str, value: &str, accepted: &str| {
            let setting = format!("the {what} of sessions");
            Err(Error::configuration(setting, value, accepted))
        };
        if self.longest.is_zero() || self.longest > LONGEST {
            let given = format!("{:?}", self.longest);
            return refused("at_most", &given, "more than 0, at most 30 days");
        }
        if self.idle.is_zero() || self.idle > self.longest {
            let given = format!("{:?}", self.idle);
            let accepted = format!("more than 0, at most their at_most of {:?}", self.longest);
            return refused("idle_after", &given, &accepted);
        }
        if self.lateness > LONGEST_LATENESS {
            let given = format!("{:?}", self.lateness);
            return refused("lateness", &given, "at most an hour");
        }
        match &self.carrier {
            Some(Carrier::Cookie(name)) if !is_token(name) => {
                return refused("from_cookie", name, "the name of a cookie, such as `sid`");
            }
            Some(Carrier::Header(name)) if name.parse::<HeaderName>().is_err() => {
                let accepted = "the name of a header, such as `x-session-id`";
                return refused("from_header", name, accepted);
            }
            _ => {}
        }
        match self.not_extended_by.iter().find(|event| !is_known(event)) {
            Some(unknown) => {
                let accepted = "an event of the vocabulary, or one that `own_events` names";
                refused("not_extended_by", unknown, accepted)
            }
            None => Ok(()),
        }
    }
}

/// Whether it is what RFC 6265 lets a cookie be called.
fn is_token(name: &str) -> bool {
    let separators = "()<>@,;:\\\"/[]?={}";
    let is_of_it = |byte: u8| byte.is_ascii_graphic() && !separators.contains(char::from(byte));
    !name.is_empty() && name.bytes().all(is_of_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        let refusal = |sessions: Sessions| {
            let is_known = |event: &str| NOT_THE_USERS.contains(&event);
            let checked = sessions.check(is_known);
            checked.map_or_else(|error| error.to_string(), |()| String::new())
        };
        let sessions = Sessions::new;
        assert_eq!(refusal(sessions()), "");
        for (sessions, said) in [
            (
                sessions().at_most(Duration::ZERO),
                "the at_most of sessions is \"0ns\", but must be more than 0, at most 30 days",
            ),
            (
                sessions().idle_after(2 * LONGEST),
                "the idle_after of sessions is \"5184000s\", but must be more than 0, at most their at_most \
                 of 86400s",
            ),
            (
                sessions().lateness(Duration::from_secs(7_200)),
                "the lateness of sessions is \"7200s\", but must be at most an hour",
            ),
            (
                sessions().from_header("x-session").from_cookie("my sid"),
                "the from_cookie of sessions is \"my sid\", but must be the name of a cookie, such as `sid`",
            ),
            (
                sessions().from_header(""),
                "the from_header of sessions is \"\", but must be the name of a header, such as \
                 `x-session-id`",
            ),
            (
                sessions().not_extended_by("order_deliverd"),
                "the not_extended_by of sessions is \"order_deliverd\", but must be an event of the \
                 vocabulary, or one that `own_events` names",
            ),
        ] {
            assert_eq!(refusal(sessions), said);
        }
    }
}
