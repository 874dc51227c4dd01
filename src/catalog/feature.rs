//! The declaration of a feature: which events say that somebody used it.

use crate::error::Error;

/// Something that the service offers, such as favorites, by the events that say that it was used.
///
/// ```
/// use orderscope::{Telemetry, events::{ActiveUsers, FavoriteAdded, Feature}};
///
/// let favorites = Feature::new("favorites").used_by(FavoriteAdded::NAME);
/// let telemetry = Telemetry::builder("orders")
///     .active_users(ActiveUsers::new())
///     .feature(favorites)
///     .build()?;
/// # drop(telemetry);
/// # Ok::<(), orderscope::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it counts nothing until a builder is given it"]
pub struct Feature {
    name: String,
    uses: Vec<String>,
}

impl Feature {
    /// One that no event is a use of yet. The name stands in `feature.name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            uses: Vec::new(),
        }
    }

    /// An event that says that somebody used it; one or more in all. An event may be a use of several
    /// features.
    pub fn used_by(mut self, event: impl Into<String>) -> Self {
        self.uses.push(event.into());
        self
    }

    /// `feature.name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn uses(&self) -> &[String] {
        &self.uses
    }

    /// # Errors
    /// It cannot be counted: it has no name or no use, or names an event twice, or one that `is_known`
    /// denies.
    pub(crate) fn check(&self, is_known: impl Fn(&str) -> bool) -> Result<(), Error> {
        let refused = |what: &str, value: &str, accepted: &str| {
            let setting = format!("the {what} of the feature `{}`", self.name);
            Err(Error::configuration(setting, value, accepted))
        };
        if self.name.trim().is_empty() {
            return refused("name", &self.name, "a name such as `favorites`");
        }
        if self.uses.is_empty() {
            return refused("use", "", "one event or more, or nobody ever uses it");
        }
        if let Some(unknown) = self.uses.iter().find(|event| !is_known(event)) {
            let accepted = "an event of the vocabulary, or one that `own_events` names";
            return refused("use", unknown, accepted);
        }
        let mut earlier = self.uses.iter().enumerate();
        match earlier.find(|(at, event)| self.uses[..*at].contains(event)) {
            Some((_, twice)) => refused("use", twice, "another event: this one is named twice"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(feature: &Feature) -> String {
        let checked = feature.check(|event| event == "favorite_added");
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_cannot_be_counted_is_refused_by_name() {
        let favorites = || Feature::new("favorites");
        assert_eq!(refusal(&favorites().used_by("favorite_added")), "");
        for (feature, said) in [
            (
                Feature::new(" "),
                "the name of the feature ` ` is \" \", but must be a name such as `favorites`",
            ),
            (
                favorites(),
                "the use of the feature `favorites` is \"\", but must be one event or more, or nobody ever \
                 uses it",
            ),
            (
                favorites().used_by("favourite_added"),
                "the use of the feature `favorites` is \"favourite_added\", but must be an event of the \
                 vocabulary, or one that `own_events` names",
            ),
            (
                favorites()
                    .used_by("favorite_added")
                    .used_by("favorite_added"),
                "the use of the feature `favorites` is \"favorite_added\", but must be another event: this \
                 one is named twice",
            ),
        ] {
            assert_eq!(refusal(&feature), said);
        }
    }
}
