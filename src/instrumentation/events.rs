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
//! | an event is tracked | + 1, at once | built, unless no destination takes logs |
//! | its id is given, and blank | – ; `orderscope.events.refused{reason="empty_id"}` + 1 | none |
//! | [`Money::in_code`] does not know the currency | – ; `orderscope.events.refused{reason="unknown_currency"}` + 1 | none |
//! | no telemetry is there to take it | – ; `orderscope.records.unclaimed` + 1 | none |
//!
//! An event goes to the telemetry whose layer serves the current request, outside every request to
//! the installed one. Of 1,000 names each has a count of its own; further ones share
//! `event="_OTHER"`. A record that finds no room is counted by the ledger of its destination.
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
mod tracked;
mod vocabulary;

pub use money::{Currency, Money};
pub use properties::{Properties, Property};
#[doc(hidden)]
pub use tracked::by_macro;
pub use tracked::{Event, track_event};
pub use vocabulary::{CartViewed, CheckoutStarted, OrderPlaced, PaymentFailed, PaymentSucceeded};
