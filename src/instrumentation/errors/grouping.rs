//! On the worker, after the stack has its names: which group the error is of, and what that has
//! come to.

use crate::{
    delivery::Stage,
    pipeline::{Pipeline, Told},
    records::{Fields, MESSAGE, Record, Value, read},
    semconv,
};

/// Adds how many errors of its group there were, and whether it had been away.
pub(crate) struct JoinGroup {
    pub(super) pipeline: &'static Pipeline,
}

impl JoinGroup {
    pub(crate) fn new(pipeline: &'static Pipeline) -> Self {
        Self { pipeline }
    }
}

impl Stage for JoinGroup {
    fn apply(&mut self, record: &Record, fields: &mut Fields) {
        let Record::Error(log, raised) = record else {
            return;
        };
        let mut fingerprint = None;
        let mut told = Told {
            type_name: "",
            message: "",
            function: None,
            severity: log.severity,
            is_handled: true,
            user: None,
            route: None,
        };
        for (name, value) in read(fields.as_bytes()) {
            match (name, value) {
                (semconv::ERROR_FINGERPRINT, Value::Text(text)) => fingerprint = text.parse().ok(),
                (semconv::EXCEPTION_TYPE, Value::Text(text)) => told.type_name = text,
                (semconv::EXCEPTION_MESSAGE, Value::Text(text)) => told.message = text,
                (MESSAGE, Value::Text(text)) if told.message.is_empty() => told.message = text,
                (semconv::CODE_FUNCTION_NAME, Value::Text(text)) => told.function = Some(text),
                (semconv::ERROR_HANDLED, Value::Boolean(is)) => told.is_handled = is,
                (semconv::USER_ID, Value::Text(user)) => told.user = Some(user),
                (semconv::HTTP_ROUTE, Value::Text(route)) => told.route = Some(route),
                _ => {}
            }
        }
        let groups = &self.pipeline.error_groups;
        let found =
            fingerprint.and_then(|fingerprint| groups.find(raised, fingerprint, told, log.at));
        if let Some(found) = found {
            let count = i64::try_from(found.count).unwrap_or(i64::MAX);
            fields.number(semconv::ERROR_GROUP_COUNT, count);
            if found.has_come_back {
                fields.flag(semconv::ERROR_REGRESSED, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Details, HandlerError, ResolveStack, capture_error, capture_error_with, panics,
            planted::{Told as Recorded, request, within},
        },
        *,
    };
    use crate::{
        clock::ManualClock,
        context,
        records::{Limits, Signal},
        snapshot::ErrorGroup,
    };
    use std::{
        num::ParseIntError,
        time::{Duration, SystemTime},
    };

    /// A pipeline in a time of its own, and what the worker does of its records.
    struct Watched {
        hands: ManualClock,
        pipeline: &'static Pipeline,
    }

    impl Watched {
        fn new() -> Self {
            let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
            let pipeline = Pipeline::for_tests_by(hands.clock(), &[Signal::Logs]);
            Self { hands, pipeline }
        }

        /// The records that lie there, as the stages leave them.
        fn records(&self) -> Vec<Recorded> {
            let mut stages: [Box<dyn Stage>; 2] = [
                Box::new(ResolveStack::default()),
                Box::new(JoinGroup::new(self.pipeline)),
            ];
            let staged = Recorded::all(self.pipeline).into_iter().map(|told| {
                let mut fields = Fields::new(Limits::default(), told.fields);
                for stage in &mut stages {
                    stage.apply(&told.record, &mut fields);
                }
                Recorded {
                    record: told.record,
                    fields: fields.into_bytes(),
                }
            });
            staged.collect()
        }

        fn groups(&self) -> Vec<ErrorGroup> {
            self.pipeline.error_groups.shown(Some("1.2.3"))
        }

        #[track_caller]
        fn group(&self) -> ErrorGroup {
            let mut groups = self.groups();
            assert_eq!(groups.len(), 1, "{groups:#?}");
            groups.remove(0)
        }

        fn number(&self, name: &str) -> f64 {
            crate::snapshot::Snapshot::of(&self.pipeline.registry).gauge(name, &[])
        }

        /// Runs `code` for a request of this user.
        fn of_user(&self, user: u32, code: impl FnOnce()) {
            within(self.pipeline, || {
                context::identify_user(format!("u-{user}"));
                code();
            });
        }
    }

    fn not_a_number() -> ParseIntError {
        "seven".parse::<u8>().unwrap_err()
    }

    #[test]
    fn errors_of_one_place_are_one_group_with_all_that_it_met() {
        let watched = Watched::new();
        for user in 0..5 {
            watched.of_user(user % 3, || capture_error(&not_a_number()));
            watched.hands.advance(Duration::from_secs(2));
        }
        let records = watched.records();
        assert_eq!(records.len(), 5);
        let group = watched.group();
        for (at, told) in records.iter().enumerate() {
            assert_eq!(told.text(semconv::ERROR_FINGERPRINT), group.fingerprint);
            assert_eq!(told.value(semconv::ERROR_REGRESSED), None, "{at}");
            let count = told.value(semconv::ERROR_GROUP_COUNT);
            assert_eq!(count, Some(Value::Integer(5)), "as it is when it is seen");
        }
        assert_eq!(group.exception_type, "core::num::error::ParseIntError");
        assert_eq!(group.message, "invalid digit found in string");
        let function = group.function.as_deref().unwrap_or_default();
        assert!(
            function.contains("errors_of_one_place_are_one_group"),
            "{function}"
        );
        assert_eq!((group.count, group.recent, group.affected_users), (5, 5, 3));
        assert_eq!(group.recently_affected_users, 3);
        assert_eq!(group.rate_per_minute(), 1.0);
        assert_eq!(group.endpoints, ["PUT /orders/{id}"]);
        assert_eq!(group.release.as_deref(), Some("1.2.3"));
        assert_eq!((group.severity, group.is_handled), ("ERROR", true));
        let lasted = group.last_seen.duration_since(group.first_seen);
        assert_eq!(lasted.unwrap(), Duration::from_secs(8));
        let metrics = ["groups.active", "groups.new", "group.affected_users"];
        let metrics = metrics.map(|name| watched.number(&format!("orderscope.error.{name}")));
        assert_eq!(metrics, [1.0, 1.0, 3.0]);
        watched.hands.advance(Duration::from_secs(600));
        let metrics = ["groups.active", "groups.new", "group.affected_users"];
        let metrics = metrics.map(|name| watched.number(&format!("orderscope.error.{name}")));
        assert_eq!(metrics, [0.0, 1.0, 0.0], "ten minutes later");
        assert_eq!(watched.group().affected_users, 3);
    }

    #[test]
    fn panics_that_only_a_layer_saw_are_told_apart_by_what_they_say_without_its_numbers() {
        let watched = Watched::new();
        for said in ["oven 7 is cold", "oven 12 is cold", "no chef"] {
            within(watched.pipeline, || {
                panics::record_caught(watched.pipeline, &said)
            });
        }
        let records = watched.records();
        let told: Vec<_> = records
            .iter()
            .map(|told| told.text(semconv::ERROR_FINGERPRINT))
            .collect();
        assert_eq!(told[0], told[1]);
        assert_ne!(told[0], told[2]);
        let mut groups: Vec<_> = watched.groups();
        groups.sort_by_key(|group| group.count);
        let groups: Vec<_> = groups
            .iter()
            .map(|g| (g.count, g.fingerprint.as_str()))
            .collect();
        assert_eq!(groups, [(1, told[2]), (2, told[0])], "as the records say");
    }

    #[test]
    fn panics_that_repeat_a_client_s_words_are_a_few_groups_and_all_counted() {
        let words = "abcdefghijklmnopqrstuvwxyz".as_bytes();
        let dish = |number: usize| -> String {
            let letters = [number / 676, number / 26, number].map(|n| words[n % 26]);
            letters.into_iter().map(char::from).collect()
        };
        let watched = Watched::new();
        let mut records = Vec::new();
        for number in 0..2_000 {
            within(watched.pipeline, || {
                let said = format!("no such dish: {}", dish(number));
                panics::record_caught(watched.pipeline, &said);
            });
            watched.hands.advance(Duration::from_secs(1));
            if number % 50 == 49 {
                records.extend(watched.records());
            }
        }
        assert_eq!(records.len(), 2_000);
        let groups = watched.groups();
        assert_eq!(groups.len(), 9, "eight and the others");
        assert_eq!((groups[0].count, groups[1].count), (1_992, 1));
        assert_eq!(groups[0].exception_type, "panic", "with its own words");
        assert_eq!(
            records[1_999].text(semconv::ERROR_FINGERPRINT),
            groups[0].fingerprint
        );
        // The sites of others are free.
        within(watched.pipeline, || capture_error(&not_a_number()));
        watched.records();
        assert_eq!(watched.groups().len(), 10);
    }

    /// Raises an error this deep, so that who calls it lies beyond what a site looks at.
    #[inline(never)]
    fn raise_in_depth(depth: u32) {
        match depth {
            0 => capture_error(&std::fmt::Error),
            _ => raise_in_depth(depth - 1),
        }
        std::hint::black_box(());
    }

    #[inline(never)]
    fn while_cooking() {
        raise_in_depth(20);
        std::hint::black_box(());
    }

    #[inline(never)]
    fn while_riding() {
        raise_in_depth(20);
        std::hint::black_box(());
    }

    #[test]
    fn errors_of_one_site_that_turn_out_to_be_of_two_groups_are_counted_in_theirs() {
        let watched = Watched::new();
        let raise = |users: std::ops::Range<u32>, code: fn()| {
            for user in users {
                watched.of_user(user, code);
            }
        };
        let counts = || {
            let counts = watched.groups().into_iter();
            let mut counts: Vec<_> = counts.map(|group| (group.count, group.recent)).collect();
            counts.sort_unstable();
            counts
        };
        raise(0..4, while_cooking);
        watched.records();
        raise(10..13, while_riding);
        let told = watched.records();
        let count = told[2].value(semconv::ERROR_GROUP_COUNT);
        assert_eq!(count, Some(Value::Integer(3)));
        assert_eq!(counts(), [(3, 3), (4, 4)]);
        for _ in 0..20 {
            raise(0..10, while_cooking);
            raise(10..30, while_riding);
        }
        watched.records();
        assert_eq!(counts(), [(204, 204), (403, 403)]);
        let mut groups = watched.groups().into_iter();
        let of_riding = groups.find(|group| group.count == 403).unwrap();
        assert_eq!(of_riding.affected_users, 20);
        assert_eq!(of_riding.endpoints, ["PUT /orders/{id}"]);
        assert_eq!(watched.number("orderscope.exceptions"), 607.0);
        assert_eq!(watched.number("orderscope.error.groups.new"), 2.0);
    }

    #[test]
    fn threads_that_raise_one_error_together_are_all_counted() {
        const EACH: u32 = 2_000;
        let watched = Watched::new();
        let pipeline = watched.pipeline;
        let raise = || within(pipeline, || capture_error(&not_a_number()));
        // The second time its group is known.
        for each in [1, EACH] {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..each).for_each(|_| raise()));
                }
            });
            watched.records();
        }
        let group = watched.group();
        assert_eq!(group.count, u64::from(4 + 4 * EACH), "{group:?}");
    }

    #[test]
    fn the_affected_users_are_those_of_the_worst_group() {
        let watched = Watched::new();
        for user in 0..5 {
            watched.of_user(user, || capture_error(&not_a_number()));
        }
        for user in 10..13 {
            watched.of_user(user, || capture_error(&std::fmt::Error));
        }
        watched.records();
        assert_eq!(watched.groups().len(), 2);
        assert_eq!(watched.number("orderscope.error.group.affected_users"), 5.0);
    }

    #[test]
    fn of_a_storm_ten_are_told_then_one_a_second_and_all_are_counted() {
        const STORM: u32 = 30_000;
        let watched = Watched::new();
        let mut told = 0;
        for number in 0..STORM {
            watched.of_user(number % 1_000, || capture_error(&not_a_number()));
            watched.hands.advance(Duration::from_micros(100));
            if number % 500 == 0 {
                told += watched.records().len();
            }
        }
        told += watched.records().len();
        // Three seconds.
        assert!((12..=13).contains(&told), "{told}");
        let group = watched.group();
        assert_eq!(group.count, u64::from(STORM));
        assert!(group.affected_users.abs_diff(1_000) <= 48, "{group:?}");
        let counted = watched.number("orderscope.exceptions");
        assert_eq!(counted, f64::from(STORM));
    }

    #[test]
    fn an_error_that_was_away_has_come_back() {
        let watched = Watched::new();
        let raise = || watched.of_user(1, || capture_error(&not_a_number()));
        let regressed = || {
            let told = watched.records();
            let is_so = |told: &Recorded| told.value(semconv::ERROR_REGRESSED).is_some();
            told.iter().map(is_so).collect::<Vec<_>>()
        };
        for pause in [0, 10, 3_600] {
            watched.hands.advance(Duration::from_secs(pause));
            raise();
            assert_eq!(regressed(), [false], "after {pause} s");
        }
        watched.hands.advance(Duration::from_secs(3_601));
        raise();
        assert_eq!(regressed(), [true]);
        raise();
        assert_eq!(regressed(), [false]);
        assert_eq!(watched.group().regressions, 1);
    }

    #[test]
    fn a_given_fingerprint_makes_one_group_of_many_places_and_types() {
        let watched = Watched::new();
        let details = Details::new().fingerprint("card network");
        within(watched.pipeline, || {
            capture_error_with(&not_a_number(), details.tag("attempt", 1));
            capture_error_with(&std::fmt::Error, details.tag("attempt", 2));
            capture_error(&std::fmt::Error);
        });
        let attempts: Vec<_> = watched
            .records()
            .iter()
            .map(|t| t.value("attempt").is_some())
            .collect();
        assert_eq!(attempts, [true, true, false]);
        let counts: Vec<_> = watched.groups().iter().map(|group| group.count).collect();
        assert_eq!(counts, [2, 1]);
    }

    #[test]
    fn panics_and_errors_of_handlers_have_groups_too() {
        let watched = Watched::new();
        within(watched.pipeline, || {
            panics::record_caught(watched.pipeline, &"planted");
            drop(HandlerError::new(&std::fmt::Error));
        });
        watched.records();
        let mut kinds: Vec<_> = watched
            .groups()
            .into_iter()
            .map(|group| (group.exception_type, group.is_handled, group.endpoints))
            .collect();
        kinds.sort();
        let endpoint = || vec!["PUT /orders/{id}".to_owned()];
        let expected = [
            ("core::fmt::Error".to_owned(), true, endpoint()),
            ("panic".to_owned(), false, endpoint()),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn beyond_the_limit_a_handler_s_error_is_counted_and_carries_nothing() {
        let watched = Watched::new();
        within(watched.pipeline, || {
            for _ in 0..100 {
                drop(HandlerError::new(&std::fmt::Error));
            }
        });
        assert_eq!(watched.records().len(), 10);
        assert_eq!(watched.group().count, 100);
    }

    #[test]
    fn errors_of_too_many_groups_are_one_and_none_is_lost() {
        let watched = Watched::new();
        let mut told = Vec::new();
        for number in 0..2_000 {
            let given = number.to_string();
            within(watched.pipeline, || {
                capture_error_with(&std::fmt::Error, Details::new().fingerprint(&given));
            });
            watched.hands.advance(Duration::from_secs(1));
            if number % 50 == 49 {
                told.extend(watched.records());
            }
        }
        assert_eq!(told.len(), 2_000);
        let groups = watched.pipeline.error_groups.shown(None);
        let others = groups.iter().find(|group| group.exception_type == "_OTHER");
        let others = others.expect("they find no place of their own");
        assert!(others.count > 1_400, "{others:?}");
        assert_eq!(watched.number("orderscope.exceptions"), 2_000.0);
        // The event has its own all the same.
        let given = crate::stack::Fingerprint::of_words(&["1999"]).to_string();
        assert_eq!(told[1_999].text(semconv::ERROR_FINGERPRINT), given);
    }

    #[test]
    fn a_request_of_no_route_and_no_user_is_counted_all_the_same() {
        let watched = Watched::new();
        let mut nobody = request(watched.pipeline);
        nobody.route = None;
        let mut nobody = Some(nobody);
        {
            let _entered = context::enter(&mut nobody);
            capture_error(&not_a_number());
        }
        watched.records();
        let group = watched.group();
        assert_eq!((group.count, group.affected_users), (1, 0));
        assert!(group.endpoints.is_empty());
    }

    #[test]
    fn a_clock_that_stands_still_limits_and_counts() {
        let pipeline = Pipeline::for_tests_by(
            ManualClock::starting_at(SystemTime::UNIX_EPOCH).clock(),
            &[Signal::Logs],
        );
        within(pipeline, || {
            for _ in 0..50 {
                capture_error(&not_a_number());
            }
        });
        assert_eq!(Recorded::all(pipeline).len(), 10);
    }
}
