//! The declaration that active users are counted, and of what a day is to them.

use crate::error::Error;
use jiff::tz::TimeZone;

/// Who was active, by calendar days in one time zone.
///
/// ```
/// use orderscope::{Telemetry, events::ActiveUsers};
///
/// let telemetry = Telemetry::builder("orders")
///     .active_users(ActiveUsers::new().time_zone("Europe/Vienna"))
///     .build()?;
/// # drop(telemetry);
/// # Ok::<(), orderscope::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it counts nobody until a builder is given it"]
pub struct ActiveUsers {
    time_zone: String,
}

impl Default for ActiveUsers {
    fn default() -> Self {
        Self::new()
    }
}

impl ActiveUsers {
    /// By the days of UTC.
    pub fn new() -> Self {
        Self {
            time_zone: "UTC".to_owned(),
        }
    }

    /// The time zone whose midnight ends a day, by its IANA name such as `Europe/Vienna`; also of the
    /// users of features. Default: `UTC`. The rules are those that the machine has in
    /// `/usr/share/zoneinfo`; a container without any gets those that were current when the program was
    /// built. All replicas of a service name the same.
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = name.into();
        self
    }

    /// UTC where there is none of the name, which [`check`](Self::check) has seen to.
    pub(crate) fn zone(&self) -> TimeZone {
        TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    /// # Errors
    /// There is no such time zone.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match TimeZone::get(&self.time_zone) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::configuration(
                "the time zone of active users",
                &self.time_zone,
                "the IANA name of a time zone, such as `Europe/Vienna` or `UTC`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZoneDatabase;

    #[test]
    fn a_time_zone_that_nobody_knows_is_refused_by_name() {
        let of = |name: &str| ActiveUsers::new().time_zone(name).check();
        assert!(of("Europe/Vienna").is_ok() && of("UTC").is_ok());
        assert!(ActiveUsers::new().check().is_ok());
        for name in ["Europe/Wien", ""] {
            let error = of(name).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "the time zone of active users is {name:?}, but must be the IANA name of a time \
                     zone, such as `Europe/Vienna` or `UTC`"
                )
            );
        }
    }

    #[test]
    fn a_container_without_time_zones_has_those_of_the_build() {
        let built_in = TimeZoneDatabase::bundled();
        assert!(built_in.get("Europe/Vienna").is_ok());
    }
}
