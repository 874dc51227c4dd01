//! The events that every food-delivery platform has, from a cart to an order.

use super::{
    money::Money,
    properties::{Properties, Property},
    tracked::Event,
};

/// Declares events. The inherent `NAME` stands on one instance alone, so that `OrderPlaced::NAME`
/// says all: an id's type need not be named to name the event.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $event:ident<$($life:lifetime,)? Id> = $name:literal {
            $($(#[$field_doc:meta])* $field:ident: $type:ty,)+
        }
    )+) => {$(
        $(#[$doc])*
        ///
        /// An id is any [`Property`]: a number, a text, a type of your own. With more properties
        /// than these, track an event of the same name by
        /// [`track_event!`](crate::track_event!), or declare one of your own by [`Event`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(
            clippy::exhaustive_structs,
            reason = "written as a literal where it happens"
        )]
        pub struct $event<$($life,)? Id> {
            $($(#[$field_doc])* pub $field: $type,)+
        }

        impl<$($life)?> $event<$($life,)? &'static str> {
            #[doc = concat!("`", $name, "`, whatever the type of the id.")]
            pub const NAME: &'static str = $name;
        }

        impl<$($life,)? Id: Property> Event for $event<$($life,)? Id> {
            const NAME: &'static str = $name;

            fn properties(&self, properties: &mut Properties<'_>) {
                $(self.$field.record(stringify!($field), properties);)+
            }
        }
    )+};
}

events! {
    /// Somebody looks at a cart.
    ///
    /// ```
    /// use orderscope::{events::{CartViewed, Currency, Money}, track_event};
    ///
    /// track_event(CartViewed { cart_id: "c-7", items: 3, value: Money::minor(2350, Currency::EUR) });
    /// ```
    CartViewed<Id> = "cart_viewed" {
        /// The cart.
        cart_id: Id,
        /// How many things are in it.
        items: u32,
        /// What they cost together.
        value: Money,
    }

    /// Somebody begins to buy what is in a cart: GA4's `begin_checkout`.
    CheckoutStarted<Id> = "checkout_started" {
        /// The cart.
        cart_id: Id,
        /// How many things are in it.
        items: u32,
        /// What they cost together.
        value: Money,
    }

    /// A payment went through.
    ///
    /// ```
    /// use orderscope::{events::{Currency, Money, PaymentSucceeded}, track_event};
    ///
    /// let value = Money::minor(2350, Currency::EUR);
    /// track_event(PaymentSucceeded { order_id: 1024, method: "card", value });
    /// ```
    PaymentSucceeded<'a, Id> = "payment_succeeded" {
        /// The order that is paid for.
        order_id: Id,
        /// How, such as `card`.
        method: &'a str,
        /// What was paid.
        value: Money,
    }

    /// A payment did not go through.
    PaymentFailed<'a, Id> = "payment_failed" {
        /// The order that was to be paid for.
        order_id: Id,
        /// How, such as `card`.
        method: &'a str,
        /// Why not, in few words of a fixed set, such as `card_declined`.
        reason: &'a str,
        /// What was to be paid.
        value: Money,
    }

    /// An order is placed: GA4's `purchase`.
    ///
    /// ```
    /// use orderscope::{events::{Currency, Money, OrderPlaced}, track_event};
    ///
    /// let order_id = "o-1024";
    /// track_event(OrderPlaced { order_id, value: Money::minor(2350, Currency::EUR) });
    /// assert_eq!(OrderPlaced::NAME, "order_placed");
    /// ```
    OrderPlaced<Id> = "order_placed" {
        /// The order.
        order_id: Id,
        /// What it costs.
        value: Money,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_without_the_type_of_its_id() {
        assert_eq!(PaymentFailed::NAME, "payment_failed");
        assert_eq!(<CartViewed<u64> as Event>::NAME, CartViewed::NAME);
    }
}
