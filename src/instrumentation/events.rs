//! Business events: an order is placed, a payment fails, a dish is looked at.
//!
//! An event is counted by its name, and leaves the process as a log record that has a name and
//! typed attributes. It belongs to the request that it happened in: to its trace, its route, its
//! user and its session, without an argument that says so.
//!
//! ```
//! use orderscope::{
//!     events::{Currency, Money, OrderPlaced},
//!     track_event,
//! };
//!
//! let order_id = 1_024;
//! // One of the events that the vocabulary has:
//! track_event(OrderPlaced { order_id, value: Money::minor(2350, Currency::EUR) });
//! // Any other, in one line:
//! track_event!("dish_viewed", dish_id = 7, restaurant = "Roma", price = Money::minor(890, Currency::EUR));
//! ```
//!
//! A destination of OTLP logs gets the first as
//!
//! ```text
//! LogRecord { event_name: "order_placed", severity: INFO (9), body: absent,
//!   trace_id: 4bf92f3577b34da6a3ce929d0e0e4736, span_id: 00f067aa0ba902b7,
//!   attributes: { orderscope.event.id: "0197a3c1-6b0e-7c41-9d2f-5e8a1b3c4d5e",
//!     order_id: 1024, value: 23.5, currency: "EUR",
//!     http.route: "/orders", user.id: "u-1024", session.id: "s-77" } }
//! ```
//!
//! # When is what recorded
//!
//! | what happens | `orderscope.events{event}` | the record |
//! | --- | --- | --- |
//! | an event is tracked | + 1, at once; with an id of its own where [several processes](#several-processes) share a state, once that is known to be new | built, unless no destination takes logs |
//! | its id is given, and blank | – ; `orderscope.events.refused{reason="empty_id"}` + 1 | none |
//! | an event of its name had its id within a day | – ; `orderscope.events.refused{reason="duplicate"}` + 1 | none |
//! | [`Money::in_code`] does not know the currency | – ; `orderscope.events.refused{reason="unknown_currency"}` + 1 | none |
//! | no telemetry is there to take it | – ; `orderscope.records.unclaimed` + 1 | none |
//!
//! An event goes to the telemetry whose layer serves the current request, outside every request to
//! the installed one. Of 1,000 names each has a count of its own; further ones share
//! `event="_OTHER"`. A record that finds no room is counted by the ledger of its destination.
//!
//! # Funnels
//!
//! A [`Funnel`] is steps that lead somewhere, each an event; it is declared with the
//! [builder](crate::telemetry::Builder::funnel), and from then on `track_event` is all there is to call.
//! Whoever takes the first step makes an attempt. It is **converted** by its last step within the
//! window, **excluded** by an event that the funnel excludes, **abandoned** when its window ends, and
//! open until then:
//!
//! | metric | what it counts |
//! | --- | --- |
//! | `orderscope.funnel.attempts.opened`, `….open` | attempts that were begun; those that are open |
//! | `orderscope.funnel.step.reached{funnel.step}` | steps that attempts came to |
//! | `orderscope.funnel.attempts.closed{outcome, funnel.step}` | attempts that ended: how, and the last step that they came to |
//! | `orderscope.funnel.duration`, `….step.duration` | seconds to the last step, and from step to step |
//! | `orderscope.funnel.steps.refused{reason}` | steps that could not be counted: `no_subject`, `late`, `units_full`, `queue_full`, `unavailable`, `garbled` |
//!
//! Where two steps are of one event, `funnel.step` of the second is such as `dish_viewed#2`.
//!
//! The abandonment rate is abandoned / (converted + abandoned + excluded): an attempt that is open is
//! in neither term. [`Snapshot::funnels`](crate::snapshot::Snapshot::funnels) has all of it by name.
//!
//! Events are applied in the order in which they happened, ten seconds after
//! ([`Funnel::lateness`], and a tenth of a second on the way), so the numbers are those of ten seconds ago. A step at exactly the end of the
//! window counts; at one moment, an earlier step comes before a later one, and an exclusion last. What a
//! first step means while an attempt is open is [`Reentry`]'s to say. Who a user is that was not known
//! before is not told to what they did until then: a new attempt begins.
//!
//! Attempts are kept in the process, at most a million a funnel, and begin anew with it; numbers carry
//! `scope="process"`. An attempt is counted where all its events come to one process, or where the
//! processes [share their state](#several-processes).
//!
//! # Transactions
//!
//! A [`Transaction`] either succeeds or fails, and events say so. Each is counted in
//! `orderscope.transactions{transaction.name, outcome}` where it is tracked; both outcomes stand at 0
//! from the start, so that a rate can be formed before the first failure.
//! [`Snapshot::transactions`](crate::snapshot::Snapshot::transactions) has the share of failures.
//!
//! # Features and active users
//!
//! A [`Feature`] is used by events, each counted in `orderscope.feature.uses{feature.name}` where it is
//! tracked. [`ActiveUsers`] are declared with the
//! [builder](crate::telemetry::Builder::active_users): then whoever is known by a `user.id`, the event's
//! own or that of [`context::identify`](crate::context::identify), is active with any event that is
//! tracked, and with any request that the HTTP layer has seen the end of, whatever its outcome.
//!
//! | metric | what it counts |
//! | --- | --- |
//! | `orderscope.users.active{period, scope}` | different users in the period |
//! | `orderscope.feature.users{feature.name, period, scope}` | of them, those who used the feature |
//! | `orderscope.users.refused{reason}` | sightings that could not be counted: `queue_full`, `unavailable` |
//!
//! `period` is `day`, `week` or `month`: the last 1, 7 or 28 calendar days in the declared
//! [time zone](ActiveUsers::time_zone), today included. Numbers are within a standard error of 0.81 %,
//! and nobody's id is kept. The usage of a feature is its users among the active users of the same period, stickiness daily among monthly users:
//! [`Snapshot::features`](crate::snapshot::Snapshot::features) and
//! [`Snapshot::active_users`](crate::snapshot::Snapshot::active_users) have both.
//!
//! In one process (`scope="process"`) they begin anew with it. A number that processes share
//! (`scope="global"`) is told by each of them: take `max()`, never `sum()`. It is asked for every 10
//! seconds, and is not there while the shared state does not answer; who is seen meanwhile waits, up to
//! 65,536 over all features and days, and is counted then.
//!
//! # Sessions
//!
//! [`Sessions`] are declared with the [builder](crate::telemetry::Builder::sessions). Then whatever is
//! tracked, and every request that the HTTP layer has seen the end of, is activity of the session that
//! the application names, by [`context::identify`](crate::context::identify), by a
//! [cookie](Sessions::from_cookie) or a [header](Sessions::from_header), or by the event's own
//! `session.id`; where it names none, of the user; of nobody where neither is known. A session begins
//! with the first activity and ends
//!
//! | reason | when | as of |
//! | --- | --- | --- |
//! | `timeout` | 30 minutes after the last activity; one at exactly that moment extends it | the last activity |
//! | `max_duration` | 24 hours after its start, however busy | then |
//! | `explicit` | [`context::end_session`](crate::context::end_session), as at logout | then |
//!
//! Server-side events extend none: [`Sessions::not_extended_by`]. Where a destination takes logs, records
//! named `session.start` and `session.end` leave, with `session.id`, `user.id` where known, and the end
//! with `orderscope.session.duration` in seconds, `….reason`, `….path` (events and routes such as
//! `cart_viewed > POST /orders`; a route stands where its request ended; at most 50 steps and 4,000
//! bytes) and `….steps_beyond`, how many followed.
//!
//! `session.id` is the application's, else made. What is done after the end under the same id, or by the
//! same user, is a continuation: it has a made id, and `session.previous_id`. That is known for 24 hours
//! after the end; then the application's id is free again. Sessions that are open or remembered
//! are at most 1,000,000, of 512 MiB in all.
//!
//! | metric | what it counts |
//! | --- | --- |
//! | `orderscope.sessions.started`, `….open`, `….ended{reason}` | sessions |
//! | `orderscope.session.duration` | seconds from start to end |
//! | `orderscope.session.exits{session.step}` | sessions that ended, by their last step |
//! | `orderscope.sessions.refused{reason}` | activity that could not be counted: `late`, `units_full`, `queue_full`, `unavailable`, `garbled` |
//!
//! As attempts at funnels, sessions are those of ten seconds ago, begin anew with the process, and carry
//! `scope`. [`Snapshot::sessions`](crate::snapshot::Snapshot::sessions) has them.
//!
//! # Several processes
//!
//! Behind a load balancer the events of one user come to any replica of a service. With
//! `Builder::shared_state` (feature `redis`) the attempts, sessions and users of all replicas are kept in
//! one Redis, and what follows from an event is the same whichever replica it came to:
//!
//! - Funnels and sessions carry `scope="global"`. What became of an attempt is counted by one replica, so
//!   `sum()` over them is the truth; so is the sum of `….open`, which is not there while nobody answers. A
//!   single replica's numbers say nothing.
//! - Users carry `scope="global"` too, and are told by each replica: `max()`, never `sum()`.
//! - An event with an id of the application's is counted by the replica that met it first, and refused as
//!   `duplicate` by the others; until that is known, a quarter of a second as a rule, it waits.
//! - Events are applied two seconds later than in one process, since they are on the way.
//! - A funnel that is declared otherwise than before begins anew.
//!
//! Nobody who records waits for Redis. While it does not answer, `orderscope.shared_state.degraded{reason}`
//! is 1 (`unreachable`, `timeout`, `refused`, `wrong_type`, `reply_too_large`), and 65,536 steps, deeds and
//! users each wait; what finds no room is counted as `queue_full`. When it answers again, counting goes on
//! within some three seconds, and no attempt, session or user is counted twice. Not so:
//!
//! - An event with an id that nobody answers for in ten seconds, or that finds 16,384 others held, is counted
//!   unchecked, and in `orderscope.events.unchecked`. Its id, one of 65,536 at most, is claimed when the Redis
//!   answers again; of one that came to two replicas before that, both are counted.
//! - What a Redis has answered and loses all the same, as at a failover, is counted again or not at all.
//! - A Redis that takes 20 ms for an answer and more is too far away: what is told comes later than the
//!   lateness, and is refused as `late`.
//! - A quarter of a second of what was told is lost with a process that is killed.
//!
//! # Times
//!
//! An event happens when it is tracked, unless it [says otherwise](Event::time) (`event_time = …` in the
//! macro): a customer's phone may have seen it before it had a connection. A time within a day of the
//! server's is believed; another is replaced, and the record carries `orderscope.event.time.replaced`.
//!
//! # Names
//!
//! An event's name is snake_case, in the past tense where it says that something was done, and
//! does not vary: what varies is a property. It is checked when the program is compiled: neither
//! empty, nor longer than 255 bytes, nor `exception`, which is the name of errors. A property's
//! name is snake_case too, dots for namespaces. `value` is what the event is worth, and stands
//! together with `currency`: [`Money`] writes both. A property of a name such as `password` is
//! masked, and so is what looks like a secret in a text; texts are cut at 4,096 bytes, and a record
//! has room for 128 attributes (`orderscope.values.truncated{signal="records"}`).
//!
//! # Ids
//!
//! Each event has an id in `orderscope.event.id`: a UUID of version 7, which sorts by time, unless
//! the application gives one ([`Event::id`], `event_id = …` in the macro), such as the payment
//! provider's. A blank id is refused and counted: as the id of a transaction it would make one of
//! all.

mod id;
mod money;
mod properties;
mod settling;
mod tracked;
mod vocabulary;
mod when;

pub use crate::catalog::{
    active_users::ActiveUsers,
    feature::Feature,
    funnel::{Funnel, Reentry, Subject},
    sessions::Sessions,
    transaction::Transaction,
};
pub use money::{Currency, Money};
pub use properties::{Properties, Property};
pub(crate) use settling::{settle, settle_for_the_last_time, settle_shared};
#[doc(hidden)]
pub use tracked::by_macro;
pub use tracked::{Event, track_event};
pub(crate) use vocabulary::names;
pub use vocabulary::{
    AddressAdded, CartItemAdded, CartItemRemoved, CartViewed, CheckoutStarted, CouponApplied,
    CouponDenied, CourierAssigned, DeliveryLate, DishReviewed, DishViewed, FavoriteAdded, Login,
    OrderAccepted, OrderCancelled, OrderDelivered, OrderFailed, OrderPickedUp, OrderPlaced,
    OrderRefunded, OrderRejected, OrderTracked, OrderUpdated, PaymentFailed, PaymentInfoAdded,
    PaymentSucceeded, Reorder, RestaurantListViewed, Search, SignUp,
};
