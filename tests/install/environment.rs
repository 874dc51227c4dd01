//! What the environment says, and over what a call has precedence.

use std::net::TcpListener;
use std::process::Output;

use orderscope::Telemetry;

use super::{alone, loopback, printed, refused, scrape};

#[test]
fn lines_go_to_stderr_at_the_levels_of_rust_log() {
    let case = || {
        let _telemetry = Telemetry::builder("orders").install().unwrap();
        tracing::debug!("a debug line");
        tracing::info!(order = 7, "an info line");
        tracing::warn!("a warning");
        tracing::debug!(target: "kitchen", "a debug line of the kitchen");
    };
    let seen = |variables: &[(&str, &str)], output: Output| {
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains(" line"),
            "{variables:?}"
        );
        let lines = printed(&output);
        [
            " DEBUG install::environment: a debug line\n",
            " INFO install::environment: an info line order=7\n",
            " WARN install::environment: a warning\n",
            " DEBUG kitchen: a debug line of the kitchen\n",
        ]
        .map(|line| lines.contains(line))
    };
    for (level, expected) in [
        ("", [false, true, true, false]),
        ("warn", [false, false, true, false]),
        ("warn,kitchen=debug", [false, false, true, true]),
        ("debug", [true, true, true, true]),
        ("off", [false, false, false, false]),
    ] {
        let variables = [("RUST_LOG", level)];
        assert_eq!(
            seen(&variables, alone(&variables, case)),
            expected,
            "{level:?}"
        );
    }
}

#[test]
fn the_environment_reaches_target_info() {
    let variables = [
        ("OTEL_SERVICE_NAME", "orders"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=not-this,team=a%2Cb,service.version=1,cloud.region=eu%20west",
        ),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "0"),
    ];
    alone(&variables, || {
        let telemetry = Telemetry::builder_from_environment()
            .version("2")
            .install()
            .unwrap();
        let address = telemetry.metrics_address().unwrap();
        assert!(
            address.ip().is_loopback() && address.port() != 0,
            "{address}"
        );
        let page = scrape(address);
        let info = page
            .lines()
            .find(|line| line.starts_with("target_info{"))
            .unwrap();
        for label in [
            "service_name=\"orders\"",
            // A call over the environment.
            "service_version=\"2\"",
            "team=\"a,b\"",
            "cloud_region=\"eu west\"",
            "telemetry_sdk_name=\"orderscope\"",
        ] {
            assert!(info.contains(label), "{label} is not in {info}");
        }
        let pid = format!("process_pid=\"{}\"", std::process::id());
        assert!(
            info.contains(&pid) && info.contains("service_instance_id=\""),
            "{info}"
        );
    });
}

#[test]
fn a_call_has_precedence_over_a_variable_and_that_over_the_default() {
    let taken = TcpListener::bind(loopback()).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let variables = [
        ("OTEL_SERVICE_NAME", "of-the-variable"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=of-the-list,service.instance.id=of-the-list",
        ),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", &port),
    ];
    alone(&variables, || {
        // The variable's port is taken.
        assert!(refused(Telemetry::builder("of-the-call").install()).is_io());
        let telemetry = Telemetry::builder("of-the-call")
            .metrics_listener(loopback())
            .install()
            .unwrap();
        let resource = telemetry.resource();
        assert_eq!(resource.get("service.name"), Some("of-the-call"));
        assert_eq!(resource.get("service.instance.id"), Some("of-the-list"));
        let named = Telemetry::builder_from_environment()
            .metrics_listener(loopback())
            .build();
        assert_eq!(
            named.unwrap().resource().get("service.name"),
            Some("of-the-variable")
        );
    });
}

#[test]
fn the_defaults_are_no_listener_and_a_random_instance() {
    alone(&[], || {
        let telemetry = Telemetry::builder("of-the-call").install().unwrap();
        assert_eq!(telemetry.metrics_address(), None);
        assert_eq!(
            telemetry
                .resource()
                .get("service.instance.id")
                .unwrap()
                .len(),
            36
        );
        assert!(telemetry.resource().get("service.version").is_none());
    });
}
