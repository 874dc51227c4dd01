//! From the kitchen to the door.

use super::events;

events! {
    /// A restaurant takes an order.
    OrderAccepted<Id, Restaurant> = "order_accepted" {
        /// The order.
        order_id: Id,
        /// Who cooks it.
        restaurant_id: Restaurant,
    }

    /// A restaurant does not take an order.
    OrderRejected<'a, Id, Restaurant> = "order_rejected" {
        /// The order.
        order_id: Id,
        /// Who would have cooked it.
        restaurant_id: Restaurant,
        /// Why not, in few words of a fixed set, such as `too_busy`.
        reason: &'a str,
    }

    /// A courier is found for an order.
    CourierAssigned<Id, Courier> = "courier_assigned" {
        /// The order.
        order_id: Id,
        /// Who brings it.
        courier_id: Courier,
    }

    /// The courier has the order.
    OrderPickedUp<Id, Courier> = "order_picked_up" {
        /// The order.
        order_id: Id,
        /// Who brings it.
        courier_id: Courier,
    }

    /// The order is where it was to go.
    OrderDelivered<Id, Courier> = "order_delivered" {
        /// The order.
        order_id: Id,
        /// Who brought it.
        courier_id: Courier,
        /// How long after it was placed.
        minutes: u32,
    }

    /// The order is not there when it was promised.
    DeliveryLate<Id> = "delivery_late" {
        /// The order.
        order_id: Id,
        /// How long after that.
        minutes: u32,
    }

    /// Somebody looks where their order is.
    OrderTracked<Id> = "order_tracked" {
        /// The order.
        order_id: Id,
    }

    /// Somebody says how a dish was.
    DishReviewed<Dish> = "dish_reviewed" {
        /// The dish.
        dish_id: Dish,
        /// Out of five.
        stars: u8,
    }
}
