//! Which calendar day it is somewhere.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

const FIRST: Date = Date::constant(1970, 1, 1);

/// Calendar days of a time zone, counted from 1970. Remembers one, since what is asked for is today.
#[derive(Debug)]
pub(super) struct Days {
    zone: TimeZone,
    day: u32,
    /// Microseconds since 1970.
    begins: u64,
    ends: u64,
}

impl Days {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            day: 0,
            begins: 0,
            ends: 0,
        }
    }

    /// The day of a moment, and when it ends.
    pub(super) fn of(&mut self, at: u64) -> (u32, u64) {
        if !(self.begins..self.ends).contains(&at) {
            // Of a time beyond all calendars, nothing: it is of the day that is known.
            let _ = self.find(at);
        }
        (self.day, self.ends)
    }

    fn find(&mut self, at: u64) -> Option<()> {
        let moment = Timestamp::from_microsecond(i64::try_from(at).ok()?).ok()?;
        let date = moment.to_zoned_datetime(self.zone.clone()).date();
        let begin = |date: Date| {
            let midnight = date.to_zoned_datetime(self.zone.clone()).ok()?;
            // West of Greenwich the first day begins before 1970.
            Some(u64::try_from(midnight.timestamp().as_microsecond()).unwrap_or_default())
        };
        let (begins, ends) = (begin(date)?, begin(date.tomorrow().ok()?)?);
        let day = date.duration_since(FIRST).as_hours() / 24;
        self.day = u32::try_from(day).unwrap_or_default();
        (self.begins, self.ends) = (begins, ends);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> u64 {
        let moment: Timestamp = text.parse().unwrap();
        u64::try_from(moment.as_microsecond()).unwrap()
    }

    #[test]
    fn a_day_ends_at_the_midnight_of_its_time_zone_also_where_clocks_are_changed() {
        let mut vienna = Days::new(TimeZone::get("Europe/Vienna").unwrap());
        let mut utc = Days::new(TimeZone::UTC);
        let (day, _) = utc.of(micros("2026-03-29T12:00:00Z"));
        for (moment, days_on) in [
            ("2026-03-28T22:59:59.999999Z", -1),
            // On this day it has 23 hours.
            ("2026-03-28T23:00:00Z", 0),
            ("2026-03-29T21:59:59.999999Z", 0),
            ("2026-03-29T22:00:00Z", 1),
            ("2026-03-28T23:30:00Z", 0),
        ] {
            let (found, ends) = vienna.of(micros(moment));
            assert_eq!(i64::from(found), i64::from(day) + days_on, "{moment}");
            assert!(ends > micros(moment));
        }
        assert_eq!(utc.of(micros("2026-03-28T23:30:00Z")).0, day - 1);
    }

    #[test]
    fn the_first_day_begins_before_1970_in_the_west_and_no_time_is_too_far() {
        let mut days = Days::new(TimeZone::get("America/New_York").unwrap());
        assert_eq!(days.of(0).0, 0);
        let (day, _) = days.of(micros("2026-11-27T12:00:00Z"));
        assert_eq!(days.of(u64::MAX).0, day);
    }
}
