//! From a cart to the checkout.

use super::events;
use crate::events::Money;

events! {
    /// A dish is put into a cart: GA4's `add_to_cart`.
    CartItemAdded<Cart, Dish> = "cart_item_added" {
        /// The cart.
        cart_id: Cart,
        /// The dish.
        dish_id: Dish,
        /// How often.
        quantity: u32,
        /// What they cost together.
        value: Money,
    }

    /// A dish is taken out of a cart: GA4's `remove_from_cart`.
    CartItemRemoved<Cart, Dish> = "cart_item_removed" {
        /// The cart.
        cart_id: Cart,
        /// The dish.
        dish_id: Dish,
        /// How often.
        quantity: u32,
        /// What they cost together.
        value: Money,
    }

    /// Somebody looks at a cart.
    ///
    /// ```
    /// use orderscope::{events::{CartViewed, Currency, Money}, track_event};
    ///
    /// track_event(CartViewed { cart_id: "c-7", items: 3, value: Money::minor(2350, Currency::EUR) });
    /// ```
    CartViewed<Cart> = "cart_viewed" {
        /// The cart.
        cart_id: Cart,
        /// How many things are in it.
        items: u32,
        /// What they cost together.
        value: Money,
    }

    /// Somebody begins to buy what is in a cart: GA4's `begin_checkout`.
    CheckoutStarted<Cart> = "checkout_started" {
        /// The cart.
        cart_id: Cart,
        /// How many things are in it.
        items: u32,
        /// What they cost together.
        value: Money,
    }

    /// An address to deliver to is given: GA4's `add_shipping_info`.
    AddressAdded<Cart> = "address_added" {
        /// The cart.
        cart_id: Cart,
    }

    /// A way to pay is chosen: GA4's `add_payment_info`.
    PaymentInfoAdded<'a, Cart> = "payment_info_added" {
        /// The cart.
        cart_id: Cart,
        /// How, such as `card`.
        method: &'a str,
    }

    /// A coupon is taken.
    CouponApplied<'a, Cart> = "coupon_applied" {
        /// The cart.
        cart_id: Cart,
        /// The coupon.
        coupon: &'a str,
        /// What it takes off.
        value: Money,
    }

    /// A coupon is not taken.
    CouponDenied<'a, Cart> = "coupon_denied" {
        /// The cart.
        cart_id: Cart,
        /// The coupon.
        coupon: &'a str,
        /// Why not, in few words of a fixed set, such as `expired`.
        reason: &'a str,
    }
}
