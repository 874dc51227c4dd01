//! The events that every food-delivery platform has. Names are those of GA4 and Segment where they
//! have one in past tense; where a backend has another, the event says it.

mod account;
mod browsing;
mod cart;
mod fulfilment;
mod orders;

pub use account::{Login, SignUp};
pub use browsing::{DishViewed, FavoriteAdded, RestaurantListViewed, Search};
pub use cart::{
    AddressAdded, CartItemAdded, CartItemRemoved, CartViewed, CheckoutStarted, CouponApplied,
    CouponDenied, PaymentInfoAdded,
};
pub use fulfilment::{
    CourierAssigned, DeliveryLate, DishReviewed, OrderAccepted, OrderDelivered, OrderPickedUp,
    OrderRejected, OrderTracked,
};
pub use orders::{
    OrderCancelled, OrderFailed, OrderPlaced, OrderRefunded, OrderUpdated, PaymentFailed,
    PaymentSucceeded, Reorder,
};

/// Declares events. The inherent `NAME` stands on one instance alone, so that `OrderPlaced::NAME`
/// says all: an id's type need not be named to name the event.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $event:ident<$($life:lifetime)? $(,)? $($id:ident),*> = $name:literal {
            $($(#[$field_doc:meta])* $field:ident: $type:ty,)+
        }
    )+) => {$(
        $(#[$doc])*
        ///
        /// An id is any [`Property`](crate::events::Property): a number, a text, a type of your own. With more properties
        /// than these, track an event of the same name by
        /// [`track_event!`](crate::track_event!), or declare one of your own by
        /// [`Event`](crate::events::Event).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(
            clippy::exhaustive_structs,
            reason = "written as a literal where it happens"
        )]
        pub struct $event<$($life,)? $($id,)*> {
            $($(#[$field_doc])* pub $field: $type,)+
        }

        impl<$($life,)?> $event<$($life,)? $(events!(@named $id),)*> {
            #[doc = concat!("`", $name, "`, whatever the types of the ids.")]
            pub const NAME: &'static str = $name;
        }

        impl<$($life,)? $($id: $crate::events::Property,)*> $crate::events::Event
            for $event<$($life,)? $($id,)*>
        {
            const NAME: &'static str = $name;

            fn properties(&self, properties: &mut $crate::events::Properties<'_>) {
                $($crate::events::Property::record(&self.$field, stringify!($field), properties);)+
            }
        }
    )+

        /// The names of these, in order.
        pub(super) const NAMES: &[&str] = &[$($name),+];
    };
    (@named $id:ident) => { &'static str };
}
use events;

/// The names of all events that are declared here.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let areas = [
        browsing::NAMES,
        cart::NAMES,
        orders::NAMES,
        fulfilment::NAMES,
        account::NAMES,
    ];
    areas.into_iter().flatten().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Event;

    #[test]
    fn an_event_is_named_without_the_types_of_its_ids() {
        assert_eq!(PaymentFailed::NAME, "payment_failed");
        assert_eq!(<CartViewed<u64> as Event>::NAME, CartViewed::NAME);
        assert_eq!(
            <CartItemAdded<u64, &str> as Event>::NAME,
            CartItemAdded::NAME
        );
        assert_eq!(Search::NAME, "search");
    }

    #[test]
    fn a_name_is_snake_case_and_stands_once() {
        let mut all: Vec<_> = names().collect();
        assert_eq!(all.len(), 30);
        let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(all.iter().all(|name| name.chars().all(is_word)), "{all:?}");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 30);
    }
}
