//! Carts, from the first dish to the look before the checkout.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use orderscope::{events::CartViewed, track_event};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::SqliteExecutor;

use crate::{
    orders::euro,
    platform::{Failure, Platform},
};

#[derive(Deserialize)]
pub(crate) struct NewCart {
    customer: String,
}

#[derive(Deserialize)]
pub(crate) struct NewItem {
    dish: i64,
    quantity: i64,
}

#[derive(Serialize)]
pub(crate) struct Cart {
    pub(crate) items: u32,
    pub(crate) cents: i64,
}

pub(crate) async fn open_cart(
    State(platform): State<Platform>,
    Json(NewCart { customer }): Json<NewCart>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let mut rows = platform.database.write().await?;
    let cart: i64 = sqlx::query_scalar("INSERT INTO carts (customer) VALUES (?) RETURNING id")
        .bind(customer)
        .fetch_one(&mut rows)
        .await?;
    rows.commit().await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": cart }))))
}

pub(crate) async fn add_item(
    State(platform): State<Platform>,
    Path(cart): Path<i64>,
    Json(NewItem { dish, quantity }): Json<NewItem>,
) -> Result<StatusCode, Failure> {
    let mut rows = platform.database.write().await?;
    let added = sqlx::query(
        "INSERT INTO cart_items (cart, dish, quantity)
         SELECT carts.id, dishes.id, ? FROM carts, dishes WHERE carts.id = ? AND dishes.id = ?",
    )
    .bind(quantity)
    .bind(cart)
    .bind(dish)
    .execute(&mut rows)
    .await?;
    if added.rows_affected() == 0 {
        return Err(Failure::not_found("no such cart or dish"));
    }
    rows.commit().await?;
    track_event!("cart_item_added", cart_id = cart, dish_id = dish, quantity);
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn view_cart(
    State(platform): State<Platform>,
    Path(cart_id): Path<i64>,
) -> Result<Json<Cart>, Failure> {
    let cart = contents(&mut platform.database.read().await?, cart_id).await?;
    track_event(CartViewed {
        cart_id,
        items: cart.items,
        value: euro(cart.cents),
    });
    Ok(Json(cart))
}

/// How much is in a cart, and what it costs.
pub(crate) async fn contents(
    rows: impl SqliteExecutor<'_>,
    cart: i64,
) -> Result<Cart, sqlx::Error> {
    let (items, cents) = sqlx::query_as(
        "SELECT coalesce(sum(quantity), 0), coalesce(sum(quantity * cents), 0)
         FROM cart_items JOIN dishes ON dishes.id = dish WHERE cart = ?",
    )
    .bind(cart)
    .fetch_one(rows)
    .await?;
    Ok(Cart { items, cents })
}
