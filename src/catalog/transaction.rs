//! The declaration of a transaction: which events say that one came to its end, well or not.

use crate::error::Error;

/// Something that either succeeds or fails, such as a payment, by the events that say so.
///
/// ```
/// use orderscope::{Telemetry, events::{PaymentFailed, PaymentSucceeded, Transaction}};
///
/// let payment = Transaction::new("payment")
///     .succeeded_by(PaymentSucceeded::NAME)
///     .failed_by(PaymentFailed::NAME);
/// let telemetry = Telemetry::builder("orders").transaction(payment).build()?;
/// # drop(telemetry);
/// # Ok::<(), orderscope::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it counts nothing until a builder is given it"]
pub struct Transaction {
    name: String,
    succeeded: Vec<String>,
    failed: Vec<String>,
}

impl Transaction {
    /// One that no event ends yet. The name stands in `transaction.name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            succeeded: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// An event that says that one succeeded; one or more in all.
    pub fn succeeded_by(mut self, event: impl Into<String>) -> Self {
        self.succeeded.push(event.into());
        self
    }

    /// An event that says that one failed; one or more in all.
    pub fn failed_by(mut self, event: impl Into<String>) -> Self {
        self.failed.push(event.into());
        self
    }

    /// `transaction.name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn succeeded(&self) -> &[String] {
        &self.succeeded
    }

    pub(crate) fn failed(&self) -> &[String] {
        &self.failed
    }

    /// # Errors
    /// It cannot be counted: what it is declared with contradicts itself, or names an event that
    /// `is_known` denies.
    pub(crate) fn check(&self, is_known: impl Fn(&str) -> bool) -> Result<(), Error> {
        let refused = |what: &str, value: &str, accepted: &str| {
            let setting = format!("the {what} of the transaction `{}`", self.name);
            Err(Error::configuration(setting, value, accepted))
        };
        if self.name.trim().is_empty() {
            return refused("name", &self.name, "a name such as `payment`");
        }
        for (what, events) in [("success", &self.succeeded), ("failure", &self.failed)] {
            if events.is_empty() {
                return refused(
                    what,
                    "",
                    "one event or more, or its rate of failures says nothing",
                );
            }
            if let Some(unknown) = events.iter().find(|event| !is_known(event)) {
                let accepted = "an event of the vocabulary, or one that `own_events` names";
                return refused(what, unknown, accepted);
            }
            let mut earlier = events.iter().enumerate();
            if let Some((_, twice)) = earlier.find(|(at, event)| events[..*at].contains(event)) {
                return refused(what, twice, "another event: this one is named twice");
            }
        }
        match self
            .failed
            .iter()
            .find(|event| self.succeeded.contains(event))
        {
            Some(both) => refused("failure", both, "an event that is no success of it"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(transaction: &Transaction) -> String {
        let known = ["payment_succeeded", "payment_failed"];
        let checked = transaction.check(|event| known.contains(&event));
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_cannot_be_counted_is_refused_by_name() {
        let payment = || Transaction::new("payment").succeeded_by("payment_succeeded");
        assert_eq!(refusal(&payment().failed_by("payment_failed")), "");
        for (transaction, said) in [
            (
                payment()
                    .succeeded_by("payment_succeeded")
                    .failed_by("payment_failed"),
                "the success of the transaction `payment` is \"payment_succeeded\", but must be another \
                 event: this one is named twice",
            ),
            (
                Transaction::new(""),
                "the name of the transaction `` is \"\", but must be a name such as `payment`",
            ),
            (
                payment(),
                "the failure of the transaction `payment` is \"\", but must be one event or more, or its \
                 rate of failures says nothing",
            ),
            (
                payment().failed_by("payment_filed"),
                "the failure of the transaction `payment` is \"payment_filed\", but must be an event of the \
                 vocabulary, or one that `own_events` names",
            ),
            (
                payment().failed_by("payment_succeeded"),
                "the failure of the transaction `payment` is \"payment_succeeded\", but must be an event \
                 that is no success of it",
            ),
        ] {
            assert_eq!(refusal(&transaction), said);
        }
    }
}
