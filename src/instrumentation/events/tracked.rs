//! From the call to the hand-off.

use super::{
    id,
    properties::{Properties, Property},
    when::When,
};
use crate::{
    context::{self, Happened},
    pipeline::{self, Activity, Held, Pipeline, Sighting, Step},
    records::{Fields, Log, Record, Severity, Signal},
    semconv,
};
use compact_str::CompactString;
use std::time::{Instant, SystemTime};

/// The reason for which an event without a usable id is refused.
const EMPTY_ID: &str = "empty_id";
/// The reason for which an event is refused that has the id of an earlier one of its name.
const DUPLICATE: &str = "duplicate";

/// Something that happens in the business, with what is worth knowing of it.
///
/// ```
/// use orderscope::{events::{Event, Properties}, track_event};
///
/// struct CouponDenied<'a> {
///     code: &'a str,
///     attempts: u32,
/// }
///
/// impl Event for CouponDenied<'_> {
///     const NAME: &'static str = "coupon_denied";
///
///     fn properties(&self, properties: &mut Properties<'_>) {
///         properties.text("coupon", self.code);
///         properties.unsigned("attempts", self.attempts.into());
///     }
/// }
///
/// track_event(CouponDenied { code: "SPRING", attempts: 2 });
/// ```
///
/// A name that is empty, longer than 255 bytes, or `exception` does not compile:
///
/// ```compile_fail
/// use orderscope::{events::{Event, Properties}, track_event};
///
/// struct Nameless;
///
/// impl Event for Nameless {
///     const NAME: &'static str = "";
///     fn properties(&self, _: &mut Properties<'_>) {}
/// }
///
/// track_event(Nameless);
/// ```
pub trait Event {
    /// What the event is called, in snake_case.
    const NAME: &'static str;

    /// Adds what is worth knowing of it. Called only when the record goes somewhere, or something
    /// declared asks for the event, so nothing that the program relies on belongs here.
    fn properties(&self, properties: &mut Properties<'_>);

    /// An id that the application has for it already, such as the payment provider's. Default:
    /// none, and a UUID of version 7 is made. An event whose id is blank is refused and counted.
    fn id(&self) -> Option<&str> {
        None
    }

    /// When it happened, by the clock of whoever saw it, such as a customer's phone. Default: none, and
    /// it happens now. A time that is more than a day from the server's is replaced by now, and the record
    /// says so in `orderscope.event.time.replaced`. What comes later than a funnel's lateness is no step
    /// of it any more.
    fn time(&self) -> Option<SystemTime> {
        None
    }
}

impl<E: Event> Event for &E {
    const NAME: &'static str = E::NAME;

    fn properties(&self, properties: &mut Properties<'_>) {
        E::properties(self, properties);
    }

    fn id(&self) -> Option<&str> {
        E::id(self)
    }

    fn time(&self) -> Option<SystemTime> {
        E::time(self)
    }
}

/// Counts an event, and records it where a destination takes logs. [`crate::events`] says what is
/// counted when.
///
/// It waits for nothing, fails never, and costs about as much as a log line that is not printed.
pub fn track_event(event: impl Event) {
    fn track<E: Event>(event: &E) {
        let name = const { by_macro::checked(E::NAME) };
        let given = Given {
            id: event.id(),
            time: event.time(),
        };
        record(name, given, |properties| event.properties(properties));
    }
    track(&event);
}

/// As the function [`track_event`](crate::events::track_event()), for an event that is declared
/// where it happens.
///
/// ```
/// # struct Basket;
/// # impl std::fmt::Display for Basket {
/// #     fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) }
/// # }
/// # impl std::fmt::Debug for Basket {
/// #     fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) }
/// # }
/// # let (basket, coupon, payment_id, city) = (Basket, None::<String>, "p-1", "Bergen");
/// use orderscope::{events::{Currency, Money}, track_event};
/// use std::time::SystemTime;
///
/// track_event!(
///     "coupon_applied",
///     event_id = payment_id,                      // the event's id; anything that is a `str`
///     event_time = SystemTime::now(),             // when it happened, if not now; into a `SystemTime`
///     city,                                       // as `city = city`
///     items = 3,                                  // any `Property`: typed
///     restaurant.name = "Roma",                   // a name with dots,
///     "delivery.express" = true,                  // or any text
///     coupon = coupon,                            // an `Option` that is `None` is left out
///     value = Money::minor(2350, Currency::EUR),  // adds `currency` too
///     basket = %basket,                           // by `Display`
///     details = ?basket,                          // by `Debug`
/// );
/// ```
///
/// The name is a literal. Values are evaluated whether or not the record goes somewhere, and are
/// taken by reference; what `%` and `?` name is formatted only when it does. A name that is empty,
/// longer than 255 bytes, or `exception` does not compile:
///
/// ```compile_fail
/// orderscope::track_event!("");
/// ```
#[macro_export]
macro_rules! track_event {
    // Collected: the id and the time, and names with values.
    (@ $name:literal [[$($id:expr)?] [$($time:expr)?]] [$($key:expr => $value:expr;)*]) => {{
        const NAME: &str = $crate::events::by_macro::checked($name);
        $crate::events::by_macro::track(
            NAME,
            &[$(::core::convert::AsRef::<str>::as_ref(&$id))?],
            &[$(::core::convert::Into::<::std::time::SystemTime>::into($time))?],
            &[$(($key, &$value as &dyn $crate::events::Property)),*],
        )
    }};
    (@ $name:literal [[$($id:expr)?] $time:tt] [$($all:tt)*] event_id = $value:expr $(, $($rest:tt)*)?) => {
        $crate::track_event!(@ $name [[$($id)? $value] $time] [$($all)*] $($($rest)*)?)
    };
    (@ $name:literal [$id:tt [$($time:expr)?]] [$($all:tt)*] event_time = $value:expr $(, $($rest:tt)*)?) => {
        $crate::track_event!(@ $name [$id [$($time)? $value]] [$($all)*] $($($rest)*)?)
    };
    (@ $name:literal $id:tt [$($all:tt)*] $key:literal = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::track_event!(@ $name $id
            [$($all)* $key => $crate::events::by_macro::Displayed(&$value);] $($($rest)*)?)
    };
    (@ $name:literal $id:tt [$($all:tt)*] $key:literal = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::track_event!(@ $name $id
            [$($all)* $key => $crate::events::by_macro::Debugged(&$value);] $($($rest)*)?)
    };
    (@ $name:literal $id:tt [$($all:tt)*] $key:literal = $value:expr $(, $($rest:tt)*)?) => {
        $crate::track_event!(@ $name $id [$($all)* $key => $value;] $($($rest)*)?)
    };
    (@ $name:literal $id:tt [$($all:tt)*] $first:ident $(. $next:ident)* = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::track_event!(@ $name $id
            [$($all)* concat!(stringify!($first) $(, ".", stringify!($next))*)
                => $crate::events::by_macro::Displayed(&$value);] $($($rest)*)?)
    };
    (@ $name:literal $id:tt [$($all:tt)*] $first:ident $(. $next:ident)* = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::track_event!(@ $name $id
            [$($all)* concat!(stringify!($first) $(, ".", stringify!($next))*)
                => $crate::events::by_macro::Debugged(&$value);] $($($rest)*)?)
    };
    (@ $name:literal $id:tt [$($all:tt)*] $first:ident $(. $next:ident)* = $value:expr $(, $($rest:tt)*)?) => {
        $crate::track_event!(@ $name $id
            [$($all)* concat!(stringify!($first) $(, ".", stringify!($next))*) => $value;]
            $($($rest)*)?)
    };
    (@ $name:literal $id:tt [$($all:tt)*] $variable:ident $(, $($rest:tt)*)?) => {
        $crate::track_event!(@ $name $id [$($all)* stringify!($variable) => $variable;]
            $($($rest)*)?)
    };
    ($name:literal $(, $($properties:tt)*)?) => {
        $crate::track_event!(@ $name [[] []] [] $($($properties)*)?)
    };
}

/// What `track_event!` expands to; no part of the interface.
#[doc(hidden)]
pub mod by_macro {
    use super::{Properties, Property};
    use std::{fmt, time::SystemTime};

    /// # Panics
    /// At compile time, for a name that no event may have.
    pub const fn checked(name: &'static str) -> &'static str {
        const EXCEPTION: &[u8] = crate::records::EXCEPTION.as_bytes();
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "an event has a name");
        assert!(bytes.len() <= 255, "an event's name has 255 bytes at most");
        let mut same = 0;
        while same < bytes.len() && same < EXCEPTION.len() && bytes[same] == EXCEPTION[same] {
            same += 1;
        }
        assert!(
            same < bytes.len() || same < EXCEPTION.len(),
            "`exception` is the name of errors"
        );
        name
    }

    /// `ids` and `times` hold one or none.
    pub fn track(
        name: &'static str,
        ids: &[&str],
        times: &[SystemTime],
        properties: &[(&'static str, &dyn Property)],
    ) {
        let given = super::Given {
            id: ids.first().copied(),
            time: times.first().copied(),
        };
        super::record(name, given, |all| {
            for (name, value) in properties {
                value.record(name, all);
            }
        });
    }

    /// A value by its `Display`.
    #[derive(Debug)]
    #[expect(clippy::exhaustive_structs, reason = "the macro makes it")]
    pub struct Displayed<'a, T: ?Sized>(pub &'a T);

    impl<T: fmt::Display + ?Sized> Property for Displayed<'_, T> {
        fn record(&self, name: &str, properties: &mut Properties<'_>) {
            properties.display(name, self.0);
        }
    }

    /// A value by its `Debug`.
    #[derive(Debug)]
    #[expect(clippy::exhaustive_structs, reason = "the macro makes it")]
    pub struct Debugged<'a, T: ?Sized>(pub &'a T);

    impl<T: fmt::Debug + ?Sized> Property for Debugged<'_, T> {
        fn record(&self, name: &str, properties: &mut Properties<'_>) {
            properties.display(name, format_args!("{:?}", self.0));
        }
    }
}

/// What the application has for an event that is made otherwise.
#[derive(Clone, Copy)]
struct Given<'a> {
    id: Option<&'a str>,
    time: Option<SystemTime>,
}

fn record(name: &'static str, given: Given<'_>, compose: impl FnOnce(&mut Properties<'_>)) {
    let Given { id, time } = given;
    let Some(pipeline) = context::pipeline() else {
        return pipeline::count_unclaimed();
    };
    if pipeline.handoff.is_lost_by_fork(Signal::Logs) {
        return;
    }
    if let Some(id) = id {
        if id.trim().is_empty() {
            return pipeline.counters.events_refused.get(EMPTY_ID).add(1);
        }
        if !pipeline.given_ids.is_first(name, id) {
            return pipeline.counters.events_refused.get(DUPLICATE).add(1);
        }
        if pipeline.given_ids.are_shared() {
            return hold(pipeline, name, id, time, compose);
        }
    }
    let counted = Counted::of(pipeline, name);
    let is_recorded = pipeline.handoff.wants(Signal::Logs);
    if !counted.is_asked_for() && !is_recorded {
        return;
    }
    let when = When::of(&pipeline.clock, time);
    let compose = |id: &str, fields: &mut Fields| {
        describe(pipeline, id, when, fields, compose);
        counted.tell(when.at, id, name, fields.as_bytes());
    };
    let compose = |fields: &mut Fields| match id {
        Some(id) => compose(id, fields),
        None => id::next(&pipeline.clock, |id| compose(id, fields)),
    };
    match is_recorded {
        true => pipeline.record(log(when.at, name), compose),
        false => Fields::compose(pipeline.settings.record_limits, compose),
    }
}

/// What an event is to those who count.
struct Counted<'a> {
    step: Option<Step<'a>>,
    sighting: Option<Sighting<'a>>,
    activity: Option<Activity<'a>>,
}

impl<'a> Counted<'a> {
    /// Counts it where its name is enough.
    fn of(pipeline: &'a Pipeline, name: &str) -> Self {
        pipeline.counters.events.get(name).add(1);
        pipeline.transactions.count(name);
        Self {
            step: pipeline.funnels.step(name),
            sighting: pipeline.users.tracked(name),
            activity: pipeline.sessions.activity(name),
        }
    }

    fn is_asked_for(&self) -> bool {
        self.step.is_some() || self.sighting.is_some() || self.activity.is_some()
    }

    fn tell(self, at: Instant, id: &str, name: &'static str, fields: &[u8]) {
        if let Some(step) = self.step {
            step.tell(at, id, fields);
        }
        if let Some(sighting) = self.sighting {
            sighting.tell(at, fields);
        }
        if let Some(activity) = self.activity {
            activity.tell(at, id, name, fields);
        }
    }
}

fn describe(
    pipeline: &Pipeline,
    id: &str,
    when: When,
    fields: &mut Fields,
    compose: impl FnOnce(&mut Properties<'_>),
) {
    fields.word(semconv::EVENT_ID, id);
    if when.is_replaced {
        fields.boolean(semconv::EVENT_TIME_REPLACED, true);
    }
    let mut properties = Properties::new(fields, &pipeline.settings.user_ids);
    compose(&mut properties);
    if properties.names_context() {
        context::describe_beside(fields);
    } else {
        context::describe(fields);
    }
}

fn log(at: Instant, name: &'static str) -> Record {
    context::note(at, Happened::Event, &[name]);
    Record::Log(Log {
        context: context::active(),
        at,
        severity: Severity::Info,
        event_name: CompactString::const_new(name),
    })
}

/// An event that another replica may have met before: what there is to tell of it waits for an answer.
fn hold(
    pipeline: &Pipeline,
    name: &'static str,
    id: &str,
    time: Option<SystemTime>,
    compose: impl FnOnce(&mut Properties<'_>),
) {
    let when = When::of(&pipeline.clock, time);
    let is_recorded = pipeline.handoff.wants(Signal::Logs);
    let record = is_recorded.then(|| log(when.at, name));
    let event = Fields::compose(pipeline.settings.record_limits, |fields| {
        describe(pipeline, id, when, fields, compose);
        pipeline.count_truncated(fields);
        Held {
            name,
            id: id.into(),
            at: when.at,
            record,
            fields: fields.as_bytes().to_vec(),
            meeting: Held::meeting(name, id),
            since: pipeline.clock.now(),
        }
    });
    if let Some(event) = pipeline.given_ids.hold(event) {
        let_go(pipeline, event);
    }
}

/// Counts and records an event that was held.
pub(super) fn let_go(pipeline: &Pipeline, event: Held) {
    let counted = Counted::of(pipeline, event.name);
    counted.tell(event.at, &event.id, event.name, &event.fields);
    if let Some(record) = event.record {
        pipeline.handoff.offer(record, &event.fields);
    }
}

/// Another replica met it before.
pub(super) fn refuse(pipeline: &Pipeline) {
    pipeline.counters.events_refused.get(DUPLICATE).add(1);
}

#[cfg(test)]
mod tests {
    use crate::{
        clock::Clock,
        context::{self, Request, TraceContext, enter},
        events::*,
        ids::{SpanId, TraceId},
        pipeline::Pipeline,
        records::{self, Record, Severity, Signal, Value},
        snapshot::Snapshot,
        track_event,
    };
    use std::time::{Duration, SystemTime};

    /// What one record says: its name, and its attributes in order.
    type Said = (String, Vec<(String, String)>);

    fn inside(signals: &[Signal], code: impl FnOnce()) -> &'static Pipeline {
        let pipeline = Pipeline::for_tests(signals);
        let mut request = Some(Box::new(Request {
            trace: TraceContext {
                trace_id: TraceId::new(7).unwrap(),
                span_id: SpanId::new(8).unwrap(),
                sampled: true,
                state: None,
            },
            pipeline,
            route: Some("/orders"),
            method: "POST",
            identity: None,
            panic_is_recorded: false,
            trail: None,
            repeats: None,
        }));
        let _entered = enter(&mut request);
        code();
        pipeline
    }

    fn records(pipeline: &Pipeline) -> Vec<Said> {
        let held = pipeline.handoff.drain().into_iter();
        held.map(|(record, fields)| {
            let Record::Log(log) = record else {
                panic!("{record:?}");
            };
            assert_eq!(log.severity, Severity::Info);
            let span = log.context.unwrap();
            assert_eq!(span.trace_id, TraceId::new(7).unwrap());
            let fields = records::read(&fields).map(|(name, value)| {
                let value = match value {
                    Value::Integer(value) => value.to_string(),
                    Value::Float(value) => format!("{value:?}"),
                    Value::Boolean(value) => value.to_string(),
                    Value::Text(value) => format!("{value:?}"),
                };
                (name.to_owned(), value)
            });
            (log.event_name.to_string(), fields.collect())
        })
        .collect()
    }

    /// The attributes of the only record, its id apart.
    fn said(pipeline: &Pipeline) -> Vec<(String, String)> {
        let mut all = records(pipeline);
        assert_eq!(all.len(), 1);
        let (_, mut fields) = all.remove(0);
        assert_eq!(fields.remove(0).0, "orderscope.event.id");
        fields
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn counted(pipeline: &Pipeline, metric: &str, label: (&str, &str)) -> u64 {
        Snapshot::of(&pipeline.registry).counter(metric, &[label])
    }

    #[test]
    fn an_event_carries_its_properties_and_whose_request_it_was() {
        let pipeline = inside(&[Signal::Logs], || {
            context::identify("u-1", "s-1");
            track_event(OrderPlaced {
                order_id: 1024,
                value: Money::minor(2350, Currency::EUR),
            });
        });
        let records = records(pipeline);
        let [(name, fields)] = &records[..] else {
            panic!("{records:?}");
        };
        assert_eq!(name, "order_placed");
        let id = fields[0].1.trim_matches('"');
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
        let expected = [
            ("order_id", "1024"),
            ("value", "23.5"),
            ("currency", "\"EUR\""),
            ("http.route", "\"/orders\""),
            ("user.id", "\"u-1\""),
            ("session.id", "\"s-1\""),
        ];
        assert_eq!(fields[1..], pairs(&expected));
        let event = ("event", OrderPlaced::NAME);
        assert_eq!(counted(pipeline, "orderscope.events", event), 1);
    }

    #[test]
    fn an_event_is_counted_where_no_record_is_wanted() {
        let pipeline = inside(&[], || track_event!("dish_viewed", dish_id = 7));
        assert!(records(pipeline).is_empty());
        let event = ("event", "dish_viewed");
        assert_eq!(counted(pipeline, "orderscope.events", event), 1);
    }

    #[test]
    fn a_blank_id_is_refused_and_counted() {
        let pipeline = inside(&[Signal::Logs], || {
            track_event!("payment_succeeded", event_id = "");
            track_event!(
                "payment_succeeded",
                event_id = String::from(" "),
                amount = 3
            );
        });
        assert!(records(pipeline).is_empty());
        let refused = ("reason", "empty_id");
        assert_eq!(counted(pipeline, "orderscope.events.refused", refused), 2);
        let event = ("event", "payment_succeeded");
        assert_eq!(counted(pipeline, "orderscope.events", event), 0);
    }

    #[test]
    fn an_id_that_is_given_is_sent_as_it_is() {
        let payment = String::from("pay_1");
        let pipeline = inside(&[Signal::Logs], || {
            track_event!("payment_succeeded", event_id = payment, amount = 3);
        });
        let records = records(pipeline);
        let id = pairs(&[("orderscope.event.id", "\"pay_1\"")]);
        assert_eq!(records[0].1[..1], id);
    }

    #[test]
    fn a_client_s_time_is_believed_within_a_day_and_replaced_beyond_it() {
        const DAY: Duration = Duration::from_secs(24 * 3_600);
        let now = Clock::system().wall();
        let pipeline = inside(&[Signal::Logs], || {
            track_event!("search", event_time = now - Duration::from_secs(3_600));
            track_event!("search", event_time = now + DAY + Duration::from_secs(60));
            track_event!("search", event_time = SystemTime::UNIX_EPOCH);
        });
        let anchor = pipeline.clock.anchor();
        let held = pipeline.handoff.drain();
        let told: Vec<_> = held.into_iter().collect();
        let ages = told.iter().map(|(record, fields)| {
            let Record::Log(log) = record else {
                panic!("{record:?}");
            };
            let age = now.duration_since(anchor.time(log.at)).unwrap_or_default();
            let replaced = "orderscope.event.time.replaced";
            let is_replaced = records::read(fields).any(|(name, _)| name == replaced);
            // Clocks that are read one after the other.
            ((age.as_secs_f64() / 60.0).round(), is_replaced)
        });
        assert_eq!(
            ages.collect::<Vec<_>>(),
            [(60.0, false), (0.0, true), (0.0, true)]
        );
    }

    #[test]
    fn an_event_whose_id_came_before_is_refused_and_counted_unless_it_has_another_name() {
        let pipeline = inside(&[Signal::Logs], || {
            for _ in 0..3 {
                track_event!("payment_succeeded", event_id = "pay_1");
            }
            track_event!("order_placed", event_id = "pay_1");
            track_event!("payment_succeeded", event_id = "pay_2");
            // Ids that are made are no one's.
            track_event!("payment_succeeded");
        });
        assert_eq!(records(pipeline).len(), 4);
        let refused = ("reason", "duplicate");
        assert_eq!(counted(pipeline, "orderscope.events.refused", refused), 2);
        let event = ("event", "payment_succeeded");
        assert_eq!(counted(pipeline, "orderscope.events", event), 3);
    }

    #[test]
    fn the_macro_takes_what_its_page_shows() {
        let (city, coupon) = ("Bergen", None::<&str>);
        let owned = String::from("Roma");
        let pipeline = inside(&[Signal::Logs], || {
            track_event!(
                "coupon_applied",
                city,
                items = 3_u64,
                restaurant.name = owned,
                "delivery.express" = true,
                coupon = coupon,
                type = Some(-2_i8),
                share = 0.5,
                value = Money::minor(-5, Currency::KWD),
                tip = Money::minor(100, Currency::JPY),
                shown = %format_args!("{:02}", 7),
                details = ?Some("x"),
            );
        });
        assert_eq!(owned, "Roma");
        let expected = [
            ("city", "\"Bergen\""),
            ("items", "3"),
            ("restaurant.name", "\"Roma\""),
            ("delivery.express", "true"),
            ("type", "-2"),
            ("share", "0.5"),
            ("value", "-0.005"),
            ("currency", "\"KWD\""),
            ("tip", "100.0"),
            ("tip_currency", "\"JPY\""),
            ("shown", "\"07\""),
            ("details", "\"Some(\\\"x\\\")\""),
            ("http.route", "\"/orders\""),
        ];
        assert_eq!(said(pipeline), pairs(&expected));
    }

    #[test]
    fn an_event_without_properties_needs_no_comma() {
        let pipeline = inside(&[Signal::Logs], || {
            track_event!("reorder");
            track_event!("reorder",);
        });
        assert_eq!(records(pipeline).len(), 2);
    }

    #[test]
    fn what_an_event_says_of_its_user_stands_instead_of_what_the_request_says() {
        let pipeline = inside(&[Signal::Logs], || {
            context::identify("u-1", "s-1");
            track_event!("sign_up", user.id = "u-2");
        });
        let expected = [
            ("user.id", "\"u-2\""),
            ("http.route", "\"/orders\""),
            ("session.id", "\"s-1\""),
        ];
        assert_eq!(said(pipeline), pairs(&expected));
    }

    #[test]
    fn secrets_are_masked_and_a_property_without_a_name_is_no_message() {
        let pipeline = inside(&[Signal::Logs], || {
            track_event!("login", password = "hunter2", "" = "x");
        });
        let expected = [
            ("password", "\"***\""),
            ("_", "\"x\""),
            ("http.route", "\"/orders\""),
        ];
        assert_eq!(said(pipeline), pairs(&expected));
    }

    #[test]
    fn an_event_is_tracked_by_reference_too() {
        let placed = OrderPlaced {
            order_id: "o-1",
            value: Money::minor(1, Currency::USD),
        };
        let pipeline = inside(&[], || {
            let by_reference = &placed;
            track_event(by_reference);
            track_event(placed);
        });
        let event = ("event", "order_placed");
        assert_eq!(counted(pipeline, "orderscope.events", event), 2);
    }

    #[test]
    fn a_currency_that_nobody_knows_is_counted() {
        let pipeline = inside(&[], || {
            assert_eq!(
                Money::in_code(1, "EUR"),
                Some(Money::minor(1, Currency::EUR))
            );
            assert_eq!(Money::in_code(1, "eur"), None);
            assert_eq!(Money::in_code(1, "XXX"), None);
        });
        let refused = ("reason", "unknown_currency");
        assert_eq!(counted(pipeline, "orderscope.events.refused", refused), 2);
    }
}
