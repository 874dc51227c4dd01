//! The platform's SQLite database: in memory, shared by its connections, gone at exit; or in a file
//! that replicas share.

use std::{path::Path, time::Duration};

use orderscope::{
    Telemetry,
    database::{self, Connection, Operation, Transaction},
};
use sqlx::{
    Sqlite, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::sleep;

/// The coupon whose dishes were all taken off the menu.
pub(crate) const BROKEN_COUPON: &str = "FREE-DESSERT";

/// The coupon that works.
pub(crate) const COUPON: &str = "WELCOME";

/// The restaurant with a line in its books that is not a number.
pub(crate) const SPOILT_BOOKS: i64 = 7;

pub(crate) const RESTAURANTS: i64 = 24;

pub(crate) const CUSTOMERS: i64 = 500;

/// Connections to the database, watched: one that writes, so that writers queue here and not in
/// SQLite's locks, and a few that read.
#[derive(Clone)]
pub(crate) struct Database {
    writer: database::Database<Sqlite>,
    readers: database::Database<Sqlite>,
}

/// The same before anybody watches.
struct Pools {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Database {
    /// One in memory, with all that [`create`](Self::create) puts into one.
    pub(crate) async fn in_memory(telemetry: &Telemetry) -> Result<Self, sqlx::Error> {
        // Readers of the shared cache take table locks unless they read what is uncommitted.
        let options = "sqlite::memory:"
            .parse::<SqliteConnectOptions>()?
            .pragma("read_uncommitted", "true");
        let pools = Pools::connect(options).await?;
        pools.seed().await?;
        Ok(pools.watched(telemetry))
    }

    /// Makes the schema, and restaurants, dishes, past sales and customers in it.
    pub(crate) async fn create(file: &Path) -> Result<(), sqlx::Error> {
        let pools = Pools::connect(in_file(file).create_if_missing(true)).await?;
        pools.seed().await?;
        pools.readers.close().await;
        pools.writer.close().await;
        Ok(())
    }

    /// One that was [created](Self::create), beside others that use it.
    pub(crate) async fn join(file: &Path, telemetry: &Telemetry) -> Result<Self, sqlx::Error> {
        Ok(Pools::connect(in_file(file)).await?.watched(telemetry))
    }

    pub(crate) async fn read(&self) -> Result<Connection<Sqlite>, sqlx::Error> {
        self.readers.acquire().await
    }

    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        // At once a writer: what was read first might be another process's past by the first write.
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Holds a connection for as long as `text` would take to find in a table that does not fit
    /// in memory: from 120 to 400 ms, the same for the same text.
    pub(crate) async fn scan(&self, text: &str) -> Result<(), sqlx::Error> {
        let weight = text
            .bytes()
            .fold(17_u64, |sum, byte| sum * 31 + u64::from(byte));
        let _connection = self.read().await?;
        let searching = async {
            sleep(Duration::from_millis(120 + weight % 281)).await;
            Ok(())
        };
        let operation = Operation::new("SEARCH dishes").system("sqlite");
        database::time(operation, searching).await
    }

    /// Forgets all but the newest carts, orders, favourites and sessions.
    pub(crate) async fn tidy(&self) -> Result<(), sqlx::Error> {
        let mut rows = self.write().await?;
        sqlx::raw_sql(TIDY).execute(&mut rows).await?;
        rows.commit().await
    }
}

impl Pools {
    async fn connect(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        // The database lives as long as a connection to it, so one is never given up.
        let pool = || {
            SqlitePoolOptions::new()
                .min_connections(1)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        let readers = pool().max_connections(6).connect_with(options).await?;
        Ok(Self { writer, readers })
    }

    fn watched(self, telemetry: &Telemetry) -> Database {
        Database {
            writer: telemetry.database("writer", self.writer),
            readers: telemetry.database("readers", self.readers),
        }
    }

    async fn seed(&self) -> Result<(), sqlx::Error> {
        let mut rows = self.writer.begin().await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *rows).await?;
        for id in 1..=RESTAURANTS {
            open_restaurant(&mut rows, id).await?;
        }
        sqlx::query(SALES).execute(&mut *rows).await?;
        sqlx::query(SPOIL)
            .bind(SPOILT_BOOKS)
            .execute(&mut *rows)
            .await?;
        sqlx::query(SIGN_UP)
            .bind(CUSTOMERS)
            .execute(&mut *rows)
            .await?;
        for code in [COUPON, BROKEN_COUPON] {
            sqlx::query("INSERT INTO coupons (code) VALUES (?)")
                .bind(code)
                .execute(&mut *rows)
                .await?;
        }
        sqlx::query("INSERT INTO coupon_dishes (coupon, dish) VALUES (?1, 4), (?1, 12)")
            .bind(COUPON)
            .execute(&mut *rows)
            .await?;
        rows.commit().await
    }
}

/// Writers of several processes wait for each other, and readers for nobody.
fn in_file(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(5))
        // It is not to outlive the run.
        .synchronous(SqliteSynchronous::Off)
}

async fn open_restaurant(rows: &mut SqliteConnection, id: i64) -> Result<(), sqlx::Error> {
    let index = usize::try_from(id - 1).unwrap_or_default();
    let place = PLACES[index / MENUS.len() % PLACES.len()];
    let (cuisine, kind, dishes) = &MENUS[index % MENUS.len()];
    sqlx::query("INSERT INTO restaurants (id, name, cuisine) VALUES (?, ?, ?)")
        .bind(id)
        .bind(format!("{place} {kind}"))
        .bind(*cuisine)
        .execute(&mut *rows)
        .await?;
    for (cents, dish) in (650..).step_by(175).zip(dishes) {
        sqlx::query("INSERT INTO dishes (restaurant, name, cents) VALUES (?, ?, ?)")
            .bind(id)
            .bind(*dish)
            .bind(cents + id * 10)
            .execute(&mut *rows)
            .await?;
    }
    Ok(())
}

const SCHEMA: &str = "
CREATE TABLE restaurants (id INTEGER PRIMARY KEY, name TEXT NOT NULL, cuisine TEXT NOT NULL);
CREATE TABLE dishes (
    id INTEGER PRIMARY KEY,
    restaurant INTEGER NOT NULL REFERENCES restaurants,
    name TEXT NOT NULL,
    cents INTEGER NOT NULL
);
CREATE INDEX dishes_by_restaurant ON dishes (restaurant);
CREATE TABLE sales (
    id INTEGER PRIMARY KEY,
    restaurant INTEGER NOT NULL REFERENCES restaurants,
    dish TEXT NOT NULL,
    cents INTEGER NOT NULL
);
CREATE INDEX sales_by_restaurant ON sales (restaurant, id);
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL);
CREATE TABLE sessions (token TEXT PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers);
CREATE TABLE favorites (customer INTEGER NOT NULL, dish INTEGER NOT NULL, UNIQUE (customer, dish));
CREATE TABLE carts (id INTEGER PRIMARY KEY, customer TEXT NOT NULL);
CREATE TABLE cart_items (cart INTEGER NOT NULL, dish INTEGER NOT NULL, quantity INTEGER NOT NULL);
CREATE INDEX cart_items_by_cart ON cart_items (cart);
CREATE TABLE coupons (code TEXT PRIMARY KEY);
CREATE TABLE coupon_dishes (coupon TEXT NOT NULL REFERENCES coupons, dish INTEGER NOT NULL);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    cart INTEGER NOT NULL,
    customer INTEGER NOT NULL,
    payment TEXT NOT NULL,
    cents INTEGER NOT NULL,
    paid INTEGER NOT NULL DEFAULT 0,
    stage INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE couriers (name TEXT PRIMARY KEY, latitude REAL NOT NULL, longitude REAL NOT NULL);
";

/// A thousand past sales for each restaurant.
const SALES: &str = "
INSERT INTO sales (restaurant, dish, cents)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
SELECT restaurants.id, 'dish ' || (n % 8 + 1), 600 + (n * 37 + restaurants.id * 11) % 1900
FROM restaurants, numbers ORDER BY restaurants.id, n";

/// SQLite keeps a text that is no number in a column of integers.
const SPOIL: &str = "
UPDATE sales SET cents = 'refunded' WHERE id = (
    SELECT id FROM sales WHERE restaurant = ? ORDER BY id LIMIT 1 OFFSET 400)";

const SIGN_UP: &str = "
INSERT INTO customers (name, password)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
SELECT 'customer-' || n, 'password-' || n FROM numbers";

/// What grows with traffic is kept to its newest rows, so that a demo may run for days.
const TIDY: &str = "
DELETE FROM cart_items WHERE cart < (SELECT max(id) FROM carts) - 5000;
DELETE FROM carts WHERE id < (SELECT max(id) FROM carts) - 5000;
DELETE FROM orders WHERE id < (SELECT max(id) FROM orders) - 5000;
DELETE FROM favorites WHERE rowid < (SELECT max(rowid) FROM favorites) - 5000;
DELETE FROM sessions WHERE rowid < (SELECT max(rowid) FROM sessions) - 5000;
";

const PLACES: [&str; 6] = [
    "Harbour",
    "Station",
    "Corner",
    "Garden",
    "Old Mill",
    "Riverside",
];

const MENUS: [(&str, &str, [&str; 8]); 4] = [
    (
        "noodles",
        "Noodle Bar",
        [
            "Ramen",
            "Udon",
            "Pad Thai",
            "Dumplings",
            "Spring Rolls",
            "Pho",
            "Soba",
            "Mochi",
        ],
    ),
    (
        "pizza",
        "Pizzeria",
        [
            "Margherita",
            "Marinara",
            "Funghi",
            "Diavola",
            "Calzone",
            "Focaccia",
            "Salad",
            "Tiramisu",
        ],
    ),
    (
        "curry",
        "Curry House",
        [
            "Korma", "Madras", "Dal", "Biryani", "Naan", "Samosas", "Raita", "Kulfi",
        ],
    ),
    (
        "grill",
        "Grill",
        [
            "Burger", "Ribs", "Wings", "Halloumi", "Corn", "Fries", "Coleslaw", "Brownie",
        ],
    ),
];
