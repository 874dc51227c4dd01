//! All that is declared, in one place: from here come the Prometheus name, the OTLP name, and
//! later the alert rule, the dashboard's panel and the live page.

pub(crate) mod active_users;
pub mod database;
pub(crate) mod declared;
pub mod delivery;
pub mod errors;
pub mod events;
pub(crate) mod feature;
pub(crate) mod funnel;
pub mod http;
pub mod logs;
pub mod process;
pub(crate) mod sessions;
pub mod telemetry;
pub mod tokio;
pub(crate) mod transaction;

use crate::metrics::Descriptor;

/// Every instrument that orderscope registers at start.
pub const ALL: &[&Descriptor] = &[
    &http::REQUEST_DURATION,
    &http::TIME_TO_FIRST_BYTE,
    &http::REQUESTS_STARTED,
    &http::REQUESTS_FINISHED,
    &http::ACTIVE_REQUESTS,
    &http::REQUEST_BODY_SIZE,
    &http::RESPONSE_BODY_SIZE,
    &http::STREAMS_ACTIVE,
    &http::STREAMS_DURATION,
    &http::CLIENT_REQUEST_DURATION,
    &database::OPERATION_DURATION,
    &database::CONNECTION_COUNT,
    &database::CONNECTION_MAX,
    &database::CONNECTION_IDLE_MAX,
    &database::CONNECTION_IDLE_MIN,
    &database::PENDING_REQUESTS,
    &database::WAIT_TIME,
    &database::USE_TIME,
    &database::TIMEOUTS,
    &logs::LOG_RECORDS,
    &errors::EXCEPTIONS,
    &errors::EXCEPTIONS_BY_TYPE,
    &errors::PANICS,
    &errors::ERROR_GROUPS_ACTIVE,
    &errors::ERROR_GROUPS_NEW,
    &errors::ERROR_GROUP_AFFECTED_USERS,
    &events::EVENTS,
    &events::EVENTS_REFUSED,
    &events::TRANSACTIONS,
    &events::USERS_ACTIVE,
    &events::USERS_REFUSED,
    &events::FEATURE_USES,
    &events::FEATURE_USERS,
    &events::SESSIONS_STARTED,
    &events::SESSIONS_OPEN,
    &events::SESSIONS_ENDED,
    &events::SESSION_DURATION,
    &events::SESSION_EXITS,
    &events::SESSIONS_REFUSED,
    &events::FUNNEL_OPENED,
    &events::FUNNEL_OPEN,
    &events::FUNNEL_REACHED,
    &events::FUNNEL_CLOSED,
    &events::FUNNEL_DURATION,
    &events::FUNNEL_STEP_DURATION,
    &events::FUNNEL_REFUSED,
    &process::CPU_TIME,
    &process::CPU_UTILIZATION,
    &process::CONTEXT_SWITCHES,
    &process::MEMORY_USAGE,
    &process::MEMORY_UTILIZATION,
    &process::MEMORY_VIRTUAL,
    &process::THREAD_COUNT,
    &process::FILE_DESCRIPTOR_COUNT,
    &process::UPTIME,
    &tokio::WORKERS,
    &tokio::ALIVE_TASKS,
    &tokio::GLOBAL_QUEUE_DEPTH,
    &tokio::BUSY_RATIO,
    &tokio::BLOCKING_THREADS,
    &tokio::BLOCKING_QUEUE_DEPTH,
    &tokio::FORCED_YIELDS,
    &tokio::LOCAL_QUEUE_DEPTH,
    &tokio::POLLS,
    &tokio::STEALS,
    &delivery::ACCEPTED,
    &delivery::ACKNOWLEDGED,
    &delivery::REJECTED,
    &delivery::DROPPED,
    &delivery::AMBIGUOUS,
    &delivery::QUEUED,
    &delivery::IN_FLIGHT,
    &delivery::SPOOLED,
    &delivery::QUEUE_SIZE,
    &delivery::EXPORT_DURATION,
    &delivery::BREAKER_OPEN,
    &telemetry::SERIES_OVERFLOWED,
    &telemetry::INSTRUMENTS_REFUSED,
    &telemetry::VALUES_REFUSED,
    &telemetry::VALUES_TRUNCATED,
    &telemetry::WORKER_RESTARTS,
    &telemetry::RECORDS_UNCLAIMED,
    &telemetry::EVICTIONS,
    &telemetry::SHARED_STATE_DEGRADED,
];
