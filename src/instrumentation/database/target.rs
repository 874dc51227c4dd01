//! Where a pool leads.

use crate::{pipeline::Traits, redaction::sql::Dialect};
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-postgres"))]
use compact_str::CompactString;
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-postgres"))]
use std::path::Path;

/// What operations on a pool are told by.
pub(super) fn traits<DB: sqlx::Database>(name: &str, pool: &sqlx::Pool<DB>) -> Traits {
    let (system, dialect) = match DB::NAME {
        "PostgreSQL" => ("postgresql", Dialect::Postgres),
        "MySQL" => ("mysql", Dialect::MySql),
        "SQLite" => ("sqlite", Dialect::Sqlite),
        _ => ("other_sql", Dialect::Unknown),
    };
    let traits = Traits {
        pool: name.into(),
        ..Traits::of_system(system, dialect)
    };
    #[cfg(any(feature = "sqlx-mysql", feature = "sqlx-postgres"))]
    let traits = led(traits, &*pool.connect_options());
    #[cfg(not(any(feature = "sqlx-mysql", feature = "sqlx-postgres")))]
    let _ = pool;
    traits
}

/// Of the databases whose options say it. Their URL is not asked for: sqlx panics over that of an IPv6
/// address.
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-postgres"))]
fn led(mut traits: Traits, options: &dyn std::any::Any) -> Traits {
    #[cfg(feature = "sqlx-postgres")]
    if let Some(options) = options.downcast_ref::<sqlx::postgres::PgConnectOptions>() {
        // The server's default, where none is named.
        let database = options.get_database().unwrap_or(options.get_username());
        traits.namespace = CompactString::from(database);
        // A host that is a folder is one of sockets.
        let folder = Some(options.get_host()).filter(|host| host.starts_with('/'));
        let socket = options.get_socket().map(|socket| socket.as_path());
        let (host, port) = (options.get_host(), options.get_port());
        leads(&mut traits, socket.or(folder.map(Path::new)), host, port);
    }
    #[cfg(feature = "sqlx-mysql")]
    if let Some(options) = options.downcast_ref::<sqlx::mysql::MySqlConnectOptions>() {
        traits.namespace = options.get_database().unwrap_or_default().into();
        let socket = options.get_socket().map(|socket| socket.as_path());
        leads(&mut traits, socket, options.get_host(), options.get_port());
    }
    traits
}

/// A socket has no port.
#[cfg(any(feature = "sqlx-mysql", feature = "sqlx-postgres"))]
fn leads(traits: &mut Traits, socket: Option<&Path>, host: &str, port: u16) {
    match socket {
        Some(socket) => traits.address = CompactString::from(socket.to_string_lossy()),
        None => {
            let bare = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            traits.address = bare.unwrap_or(host).into();
            traits.port = port;
        }
    }
}

#[cfg(all(test, feature = "sqlx-mysql", feature = "sqlx-postgres"))]
mod tests {
    use super::*;
    use sqlx::{
        mysql::{MySqlConnectOptions, MySqlPoolOptions},
        postgres::{PgConnectOptions, PgPoolOptions},
    };

    fn told(traits: &Traits) -> (&str, u16, &str) {
        (&traits.address, traits.port, &traits.namespace)
    }

    #[tokio::test]
    async fn a_pool_of_postgresql_leads_where_its_options_say() {
        let postgres = PgConnectOptions::new_without_pgpass().username("a/b#c?d");
        let shop = postgres.clone().database("shop");
        for (options, expected) in [
            (shop.clone().host("db").port(5433), ("db", 5433, "shop")),
            (shop.clone().host("::1").port(5432), ("::1", 5432, "shop")),
            (shop.clone().host("[::1]").port(1), ("::1", 1, "shop")),
            (shop.clone().host("/var/run"), ("/var/run", 0, "shop")),
            (
                shop.clone().host("db").socket("/run/pg"),
                ("/run/pg", 0, "shop"),
            ),
            (postgres.host("db").port(5432), ("db", 5432, "a/b#c?d")),
        ] {
            let pool = PgPoolOptions::new().connect_lazy_with(options);
            assert_eq!(told(&traits("orders", &pool)), expected);
        }
    }

    #[tokio::test]
    async fn a_pool_of_mysql_leads_where_its_options_say() {
        let mysql = MySqlConnectOptions::new().username("a/b#c?d");
        for (options, expected) in [
            (mysql.clone().host("db").port(3307), ("db", 3307, "")),
            (
                mysql.clone().host("::1").database("shop"),
                ("::1", 3306, "shop"),
            ),
            (
                mysql.clone().socket("/run/mysqld.sock"),
                ("/run/mysqld.sock", 0, ""),
            ),
        ] {
            let pool = MySqlPoolOptions::new().connect_lazy_with(options);
            assert_eq!(told(&traits("orders", &pool)), expected);
        }
    }
}
