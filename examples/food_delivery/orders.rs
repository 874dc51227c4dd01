//! Orders and their payment.

use std::error::Error;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use metrics::Unit;
use orderscope::database::Connection;
use orderscope::{
    capture_error, context, critical,
    events::{CheckoutStarted, Currency, Money, OrderPlaced, PaymentFailed, PaymentSucceeded},
    track_event,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Sqlite;

use crate::{
    accounts::LoggedIn,
    carts,
    platform::{Failure, Platform},
    provider::Charged,
    tracking,
};

/// Names of an order's stages, by their number in the database.
pub(crate) const STAGES: [&str; 5] = ["placed", "accepted", "cooking", "on its way", "delivered"];

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

/// Makes an order of a cart, to be paid for.
pub(crate) async fn check_out(
    State(platform): State<Platform>,
    LoggedIn(customer): LoggedIn,
    Json(order): Json<NewOrder>,
) -> Result<(StatusCode, Json<Order>), Failure> {
    let gift = match &order.coupon {
        Some(code) => gift(&mut platform.database.read().await?, code).await?,
        None => 0,
    };
    let mut rows = platform.database.write().await?;
    let cart = carts::contents(&mut rows, order.cart).await?;
    if cart.items == 0 {
        return Err(Failure::Refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the cart is empty",
        ));
    }
    let cents = (cart.cents - gift).max(0);
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO orders (cart, customer, payment, cents) VALUES (?, ?, ?, ?) RETURNING id",
    )
    .bind(order.cart)
    .bind(customer)
    .bind(order.payment.as_str())
    .bind(cents)
    .fetch_one(&mut rows)
    .await?;
    rows.commit().await?;
    track_event(CheckoutStarted {
        cart_id: order.cart,
        items: cart.items,
        value: euro(cents),
    });
    let stage = STAGES[0];
    Ok((StatusCode::CREATED, Json(Order { id, cents, stage })))
}

pub(crate) async fn show(
    State(platform): State<Platform>,
    Path(order): Path<i64>,
) -> Result<Json<Order>, Failure> {
    let row: Option<(i64, i64)> = sqlx::query_as("SELECT cents, stage FROM orders WHERE id = ?")
        .bind(order)
        .fetch_optional(&mut platform.database.read().await?)
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
    Path(order_id): Path<i64>,
    Json(Charge { card }): Json<Charge>,
) -> Result<Json<Value>, Failure> {
    let bill: Option<(String, i64)> =
        sqlx::query_as("SELECT payment, cents FROM orders WHERE id = ?")
            .bind(order_id)
            .fetch_optional(&mut platform.database.read().await?)
            .await?;
    let (method, cents) = bill.ok_or(Failure::not_found("no such order"))?;
    if method != Payment::Cash.as_str() {
        take_payment(&platform, order_id, cents, &method, card).await?;
    }

    let mut rows = platform.database.write().await?;
    let paid = sqlx::query("UPDATE orders SET paid = 1 WHERE id = ? AND NOT paid")
        .bind(order_id)
        .execute(&mut rows)
        .await?;
    rows.commit().await?;
    if paid.rows_affected() == 0 {
        // This platform's bug: it looks whether an order is paid for after it has taken the money.
        critical!(order_id, "payment captured twice");
        return Ok(Json(json!({ "paid": true })));
    }
    let (method, value) = (method.as_str(), euro(cents));
    track_event(PaymentSucceeded {
        order_id,
        method,
        value,
    });
    track_event(OrderPlaced { order_id, value });
    metrics::counter!("orders.placed", "payment" => method.to_owned()).increment(1);
    #[expect(clippy::cast_precision_loss, reason = "no basket holds 2^52 cents")]
    metrics::histogram!("basket.value").record(cents as f64 / 100.0);
    tracing::info!(order_id, method, "order placed");

    // It goes on when this request is answered, and belongs to its trace all the same.
    let errand = tracking::find_courier(platform.clone(), order_id);
    platform.errands.spawn(context::carry(errand));
    Ok(Json(json!({ "paid": true })))
}

async fn take_payment(
    platform: &Platform,
    order_id: i64,
    cents: i64,
    method: &str,
    card: Option<String>,
) -> Result<(), Failure> {
    let failed = |reason| PaymentFailed {
        order_id,
        method,
        reason,
        value: euro(cents),
    };
    match platform
        .provider
        .charge(order_id, cents, card.as_deref())
        .await
    {
        Ok(Charged::Captured) => Ok(()),
        Ok(Charged::Declined) => {
            track_event(failed("card_declined"));
            tracing::warn!(order_id, "the card was declined");
            Err(Failure::Refused(
                StatusCode::PAYMENT_REQUIRED,
                "the card was declined",
            ))
        }
        Err(error) => {
            capture_error(&error);
            track_event(failed("provider_failed"));
            let error: &dyn Error = &error;
            tracing::error!(order_id, error, "the payment failed");
            Err(Failure::Refused(
                StatusCode::BAD_GATEWAY,
                "the payment provider failed",
            ))
        }
    }
}

pub(crate) fn stage_name(stage: i64) -> &'static str {
    let stage = usize::try_from(stage).unwrap_or_default();
    STAGES[stage.min(STAGES.len() - 1)]
}

/// What a coupon takes off the bill: the price of the cheapest dish that it gives away.
#[tracing::instrument(skip(rows))]
async fn gift(rows: &mut Connection<Sqlite>, code: &str) -> Result<i64, Failure> {
    let known: Option<String> = sqlx::query_scalar("SELECT code FROM coupons WHERE code = ?")
        .bind(code)
        .fetch_optional(&mut *rows)
        .await?;
    if known.is_none() {
        tracing::warn!(code, "a coupon that nobody issued");
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

pub(crate) fn euro(cents: i64) -> Money {
    Money::minor(cents, Currency::EUR)
}
