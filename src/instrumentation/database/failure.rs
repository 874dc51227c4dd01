//! What errors of sqlx are called.

use compact_str::CompactString;

/// Longer codes are none.
const LONGEST_CODE: usize = 16;

/// `error.type`: the database's own code, SQLSTATE where it has one; else the kind of error.
pub(super) fn error_type(error: &sqlx::Error) -> CompactString {
    use sqlx::Error;
    let kind = match error {
        Error::Database(error) => {
            let code = error.code().filter(|code| is_code(code));
            return code.map_or(CompactString::const_new("database"), CompactString::from);
        }
        Error::Configuration(_) => "configuration",
        Error::InvalidArgument(_) => "invalid_argument",
        Error::Io(_) => "io",
        Error::Tls(_) => "tls",
        Error::Protocol(_) => "protocol",
        Error::RowNotFound => "row_not_found",
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
    CompactString::const_new(kind)
}

fn is_code(code: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(is_part)
}
