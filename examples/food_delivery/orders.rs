//! Carts, orders and their payment.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use metrics::Unit;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use crate::{
    accounts::LoggedIn,
    platform::{Failure, Platform},
};

/// Names of an order's stages, by their number in the database.
pub(crate) const STAGES: [&str; 5] = ["placed", "accepted", "cooking", "on its way", "delivered"];

#[derive(Deserialize)]
pub(crate) struct NewCart {
    customer: String,
}

#[derive(Deserialize)]
pub(crate) struct NewItem {
    dish: i64,
    quantity: i64,
}

#[derive(Deserialize)]
pub(crate) struct NewOrder {
    cart: i64,
    coupon: Option<String>,
    payment: Payment,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Payment {
    Card,
    Cash,
    /// By a bank that does not answer.
    Bank,
}

impl Payment {
    fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Cash => "cash",
            Self::Bank => "bank",
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Charge {
    card: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Order {
    id: i64,
    cents: i64,
    stage: &'static str,
}

/// Describes the metrics that this business records through the `metrics` crate.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!("orders.placed", Unit::Count, "Orders placed, by payment.");
    metrics::describe_histogram!(
        "basket.value",
        Unit::Count,
        "Value of a placed order, in euro."
    );
}

pub(crate) async fn open_cart(
    State(platform): State<Platform>,
    Json(NewCart { customer }): Json<NewCart>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let mut rows = platform.database.write().await?;
    let cart: i64 = sqlx::query_scalar("INSERT INTO carts (customer) VALUES (?) RETURNING id")
        .bind(customer)
        .fetch_one(&mut *rows)
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
    .execute(&mut *rows)
    .await?;
    if added.rows_affected() == 0 {
        return Err(Failure::not_found("no such cart or dish"));
    }
    rows.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn place(
    State(platform): State<Platform>,
    LoggedIn(customer): LoggedIn,
    Json(order): Json<NewOrder>,
) -> Result<(StatusCode, Json<Order>), Failure> {
    let gift = match &order.coupon {
        Some(code) => gift(&mut *platform.database.read().await?, code).await?,
        None => 0,
    };
    let mut rows = platform.database.write().await?;
    let (items, value): (i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(quantity * cents), 0)
         FROM cart_items JOIN dishes ON dishes.id = dish WHERE cart = ?",
    )
    .bind(order.cart)
    .fetch_one(&mut *rows)
    .await?;
    if items == 0 {
        return Err(Failure::Refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the cart is empty",
        ));
    }
    let cents = (value - gift).max(0);
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO orders (cart, customer, payment, cents) VALUES (?, ?, ?, ?) RETURNING id",
    )
    .bind(order.cart)
    .bind(customer)
    .bind(order.payment.as_str())
    .bind(cents)
    .fetch_one(&mut *rows)
    .await?;
    rows.commit().await?;
    metrics::counter!("orders.placed", "payment" => order.payment.as_str()).increment(1);
    #[expect(clippy::cast_precision_loss, reason = "no basket holds 2^52 cents")]
    metrics::histogram!("basket.value").record(cents as f64 / 100.0);
    let stage = STAGES[0];
    Ok((StatusCode::CREATED, Json(Order { id, cents, stage })))
}

pub(crate) async fn show(
    State(platform): State<Platform>,
    Path(order): Path<i64>,
) -> Result<Json<Order>, Failure> {
    let row: Option<(i64, i64)> = sqlx::query_as("SELECT cents, stage FROM orders WHERE id = ?")
        .bind(order)
        .fetch_optional(&mut *platform.database.read().await?)
        .await?;
    let (cents, stage) = row.ok_or(Failure::not_found("no such order"))?;
    let stage = stage_name(stage);
    Ok(Json(Order {
        id: order,
        cents,
        stage,
    }))
}

pub(crate) async fn pay(
    State(platform): State<Platform>,
    Path(order): Path<i64>,
    Json(Charge { card }): Json<Charge>,
) -> Result<Json<Value>, Failure> {
    let payment: Option<String> = sqlx::query_scalar("SELECT payment FROM orders WHERE id = ?")
        .bind(order)
        .fetch_optional(&mut *platform.database.read().await?)
        .await?;
    match payment.as_deref() {
        None => return Err(Failure::not_found("no such order")),
        // The bank's answer never comes; only the layer's timeout ends this.
        Some("bank") => std::future::pending().await,
        Some("card") if card.is_none_or(|card| card.ends_with(DECLINED_CARD)) => {
            return Err(Failure::Refused(
                StatusCode::PAYMENT_REQUIRED,
                "the card was declined",
            ));
        }
        Some(_) => {}
    }
    let mut rows = platform.database.write().await?;
    sqlx::query("UPDATE orders SET paid = 1 WHERE id = ?")
        .bind(order)
        .execute(&mut *rows)
        .await?;
    rows.commit().await?;
    Ok(Json(json!({ "paid": true })))
}

pub(crate) fn stage_name(stage: i64) -> &'static str {
    let stage = usize::try_from(stage).unwrap_or_default();
    STAGES[stage.min(STAGES.len() - 1)]
}

/// What a coupon takes off the bill: the price of the cheapest dish that it gives away.
async fn gift(rows: &mut SqliteConnection, code: &str) -> Result<i64, Failure> {
    let known: Option<String> = sqlx::query_scalar("SELECT code FROM coupons WHERE code = ?")
        .bind(code)
        .fetch_optional(&mut *rows)
        .await?;
    if known.is_none() {
        return Err(Failure::Refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "no such coupon",
        ));
    }
    let prices: Vec<i64> = sqlx::query_scalar(
        "SELECT cents FROM coupon_dishes JOIN dishes ON dishes.id = dish
         WHERE coupon = ? ORDER BY cents",
    )
    .bind(code)
    .fetch_all(&mut *rows)
    .await?;
    // This platform's bug: a coupon outlives the last of its dishes, and the list is empty.
    Ok(prices[0])
}

/// Cards that end so have no money on them.
const DECLINED_CARD: &str = "0002";
