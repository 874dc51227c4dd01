//! Restaurants, their dishes, search, favourites, and the sales export for their owners.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use futures_util::stream;
use orderscope::{
    capture_error,
    events::{Currency, Money},
    track_event,
};
use serde::{Deserialize, Serialize};

use crate::{
    accounts::LoggedIn,
    platform::{Failure, Platform},
};

#[derive(Serialize)]
pub(crate) struct Restaurant {
    id: i64,
    name: String,
    cuisine: String,
}

#[derive(Serialize)]
pub(crate) struct Dish {
    id: i64,
    name: String,
    cents: i64,
}

#[derive(Deserialize)]
pub(crate) struct SearchText {
    q: String,
}

#[derive(Deserialize)]
pub(crate) struct Favorite {
    dish: i64,
}

pub(crate) async fn restaurants(
    State(platform): State<Platform>,
) -> Result<Json<Vec<Restaurant>>, Failure> {
    let rows: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT id, name, cuisine FROM restaurants ORDER BY name")
            .fetch_all(&mut platform.database.read().await?)
            .await?;
    let restaurants = rows
        .into_iter()
        .map(|(id, name, cuisine)| Restaurant { id, name, cuisine });
    Ok(Json(restaurants.collect()))
}

pub(crate) async fn dishes(
    State(platform): State<Platform>,
    Path(restaurant): Path<i64>,
) -> Result<Json<Vec<Dish>>, Failure> {
    let rows: Vec<(i64, String, i64)> =
        sqlx::query_as("SELECT id, name, cents FROM dishes WHERE restaurant = ? ORDER BY id")
            .bind(restaurant)
            .fetch_all(&mut platform.database.read().await?)
            .await?;
    if rows.is_empty() {
        return Err(Failure::not_found("no such restaurant"));
    }
    Ok(Json(menu(rows)))
}

pub(crate) async fn dish(
    State(platform): State<Platform>,
    Path(dish_id): Path<i64>,
) -> Result<Json<Dish>, Failure> {
    let row: Option<(String, i64, String)> = sqlx::query_as(
        "SELECT dishes.name, cents, restaurants.name
         FROM dishes JOIN restaurants ON restaurants.id = restaurant WHERE dishes.id = ?",
    )
    .bind(dish_id)
    .fetch_optional(&mut platform.database.read().await?)
    .await?;
    let (name, cents, restaurant) = row.ok_or(Failure::not_found("no such dish"))?;
    let price = Money::minor(cents, Currency::EUR);
    track_event!("dish_viewed", dish_id, restaurant, price);
    let id = dish_id;
    Ok(Json(Dish { id, name, cents }))
}

pub(crate) async fn add_favorite(
    State(platform): State<Platform>,
    LoggedIn(customer): LoggedIn,
    Json(Favorite { dish }): Json<Favorite>,
) -> Result<StatusCode, Failure> {
    let mut rows = platform.database.write().await?;
    // This platform's bug: a dish that is a favourite already breaks a constraint, and that is
    // answered with 500.
    sqlx::query("INSERT INTO favorites (customer, dish) VALUES (?, ?)")
        .bind(customer)
        .bind(dish)
        .execute(&mut rows)
        .await?;
    rows.commit().await?;
    track_event!("favorite_added", dish_id = dish);
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn search(
    State(platform): State<Platform>,
    Query(SearchText { q }): Query<SearchText>,
) -> Result<Json<Vec<Dish>>, Failure> {
    if q.chars().count() < INDEXED_LENGTH {
        platform.database.scan(&q).await?;
    }
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(
        "SELECT dishes.id, dishes.name, cents
         FROM dishes JOIN restaurants ON restaurants.id = restaurant
         WHERE dishes.name LIKE '%' || ?1 || '%' OR cuisine LIKE '%' || ?1 || '%'
         ORDER BY cents LIMIT 20",
    )
    .bind(&q)
    .fetch_all(&mut platform.database.read().await?)
    .await?;
    track_event!("search", text = q, results = rows.len());
    Ok(Json(menu(rows)))
}

/// A restaurant's sales as CSV, in chunks. A row that cannot be read ends the body with an error.
pub(crate) async fn sales(
    State(platform): State<Platform>,
    Path(restaurant): Path<i64>,
) -> impl IntoResponse {
    let lines = stream::try_unfold(0, move |after| {
        let platform = platform.clone();
        async move {
            let rows = match sales_after(&platform, restaurant, after).await {
                Ok(rows) => rows,
                Err(error) => {
                    // The head is sent: the client sees no more than that the body breaks off.
                    capture_error(&error);
                    return Err(error);
                }
            };
            let Some(&(last, ..)) = rows.last() else {
                return Ok(None);
            };
            let lines = rows
                .iter()
                .map(|(id, dish, cents)| format!("{id},{dish},{cents}\n"));
            Ok(Some((lines.collect::<String>(), last)))
        }
    });
    ([(CONTENT_TYPE, "text/csv")], Body::from_stream(lines))
}

#[tracing::instrument(skip(platform))]
async fn sales_after(
    platform: &Platform,
    restaurant: i64,
    after: i64,
) -> Result<Vec<(i64, String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, dish, cents FROM sales
         WHERE restaurant = ? AND id > ? ORDER BY id LIMIT ?",
    )
    .bind(restaurant)
    .bind(after)
    .bind(EXPORT_PAGE)
    .fetch_all(&mut platform.database.read().await?)
    .await
}

fn menu(rows: Vec<(i64, String, i64)>) -> Vec<Dish> {
    let dishes = rows
        .into_iter()
        .map(|(id, name, cents)| Dish { id, name, cents });
    dishes.collect()
}

/// Rows of an export read at a time, so that a long one never sits in memory.
const EXPORT_PAGE: i64 = 50;

/// Texts shorter than this are not in the index.
const INDEXED_LENGTH: usize = 3;
