//! What the builder is told of the business: which events make funnels and transactions.

use super::Builder;
#[cfg(feature = "redis")]
use crate::shared_state::Redis;
use crate::{
    catalog::declared::Declared,
    clock::Clock,
    error::Error,
    events::{self, ActiveUsers, Feature, Funnel, Sessions, Transaction},
    shared_state::{Memory, SharedState},
};
use std::sync::Arc;

/// Each has a sketch of 16 KiB for each of 28 days.
const MOST_FEATURES: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Business {
    pub(super) declared: Declared,
    own_events: Vec<String>,
    #[cfg(feature = "redis")]
    redis: Option<Redis>,
}

impl Builder {
    /// Counts the attempts at a funnel; may be called again. [`crate::events`] says what is counted
    /// when. A funnel that cannot be counted is refused by `build()`: one without a second step, say,
    /// or with a step that is no event of the [vocabulary](crate::events) and not named by
    /// [`own_events`](Self::own_events).
    pub fn funnel(mut self, funnel: Funnel) -> Self {
        self.business.declared.funnels.push(funnel);
        self
    }

    /// Counts how transactions of a kind end; may be called again. [`crate::events`] says what is
    /// counted when. One that cannot be counted is refused by `build()`, as a [funnel](Self::funnel) is.
    pub fn transaction(mut self, transaction: Transaction) -> Self {
        self.business.declared.transactions.push(transaction);
        self
    }

    /// The state that the replicas of a service share. Default: none; each counts funnels, sessions and
    /// users for itself, and what it counts carries `scope="process"` in place of `scope="global"`; ids of
    /// events are known to it alone, and so is when an error was met last.
    #[cfg(feature = "redis")]
    pub fn shared_state(mut self, redis: Redis) -> Self {
        self.business.redis = Some(redis);
        self
    }

    /// Counts the uses and the users of a feature; may be called again. [`crate::events`] says what is
    /// counted when. One that cannot be counted is refused by `build()`, as a [funnel](Self::funnel) is.
    pub fn feature(mut self, feature: Feature) -> Self {
        self.business.declared.features.push(feature);
        self
    }

    /// Counts who is active by day, week and month; the last call stands. Default: nobody is counted.
    /// [`crate::events`] says who is counted when. A time zone that nobody knows is refused by
    /// `build()`.
    pub fn active_users(mut self, active_users: ActiveUsers) -> Self {
        self.business.declared.active_users = Some(active_users);
        self
    }

    /// Follows sessions; the last call stands. Default: none are followed. [`crate::events`] says when
    /// one begins and ends. Times that contradict each other, and events that are none, are refused by
    /// `build()`.
    pub fn sessions(mut self, sessions: Sessions) -> Self {
        self.business.declared.sessions = Some(sessions);
        self
    }

    /// Names of events that the application declares itself, so that funnels, transactions,
    /// features and sessions may speak of them and a misspelt one is noticed. May be called again.
    pub fn own_events<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        let names = names.into_iter().map(Into::into);
        self.business.own_events.extend(names);
        self
    }
}

impl Business {
    /// # Errors
    /// Something cannot be counted, or two have one name.
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_known = |event: &str| {
            self.own_events.iter().any(|own| own == event)
                || events::names().any(|known| known == event)
        };
        for funnel in &self.declared.funnels {
            funnel.check(is_known)?;
        }
        for transaction in &self.declared.transactions {
            transaction.check(is_known)?;
        }
        for feature in &self.declared.features {
            feature.check(is_known)?;
        }
        if let Some(active_users) = &self.declared.active_users {
            active_users.check()?;
        }
        if let Some(sessions) = &self.declared.sessions {
            sessions.check(is_known)?;
        }
        let features: Vec<_> = self.declared.features.iter().map(Feature::name).collect();
        if features.len() > MOST_FEATURES {
            let accepted = format!("at most {MOST_FEATURES}");
            let found = features.len().to_string();
            return Err(Error::configuration(
                "the number of features",
                found,
                accepted,
            ));
        }
        let funnels: Vec<_> = self.declared.funnels.iter().map(Funnel::name).collect();
        let transactions: Vec<_> = self
            .declared
            .transactions
            .iter()
            .map(Transaction::name)
            .collect();
        only_once("funnel", &funnels)?;
        only_once("feature", &features)?;
        only_once("transaction", &transactions)
    }
}

impl Business {
    /// # Errors
    /// What was said of the shared state is not accepted.
    pub(super) fn state(&self, clock: &Clock) -> Result<Arc<dyn SharedState>, Error> {
        #[cfg(feature = "redis")]
        if let Some(redis) = &self.redis {
            return redis.open(clock);
        }
        #[cfg(not(feature = "redis"))]
        let _ = clock;
        Ok(Arc::<Memory>::default())
    }
}

fn only_once(what: &str, names: &[&str]) -> Result<(), Error> {
    let mut earlier = names.iter().enumerate();
    match earlier.find(|(at, name)| names[..*at].contains(name)) {
        Some((_, name)) => Err(Error::configuration(
            format!("a {what}'s name"),
            *name,
            format!("another name: two {what}s have this one"),
        )),
        None => Ok(()),
    }
}
