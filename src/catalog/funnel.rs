//! The declaration of a funnel: the steps that lead somewhere, and what counts as an attempt at it.

use crate::error::Error;
use siphasher::sip::SipHasher13;
use std::{
    hash::{Hash as _, Hasher as _},
    time::Duration,
};

/// Steps that one funnel may have, and exclusions.
pub(crate) const MOST_STEPS: usize = 16;
const LONGEST_WINDOW: Duration = Duration::from_secs(90 * 24 * 3_600);
const WINDOW: Duration = Duration::from_secs(30 * 60);
const LONGEST_LATENESS: Duration = Duration::from_secs(3_600);
const LATENESS: Duration = Duration::from_secs(10);

/// Steps that somebody takes one after the other, each an event. Other events may come between.
///
/// ```
/// use orderscope::{Telemetry, events::{CartViewed, CheckoutStarted, Funnel, OrderCancelled, OrderPlaced}};
/// use std::time::Duration;
///
/// let checkout = Funnel::new("checkout")
///     .step(CartViewed::NAME)
///     .step(CheckoutStarted::NAME)
///     .step(OrderPlaced::NAME)
///     .excluding(OrderCancelled::NAME)
///     .within(Duration::from_secs(30 * 60));
/// let telemetry = Telemetry::builder("orders").funnel(checkout).build()?;
/// # drop(telemetry);
/// # Ok::<(), orderscope::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it counts nothing until a builder is given it"]
pub struct Funnel {
    name: String,
    steps: Vec<String>,
    exclusions: Vec<String>,
    window: Duration,
    lateness: Duration,
    subject: Subject,
    reentry: Reentry,
}

/// Who, or what, takes the steps of a funnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// The user that [`context::identify`](crate::context::identify) names, or the event's own
    /// `user.id`.
    #[default]
    User,
    /// The session, by the same two ways.
    Session,
    /// Whatever has this property, such as `cart_id`.
    Property(String),
}

/// What the first step means while an attempt is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reentry {
    /// Nothing: the attempt goes on from its first first step. Mixpanel's default.
    FirstEntry,
    /// The attempt begins anew, as long as it has not come further. Mixpanel's "optimized", PostHog.
    #[default]
    LatestEntry,
    /// Another way to the end, of which the one that gets furthest counts. Amplitude's uniques,
    /// ClickHouse's `windowFunnel`.
    LongestPath,
}

impl Funnel {
    /// A funnel without steps yet, of users, with a window of 30 minutes. The name stands in
    /// `funnel.name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            steps: Vec::new(),
            exclusions: Vec::new(),
            window: WINDOW,
            lateness: LATENESS,
            subject: Subject::default(),
            reentry: Reentry::default(),
        }
    }

    /// The next step, by the name of its event; 2 to 16 in all. An event may be several steps: it is
    /// then one of them at a time.
    pub fn step(mut self, event: impl Into<String>) -> Self {
        self.steps.push(event.into());
        self
    }

    /// An event that takes an open attempt out of the count, at most 16. At the very same moment as a
    /// step it comes after it.
    pub fn excluding(mut self, event: impl Into<String>) -> Self {
        self.exclusions.push(event.into());
        self
    }

    /// How long after its first step an attempt may reach its last; a step at exactly the end counts.
    /// More than 0, at most 90 days; default 30 minutes.
    pub fn within(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How late an event may come to be put in its place among the others: so long after it is a step
    /// applied, and so long after its window an attempt closed. At most an hour; default 10 seconds.
    pub fn lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// Whose steps make an attempt. Default: [`Subject::User`].
    pub fn followed_by(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// What a first step means while an attempt is open. Default: [`Reentry::LatestEntry`].
    pub fn reentry(mut self, reentry: Reentry) -> Self {
        self.reentry = reentry;
        self
    }

    /// `funnel.name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The events of its steps, in order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &str> {
        self.steps.iter().map(String::as_str)
    }

    /// What each step is called: its event, from the second of one event on with its number, as
    /// `dish_viewed#2`.
    pub(crate) fn step_names(&self) -> impl Iterator<Item = String> {
        self.steps.iter().enumerate().map(|(at, event)| {
            let before = self.steps[..at].iter().filter(|earlier| *earlier == event);
            match before.count() {
                0 => event.clone(),
                before => format!("{event}#{}", before + 1),
            }
        })
    }

    pub(crate) fn exclusions(&self) -> impl Iterator<Item = &str> {
        self.exclusions.iter().map(String::as_str)
    }

    /// Tells it from others of its name, in every process.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        format!("{self:?}").hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn window(&self) -> Duration {
        self.window
    }

    pub(crate) fn allowed_lateness(&self) -> Duration {
        self.lateness
    }

    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(crate) fn reentry_mode(&self) -> Reentry {
        self.reentry
    }

    /// # Errors
    /// It cannot be counted: what it is declared with contradicts itself, or names an event that
    /// `is_known` denies.
    pub(crate) fn check(&self, is_known: impl Fn(&str) -> bool) -> Result<(), Error> {
        let refused = |what: &str, value: &str, accepted: &str| {
            let setting = format!("the {what} of the funnel `{}`", self.name);
            Err(Error::configuration(setting, value, accepted))
        };
        if self.name.trim().is_empty() {
            return refused("name", &self.name, "a name such as `checkout`");
        }
        for (what, events, least) in [
            ("number of steps", &self.steps, 2),
            ("number of exclusions", &self.exclusions, 0),
        ] {
            if !(least..=MOST_STEPS).contains(&events.len()) {
                let accepted = format!("{least} to {MOST_STEPS}");
                return refused(what, &events.len().to_string(), &accepted);
            }
        }
        let mut events = self.steps.iter().chain(&self.exclusions);
        if let Some(unknown) = events.find(|event| !is_known(event)) {
            let accepted = "an event of the vocabulary, or one that `own_events` names";
            return refused("step or exclusion", unknown, accepted);
        }
        if let Some(both) = self
            .exclusions
            .iter()
            .find(|event| self.steps.contains(event))
        {
            return refused("exclusion", both, "an event that is none of its steps");
        }
        let mut earlier = self.exclusions.iter().enumerate();
        if let Some((_, twice)) = earlier.find(|(at, event)| self.exclusions[..*at].contains(event))
        {
            return refused("exclusion", twice, "another event: this one is named twice");
        }
        if self.window.is_zero() || self.window > LONGEST_WINDOW {
            let given = format!("{:?}", self.window);
            return refused("window", &given, "more than 0, at most 90 days");
        }
        if self.lateness > LONGEST_LATENESS {
            let given = format!("{:?}", self.lateness);
            return refused("lateness", &given, "at most an hour");
        }
        match &self.subject {
            Subject::Property(name) if name.trim().is_empty() => {
                refused("subject", name, "the name of a property such as `cart_id`")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(funnel: &Funnel) -> String {
        let known = ["cart_viewed", "checkout_started", "order_placed"];
        let checked = funnel.check(|event| known.contains(&event));
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    fn checkout() -> Funnel {
        Funnel::new("checkout")
            .step("cart_viewed")
            .step("order_placed")
    }

    #[test]
    fn a_funnel_that_can_be_counted_is_accepted() {
        assert_eq!(refusal(&checkout().excluding("checkout_started")), "");
    }

    #[test]
    fn what_cannot_be_counted_is_refused_by_name() {
        for (funnel, said) in [
            (
                Funnel::new(" "),
                "the name of the funnel ` ` is \" \", but must be a name such as `checkout`",
            ),
            (
                Funnel::new("checkout").step("cart_viewed"),
                "the number of steps of the funnel `checkout` is \"1\", but must be 2 to 16",
            ),
            (
                checkout().step("cart_veiwed"),
                "the step or exclusion of the funnel `checkout` is \"cart_veiwed\", but must be an event of \
                 the vocabulary, or one that `own_events` names",
            ),
            (
                checkout().excluding("order_placed"),
                "the exclusion of the funnel `checkout` is \"order_placed\", but must be an event that is \
                 none of its steps",
            ),
            (
                checkout()
                    .excluding("checkout_started")
                    .excluding("checkout_started"),
                "the exclusion of the funnel `checkout` is \"checkout_started\", but must be another event: \
                 this one is named twice",
            ),
            (
                checkout().within(Duration::ZERO),
                "the window of the funnel `checkout` is \"0ns\", but must be more than 0, at most 90 days",
            ),
            (
                checkout().lateness(Duration::from_secs(7_200)),
                "the lateness of the funnel `checkout` is \"7200s\", but must be at most an hour",
            ),
            (
                checkout().followed_by(Subject::Property(String::new())),
                "the subject of the funnel `checkout` is \"\", but must be the name of a property such as \
                 `cart_id`",
            ),
        ] {
            assert_eq!(refusal(&funnel), said);
        }
    }
}
