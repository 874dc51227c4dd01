//! What the database room records; [`crate::database`] says when. Registered with the first pool or
//! operation that is measured.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

const CONNECTIONS: Unit = Unit::things("{connection}");
const POOL: &[&str] = &[semconv::DB_CLIENT_CONNECTION_POOL_NAME];
/// The conventions' edges, and the one that the product's threshold stands on: 0.3.
const OPERATION_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.3, 0.5, 1.0, 5.0, 10.0];
/// The conventions' edges; the product's threshold stands on 0.1.
const CONNECTION_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// From handing an operation to a connection to the end of its result: the wait for the connection
/// is not in it. A query that is given up counts as `cancelled`.
pub const OPERATION_DURATION: Descriptor = Descriptor::histogram(
    semconv::DB_CLIENT_OPERATION_DURATION,
    Unit::SECONDS,
    "Time from handing an operation to a connection to the end of its result.",
)
.with_attributes(&[
    semconv::DB_SYSTEM_NAME,
    semconv::DB_QUERY_SUMMARY,
    semconv::DB_NAMESPACE,
    semconv::ERROR_TYPE,
])
.with_edges(OPERATION_SECONDS);

/// Connections that are open.
pub const CONNECTION_COUNT: Descriptor = Descriptor::up_down_counter(
    semconv::DB_CLIENT_CONNECTION_COUNT,
    CONNECTIONS,
    "Connections that are open, by state.",
)
.with_attributes(&[
    semconv::DB_CLIENT_CONNECTION_POOL_NAME,
    semconv::DB_CLIENT_CONNECTION_STATE,
]);

/// How many connections there may be.
pub const CONNECTION_MAX: Descriptor = Descriptor::up_down_counter(
    semconv::DB_CLIENT_CONNECTION_MAX,
    CONNECTIONS,
    "Connections that may be open at most.",
)
.with_attributes(POOL);

/// How many idle connections are kept at most.
pub const CONNECTION_IDLE_MAX: Descriptor = Descriptor::up_down_counter(
    semconv::DB_CLIENT_CONNECTION_IDLE_MAX,
    CONNECTIONS,
    "Idle connections that are kept at most.",
)
.with_attributes(POOL);

/// How many idle connections are kept at least.
pub const CONNECTION_IDLE_MIN: Descriptor = Descriptor::up_down_counter(
    semconv::DB_CLIENT_CONNECTION_IDLE_MIN,
    CONNECTIONS,
    "Idle connections that are kept at least.",
)
.with_attributes(POOL);

/// Who waits for a connection now.
pub const PENDING_REQUESTS: Descriptor = Descriptor::up_down_counter(
    semconv::DB_CLIENT_CONNECTION_PENDING_REQUESTS,
    Unit::things("{request}"),
    "Requests that wait for a connection.",
)
.with_attributes(POOL);

/// From asking for a connection to having it, a new one's opening included. Of who never had one,
/// to where the pool refused it or it was waited for no more: it would have taken at least as long.
pub const WAIT_TIME: Descriptor = Descriptor::histogram(
    semconv::DB_CLIENT_CONNECTION_WAIT_TIME,
    Unit::SECONDS,
    "Time from asking for a connection to having it, or to waiting no more.",
)
.with_attributes(POOL)
.with_edges(CONNECTION_SECONDS);

/// From having a connection to giving it back.
pub const USE_TIME: Descriptor = Descriptor::histogram(
    semconv::DB_CLIENT_CONNECTION_USE_TIME,
    Unit::SECONDS,
    "Time from having a connection to giving it back.",
)
.with_attributes(POOL)
.with_edges(CONNECTION_SECONDS);

/// Who waited for a connection for longer than the pool allows.
pub const TIMEOUTS: Descriptor = Descriptor::counter(
    semconv::DB_CLIENT_CONNECTION_TIMEOUTS,
    Unit::things("{timeout}"),
    "Requests for a connection that timed out.",
)
.with_attributes(POOL);
