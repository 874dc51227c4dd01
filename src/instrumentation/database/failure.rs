//! What errors of sqlx are called.

use super::query::Failure;
use compact_str::CompactString;
use sqlx::error::DatabaseError;

/// Longer codes are none.
const LONGEST_CODE: usize = 16;

/// By the database's own code, else by the kind of error.
pub(super) fn failure(error: &sqlx::Error) -> Failure {
    use sqlx::Error;
    let kind = match error {
        Error::Database(error) => match code(&**error) {
            Some(kind) => {
                return Failure {
                    kind,
                    is_code: true,
                };
            }
            None => "database",
        },
        Error::Configuration(_) => "configuration",
        Error::InvalidArgument(_) => "invalid_argument",
        Error::Io(_) => "io",
        Error::Tls(_) => "tls",
        Error::Protocol(_) => "protocol",
        Error::TypeNotFound { .. } => "type_not_found",
        Error::ColumnIndexOutOfBounds { .. } | Error::ColumnNotFound(_) => "column_not_found",
        Error::ColumnDecode { .. } | Error::Decode(_) => "decode",
        Error::Encode(_) => "encode",
        Error::PoolTimedOut => "pool_timeout",
        Error::PoolClosed => "pool_closed",
        Error::WorkerCrashed => "worker_crashed",
        Error::InvalidSavePointStatement => "invalid_savepoint",
        Error::BeginFailed => "begin_failed",
        _ => "_OTHER",
    };
    Failure::of_kind(CompactString::const_new(kind))
}

/// As the conventions have it for each system: MySQL's and MariaDB's error number, PostgreSQL's SQLSTATE.
fn code(error: &dyn DatabaseError) -> Option<CompactString> {
    #[cfg(feature = "sqlx-mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return Some(compact_str::format_compact!("{}", error.number()));
    }
    let code = error.code().filter(|code| is_code(code));
    code.map(CompactString::from)
}

fn is_code(code: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(is_part)
}
