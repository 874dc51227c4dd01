//! Names of the OpenTelemetry semantic conventions that we use, and ours beside them.

pub(crate) use opentelemetry_semantic_conventions::attribute::{
    CONTAINER_ID, CPU_MODE, DEPLOYMENT_ENVIRONMENT_NAME, ERROR_TYPE, HOST_NAME,
    HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, K8S_POD_UID,
    NETWORK_PROTOCOL_VERSION, PROCESS_PID, SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_NAMESPACE,
    SERVICE_VERSION, TELEMETRY_SDK_LANGUAGE, TELEMETRY_SDK_NAME, TELEMETRY_SDK_VERSION, URL_SCHEME,
};
pub(crate) use opentelemetry_semantic_conventions::metric::{
    HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_BODY_SIZE, HTTP_SERVER_REQUEST_DURATION,
    HTTP_SERVER_RESPONSE_BODY_SIZE, PROCESS_CPU_TIME, PROCESS_MEMORY_USAGE, PROCESS_MEMORY_VIRTUAL,
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
