//! Names of the OpenTelemetry semantic conventions that we use, and ours beside them.

/// The version of the conventions that the names are from.
pub(crate) use opentelemetry_semantic_conventions::SCHEMA_URL;
pub(crate) use opentelemetry_semantic_conventions::attribute::{
    CODE_FILE_PATH, CODE_FUNCTION_NAME, CODE_LINE_NUMBER, CONTAINER_ID, CPU_MODE,
    DB_CLIENT_CONNECTION_POOL_NAME, DB_CLIENT_CONNECTION_STATE, DB_COLLECTION_NAME, DB_NAMESPACE,
    DB_OPERATION_NAME, DB_QUERY_SUMMARY, DB_QUERY_TEXT, DB_RESPONSE_RETURNED_ROWS,
    DB_RESPONSE_STATUS_CODE, DB_SYSTEM_NAME, DEPLOYMENT_ENVIRONMENT_NAME, ERROR_TYPE,
    EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE, HOST_NAME, HTTP_REQUEST_BODY_SIZE,
    HTTP_REQUEST_METHOD, HTTP_RESPONSE_BODY_SIZE, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    K8S_POD_UID, NETWORK_PROTOCOL_VERSION, PROCESS_CONTEXT_SWITCH_TYPE, PROCESS_PID,
    SERVER_ADDRESS, SERVER_PORT, SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE,
    SERVICE_VERSION, SESSION_ID, SESSION_PREVIOUS_ID, TELEMETRY_SDK_LANGUAGE, TELEMETRY_SDK_NAME,
    TELEMETRY_SDK_VERSION, THREAD_NAME, URL_FULL, URL_PATH, URL_SCHEME, URL_TEMPLATE, USER_ID,
};
pub(crate) use opentelemetry_semantic_conventions::metric::{
    DB_CLIENT_CONNECTION_COUNT, DB_CLIENT_CONNECTION_IDLE_MAX, DB_CLIENT_CONNECTION_IDLE_MIN,
    DB_CLIENT_CONNECTION_MAX, DB_CLIENT_CONNECTION_PENDING_REQUESTS, DB_CLIENT_CONNECTION_TIMEOUTS,
    DB_CLIENT_CONNECTION_USE_TIME, DB_CLIENT_CONNECTION_WAIT_TIME, DB_CLIENT_OPERATION_DURATION,
    HTTP_CLIENT_REQUEST_DURATION, HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_BODY_SIZE,
    HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_RESPONSE_BODY_SIZE, PROCESS_CONTEXT_SWITCHES,
    PROCESS_CPU_TIME, PROCESS_CPU_UTILIZATION, PROCESS_MEMORY_USAGE, PROCESS_MEMORY_VIRTUAL,
    PROCESS_THREAD_COUNT, PROCESS_UNIX_FILE_DESCRIPTOR_COUNT, PROCESS_UPTIME,
};

/// How an accepted request ended.
pub(crate) const OUTCOME: &str = "outcome";
/// The class of the response's status code: `1xx` … `5xx`, `none`.
pub(crate) const STATUS_CLASS: &str = "http.response.status_class";
/// What kind of long-lived response a stream is.
pub(crate) const STREAM_KIND: &str = "stream.kind";
/// Why something was refused.
pub(crate) const REASON: &str = "reason";
/// The instrument that a self-metric speaks of.
pub(crate) const METRIC: &str = "metric";
/// Which signal a self-metric speaks of.
pub(crate) const SIGNAL: &str = "signal";
/// The severity of a log record or an error, as [`Severity::text`](crate::logs::Severity::text)
/// spells it.
pub(crate) const SEVERITY: &str = "severity";
/// Whether the program dealt with an error; a panic is one that it did not.
pub(crate) const HANDLED: &str = "handled";
/// The same on an error event.
pub(crate) const ERROR_HANDLED: &str = "orderscope.error.handled";
/// The causes of an error, one a line, each with its type.
pub(crate) const ERROR_CAUSES: &str = "orderscope.error.causes";
/// Which errors are one to whoever acts on them.
pub(crate) const ERROR_FINGERPRINT: &str = "orderscope.error.fingerprint";
/// Errors of the group so far, those told without a record included.
pub(crate) const ERROR_GROUP_COUNT: &str = "orderscope.error.group.count";
/// The lines of source around the innermost function of the application.
pub(crate) const ERROR_SOURCE: &str = "orderscope.error.source";
/// What happened in an error's request before it: lines of log, events, calls.
pub(crate) const ERROR_TRAIL: &str = "orderscope.error.trail";
/// On an error that came back after a quiet time.
pub(crate) const ERROR_PREVIOUS_RELEASE: &str = "orderscope.error.previous_release";
pub(crate) const ERROR_AWAY: &str = "orderscope.error.away";
pub(crate) const ERROR_REGRESSED: &str = "orderscope.error.regressed";
/// On a panic of a request that had panicked before.
pub(crate) const PANIC_REPEATED: &str = "orderscope.panic.repeated";
/// The name of a business event, on its counter.
pub(crate) const EVENT: &str = "event";
/// The id of one business event.
pub(crate) const EVENT_ID: &str = "orderscope.event.id";
pub(crate) const EVENT_TIME_REPLACED: &str = "orderscope.event.time.replaced";
/// Where records are sent, by the name that it was given.
pub(crate) const DESTINATION: &str = "destination";
/// On a span that was kept though its trace is not recorded: its parent and children are missing.
pub(crate) const TRACE_PARTIAL: &str = "orderscope.trace.partial";
/// The module that a line of log comes from.
pub(crate) const TARGET: &str = "target";
/// A funnel, by the name that it is declared with.
pub(crate) const FUNNEL_NAME: &str = "funnel.name";
/// A step of a funnel, by the name of its event.
pub(crate) const FUNNEL_STEP: &str = "funnel.step";
/// A step of a session: an event, or a method and a route.
pub(crate) const SESSION_STEP: &str = "session.step";
/// Seconds from a session's start to its end.
pub(crate) const SESSION_DURATION: &str = "orderscope.session.duration";
/// Why a session ended.
pub(crate) const SESSION_REASON: &str = "orderscope.session.reason";
/// The steps of a session, with ` > ` between them.
pub(crate) const SESSION_PATH: &str = "orderscope.session.path";
/// How many steps came after those of the path.
pub(crate) const SESSION_STEPS_BEYOND: &str = "orderscope.session.steps_beyond";
/// A feature, by the name that it is declared with.
pub(crate) const FEATURE_NAME: &str = "feature.name";
/// The days that users are counted over: `day`, `week`, `month`.
pub(crate) const STORE: &str = "store";
pub(crate) const PERIOD: &str = "period";
/// Whether a number is one process's or everybody's.
pub(crate) const SCOPE: &str = "scope";
/// A kind of transaction, by the name that it is declared with.
pub(crate) const TRANSACTION_NAME: &str = "transaction.name";
/// On the records of slow and of repeated statements: seconds, and how often so far.
pub(crate) const DB_DURATION: &str = "orderscope.db.duration";
pub(crate) const DB_REPEATED: &str = "orderscope.db.repeated";
/// Rows that a statement changed.
pub(crate) const DB_AFFECTED_ROWS: &str = "orderscope.db.affected_rows";
/// A thread of a tokio runtime, by its number.
pub(crate) const TOKIO_WORKER: &str = "tokio.worker";

/// A method as it stands in the name of a span.
pub(crate) fn method_in_names(method: &'static str) -> &'static str {
    match method {
        "_OTHER" => "HTTP",
        known => known,
    }
}
