//! What an event says beside its name.

use super::money::Money;
use crate::{pipeline::UserIds, records::Fields, semconv};
use compact_str::format_compact;
use std::{borrow::Cow, fmt, rc::Rc, sync::Arc};

/// Takes the properties of one event, each with its type.
///
/// A name is cut at 256 bytes, a text at 4,096, and what is cut is counted; an empty name
/// stands as `_`. A name that is given twice is sent twice.
#[derive(Debug)]
pub struct Properties<'a> {
    fields: &'a mut Fields,
    user_ids: &'a UserIds,
    /// Whether the event itself says something that the request may say as well.
    names_context: bool,
}

/// A value that a property can have.
///
/// Types of your own join by one line, and then serve in `track_event!` and as the ids of the
/// vocabulary:
///
/// ```
/// use orderscope::events::{Properties, Property};
///
/// struct DishId(u32);
///
/// impl Property for DishId {
///     fn record(&self, name: &str, properties: &mut Properties<'_>) {
///         properties.unsigned(name, self.0.into());
///     }
/// }
///
/// orderscope::track_event!("dish_viewed", dish_id = DishId(7));
/// ```
pub trait Property {
    /// Adds the value under `name`.
    fn record(&self, name: &str, properties: &mut Properties<'_>);
}

impl<'a> Properties<'a> {
    pub(super) fn new(fields: &'a mut Fields, user_ids: &'a UserIds) -> Self {
        Self {
            fields,
            user_ids,
            names_context: false,
        }
    }

    /// A text. It is masked where its name says that it is a secret, or where it looks like one.
    pub fn text(&mut self, name: &str, value: &str) {
        if self.is_hashed(name) {
            return self.hashed(name, &value);
        }
        let name = self.named(name);
        self.fields.text(name, value);
    }

    /// As [`text`](Self::text), of what has to be formatted.
    pub fn display(&mut self, name: &str, value: impl fmt::Display) {
        if self.is_hashed(name) {
            return self.hashed(name, &value);
        }
        let name = self.named(name);
        self.fields.display(name, value);
    }

    /// A whole number.
    pub fn integer(&mut self, name: &str, value: i64) {
        if self.is_hashed(name) {
            return self.hashed(name, &value);
        }
        let name = self.named(name);
        self.fields.integer(name, value);
    }

    /// A whole number that is never negative; beyond `i64::MAX` it is sent as a text, since OTLP
    /// has no such numbers.
    pub fn unsigned(&mut self, name: &str, value: u64) {
        if self.is_hashed(name) {
            return self.hashed(name, &value);
        }
        let name = self.named(name);
        self.fields.unsigned(name, value);
    }

    /// A number with a fraction. For money there is [`money`](Self::money).
    pub fn float(&mut self, name: &str, value: f64) {
        let name = self.named(name);
        self.fields.float(name, value);
    }

    /// Yes or no.
    pub fn boolean(&mut self, name: &str, value: bool) {
        let name = self.named(name);
        self.fields.boolean(name, value);
    }

    /// What the event is worth: `value`, a decimal number, and `currency`, the code of ISO 4217.
    pub fn money(&mut self, value: &Money) {
        self.amount(VALUE, value);
    }

    /// Another amount than the event's value, such as a tip: a decimal number under `name`, and
    /// the currency's code under `<name>_currency`. Under `value` it is [`money`](Self::money).
    pub fn amount(&mut self, name: &str, amount: &Money) {
        self.float(name, amount.to_decimal());
        // A word, not a text: a code holds no secret, and is not searched for one.
        let code = amount.currency().code();
        match name {
            VALUE => self.fields.word("currency", code),
            name => {
                let name = format_compact!("{name}_currency");
                self.fields.word(self::named(&name), code);
            }
        }
    }

    /// Whether it is of a user, whose id leaves as a hash, as that of the request's user does.
    fn is_hashed(&self, name: &str) -> bool {
        name == semconv::USER_ID && self.user_ids.are_hashed()
    }

    fn hashed(&mut self, name: &str, user: &dyn fmt::Display) {
        let told = self.user_ids.tell(user.to_string());
        let name = self.named(name);
        self.fields.word(name, &told);
    }

    /// Whether the event itself said what the request may say as well.
    pub(super) fn names_context(&self) -> bool {
        self.names_context
    }

    fn named<'n>(&mut self, name: &'n str) -> &'n str {
        self.names_context |= matches!(
            name,
            semconv::USER_ID | semconv::SESSION_ID | semconv::HTTP_ROUTE
        );
        named(name)
    }
}

/// The name of the amount that an event is worth.
const VALUE: &str = "value";

/// The empty name is the message's.
fn named(name: &str) -> &str {
    match name {
        "" => "_",
        name => name,
    }
}

macro_rules! property {
    ($($type:ty),+: $method:ident as $wide:ty) => {$(
        impl Property for $type {
            fn record(&self, name: &str, properties: &mut Properties<'_>) {
                // Lossless: to the same type, or to a wider one.
                properties.$method(name, *self as $wide);
            }
        }
    )+};
}

property!(i8, i16, i32, i64, isize: integer as i64);
property!(u8, u16, u32, u64, usize: unsigned as u64);
property!(f32, f64: float as f64);
property!(bool: boolean as bool);

macro_rules! text {
    ($($type:ty),+) => {$(
        impl Property for $type {
            fn record(&self, name: &str, properties: &mut Properties<'_>) {
                properties.text(name, self);
            }
        }
    )+};
}

text!(str, String, Cow<'_, str>);

macro_rules! pointer {
    ($($type:ty),+) => {$(
        impl<T: Property + ?Sized> Property for $type {
            fn record(&self, name: &str, properties: &mut Properties<'_>) {
                T::record(self, name, properties);
            }
        }
    )+};
}

pointer!(&T, Box<T>, Arc<T>, Rc<T>);

macro_rules! displayed {
    ($($type:ty),+) => {$(
        impl Property for $type {
            fn record(&self, name: &str, properties: &mut Properties<'_>) {
                properties.display(name, self);
            }
        }
    )+};
}

displayed!(char, i128, u128, fmt::Arguments<'_>);

/// `None` is left out.
impl<T: Property> Property for Option<T> {
    fn record(&self, name: &str, properties: &mut Properties<'_>) {
        if let Some(value) = self {
            value.record(name, properties);
        }
    }
}

/// The amount and its currency, as [`Properties::amount`] names them.
impl Property for Money {
    fn record(&self, name: &str, properties: &mut Properties<'_>) {
        properties.amount(name, self);
    }
}
