//! Paying and ordering.

use super::events;
use crate::events::Money;

events! {
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

    /// An order could not be placed.
    OrderFailed<'a, Id> = "order_failed" {
        /// The order, or the cart that it was to be made of.
        order_id: Id,
        /// Why not, in few words of a fixed set, such as `kitchen_closed`.
        reason: &'a str,
        /// What it was to cost.
        value: Money,
    }

    /// An order is changed after it was placed.
    OrderUpdated<'a, Id> = "order_updated" {
        /// The order.
        order_id: Id,
        /// What has changed, in few words of a fixed set, such as `address`.
        change: &'a str,
        /// What it costs now.
        value: Money,
    }

    /// An order is given up, by whomever.
    OrderCancelled<'a, Id> = "order_cancelled" {
        /// The order.
        order_id: Id,
        /// Why, in few words of a fixed set, such as `out_of_stock`.
        reason: &'a str,
        /// What it costs.
        value: Money,
    }

    /// Money is given back: GA4's `refund`.
    OrderRefunded<'a, Id> = "order_refunded" {
        /// The order.
        order_id: Id,
        /// Why, in few words of a fixed set, such as `cold_food`.
        reason: &'a str,
        /// What is given back.
        value: Money,
    }

    /// What was ordered once is ordered again.
    Reorder<Id> = "reorder" {
        /// The order that is repeated.
        order_id: Id,
        /// What it costs.
        value: Money,
    }
}
