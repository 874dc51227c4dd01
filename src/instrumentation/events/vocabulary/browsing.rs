//! Looking for something to eat.

use super::events;
use crate::events::Money;

events! {
    /// Somebody searches.
    Search<'a> = "search" {
        /// What for, as it was typed; what looks like a secret in it is masked.
        text: &'a str,
        /// How much was found.
        results: u64,
    }

    /// A list of restaurants is looked at: GA4's `view_item_list`.
    RestaurantListViewed<'a> = "restaurant_list_viewed" {
        /// Which list, in few words of a fixed set, such as `nearby`.
        list: &'a str,
        /// How many restaurants are on it.
        restaurants: u64,
    }

    /// Somebody looks at a dish: GA4's `view_item`.
    DishViewed<Dish, Restaurant> = "dish_viewed" {
        /// The dish.
        dish_id: Dish,
        /// Who cooks it.
        restaurant_id: Restaurant,
        /// What it costs.
        value: Money,
    }

    /// A dish is kept as a favorite: GA4's `add_to_wishlist`.
    FavoriteAdded<Dish> = "favorite_added" {
        /// The dish.
        dish_id: Dish,
    }
}
