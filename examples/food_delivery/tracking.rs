//! Following an order: the kitchen that moves it on, the customer's stream, the couriers' socket.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::{
        Path, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::{
        Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use orderscope::{capture_error, http::UpgradedStream, track_event};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{interval, sleep};

use crate::{
    orders::{STAGES, stage_name},
    platform::{Failure, Platform},
};

#[derive(Deserialize)]
struct Position {
    courier: String,
    latitude: f64,
    longitude: f64,
}

/// Moves paid orders on, stage by stage, until the platform closes.
pub(crate) async fn kitchen(platform: Platform) {
    let mut ticks = interval(KITCHEN_TICK);
    for tick in 0_u64.. {
        tokio::select! {
            () = platform.closing.passed() => return,
            _ = ticks.tick() => {}
        }
        match cook(&platform, tick).await {
            Ok(0) => tracing::trace!(tick, "nothing to cook"),
            Ok(orders) => tracing::debug!(tick, orders, "orders moved on"),
            Err(error) => {
                capture_error(&error);
                tracing::error!(%error, "the kitchen lost track of its orders");
            }
        }
    }
}

/// The stages of an order as they come, until it is delivered or the platform closes.
pub(crate) async fn track(
    State(platform): State<Platform>,
    Path(order): Path<i64>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    if stage(&platform, order).await?.is_none() {
        return Err(Failure::not_found("no such order"));
    }
    track_event!("order_tracked", order_id = order);
    let stages = stream::unfold(None, move |seen| {
        let platform = platform.clone();
        async move {
            let stage = next_stage(&platform, order, seen).await?;
            let event = Event::default().event("stage").data(stage_name(stage));
            Some((Ok(event), Some(stage)))
        }
    });
    Ok(Sse::new(stages).keep_alive(KeepAlive::default()))
}

/// A courier's socket: positions in, the number of orders waiting for a courier out.
pub(crate) async fn courier(
    State(platform): State<Platform>,
    upgrade: WebSocketUpgrade,
    Extension(stream): Extension<UpgradedStream>,
) -> Response {
    upgrade.on_upgrade(|socket| async move {
        // Held as long as the socket is open, which is how long it is measured.
        let _open = stream;
        let closing = platform.closing.clone();
        tokio::select! {
            () = closing.passed() => {}
            () = follow(platform, socket) => {}
        }
    })
}

/// Finds a courier for an order, when its customer has the answer already.
#[tracing::instrument(skip(platform))]
pub(crate) async fn find_courier(platform: Platform, order_id: i64) {
    match courier_on_shift(&platform).await {
        Ok(Some(courier)) => track_event!("courier_assigned", order_id, courier),
        Ok(None) => tracing::warn!(order_id, "no courier is on shift"),
        Err(error) => capture_error(&error),
    }
}

async fn courier_on_shift(platform: &Platform) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT name FROM couriers ORDER BY random() LIMIT 1")
        .fetch_optional(&mut platform.database.read().await?)
        .await
}

/// How many orders moved on.
async fn cook(platform: &Platform, tick: u64) -> Result<u64, sqlx::Error> {
    let mut rows = platform.database.write().await?;
    // Orders take turns, so that they do not all arrive at once.
    let moved =
        sqlx::query("UPDATE orders SET stage = stage + 1 WHERE paid AND stage < ? AND id % 3 = ?")
            .bind(last_stage())
            .bind((tick % 3).cast_signed())
            .execute(&mut rows)
            .await?;
    rows.commit().await?;
    if tick % TIDY_EVERY == TIDY_EVERY - 1 {
        platform.database.tidy().await?;
    }
    Ok(moved.rows_affected())
}

/// The next stage of an order after the one seen; none once it is delivered, or at closing.
async fn next_stage(platform: &Platform, order: i64, seen: Option<i64>) -> Option<i64> {
    if seen == Some(last_stage()) {
        return None;
    }
    loop {
        let now = stage(platform, order).await.ok()??;
        if Some(now) != seen {
            return Some(now);
        }
        tokio::select! {
            () = platform.closing.passed() => return None,
            () = sleep(TRACKING_TICK) => {}
        }
    }
}

async fn stage(platform: &Platform, order: i64) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT stage FROM orders WHERE id = ?")
        .bind(order)
        .fetch_optional(&mut platform.database.read().await?)
        .await
}

fn last_stage() -> i64 {
    i64::try_from(STAGES.len() - 1).unwrap_or(i64::MAX)
}

async fn follow(platform: Platform, mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else {
            continue;
        };
        let Ok(position) = serde_json::from_str::<Position>(&text) else {
            continue;
        };
        let Ok(waiting) = meet(&platform, position).await else {
            return;
        };
        let answer = json!({ "waiting": waiting });
        if socket
            .send(Message::text(answer.to_string()))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Notes where a courier is; answers how many orders wait to be brought.
async fn meet(platform: &Platform, position: Position) -> Result<i64, sqlx::Error> {
    let mut rows = platform.database.write().await?;
    sqlx::query("INSERT OR REPLACE INTO couriers (name, latitude, longitude) VALUES (?, ?, ?)")
        .bind(position.courier)
        .bind(position.latitude)
        .bind(position.longitude)
        .execute(&mut rows)
        .await?;
    let waiting = sqlx::query_scalar("SELECT count(*) FROM orders WHERE stage = 2")
        .fetch_one(&mut rows)
        .await?;
    rows.commit().await?;
    Ok(waiting)
}

/// How often the kitchen looks at its orders.
const KITCHEN_TICK: Duration = Duration::from_millis(250);

/// How often a tracking stream looks at its order.
const TRACKING_TICK: Duration = Duration::from_millis(200);

/// Kitchen ticks between two tidyings of the database.
const TIDY_EVERY: u64 = 240;
