//! Where and when the figures were taken, and of which releases.

use std::{fs, process::Command, thread, time::SystemTime};

const LOCK: &str = include_str!("../Cargo.lock");
const PEERS: [&str; 13] = [
    "axum",
    "tower-http",
    "tracing-opentelemetry",
    "opentelemetry-instrumentation-tower",
    "opentelemetry-appender-tracing",
    "opentelemetry_sdk",
    "axum-otel-metrics",
    "axum-prometheus",
    "metrics-exporter-prometheus",
    "prometheus-client",
    "fastrace",
    "logfire",
    "sentry",
];

pub(crate) fn line(date: Option<&str>) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the library's rule, and no library"
    )]
    let today = humantime::format_rfc3339(SystemTime::now()).to_string();
    let date = date.or(today.get(..10)).unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let releases = PEERS.map(|name| format!("{name} {}", releases(name)));
    format!(
        "{date}, {cores} cores of {}, {}, load {}; {}.",
        processor(),
        compiler(),
        load(),
        releases.join(", "),
    )
}

/// Of the last one, five and fifteen minutes.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn processor() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name.map(|rest| rest.trim_start_matches([' ', '\t', ':']).trim_end());
    name.unwrap_or("an unknown processor").to_owned()
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = version.unwrap_or_default();
    version
        .split(" (")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// All that are linked: logfire brings an OpenTelemetry of its own.
fn releases(name: &str) -> String {
    let wanted = format!("name = \"{name}\"");
    let mut lines = LOCK.lines();
    let mut found = Vec::new();
    while lines.any(|line| line == wanted) {
        found.extend(lines.next().and_then(|line| line.split('"').nth(1)));
    }
    found.join(" and ")
}
