//! Restaurants, their dishes, search, and the sales export for their owners.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::header::CONTENT_TYPE,
    response::IntoResponse,
};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use crate::platform::{Failure, Platform};

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

pub(crate) async fn restaurants(
    State(platform): State<Platform>,
) -> Result<Json<Vec<Restaurant>>, Failure> {
    let rows: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT id, name, cuisine FROM restaurants ORDER BY name")
            .fetch_all(&mut *platform.database.read().await?)
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
            .fetch_all(&mut *platform.database.read().await?)
            .await?;
    if rows.is_empty() {
        return Err(Failure::not_found("no such restaurant"));
    }
    Ok(Json(menu(rows)))
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
    .bind(q)
    .fetch_all(&mut *platform.database.read().await?)
    .await?;
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
            let rows: Vec<(i64, String, i64)> = sqlx::query_as(
                "SELECT id, dish, cents FROM sales
                 WHERE restaurant = ? AND id > ? ORDER BY id LIMIT ?",
            )
            .bind(restaurant)
            .bind(after)
            .bind(EXPORT_PAGE)
            .fetch_all(&mut *platform.database.read().await?)
            .await?;
            let Some(&(last, ..)) = rows.last() else {
                return Ok::<_, sqlx::Error>(None);
            };
            let lines = rows
                .iter()
                .map(|(id, dish, cents)| format!("{id},{dish},{cents}\n"));
            Ok(Some((lines.collect::<String>(), last)))
        }
    });
    ([(CONTENT_TYPE, "text/csv")], Body::from_stream(lines))
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
