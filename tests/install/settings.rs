//! Settings that are refused: each error names the setting, its value and what is accepted, and
//! leaves a later installation possible.

use std::env;
use std::net::TcpListener;
use std::time::Duration;

use metrics::counter;
use orderscope::Telemetry;
use orderscope::events::{ActiveUsers, Feature, Funnel, Transaction};

use super::{alone, loopback, refused};

#[test]
fn an_installation_that_fails_leaves_the_next_one_possible() {
    alone(&[], || {
        let taken = TcpListener::bind(loopback()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = refused(
            Telemetry::builder("orders")
                .metrics_listener(address)
                .install(),
        );
        assert_eq!(
            error.to_string(),
            format!(
                "the metrics listener cannot listen on {address}: Address already in use (os error \
                 98). The port is taken: choose another with `metrics_listener(addr)`, or with \
                 OTEL_EXPORTER_PROMETHEUS_HOST and OTEL_EXPORTER_PROMETHEUS_PORT: an address of \
                 this machine and a port (0 takes any free one); or serve `metrics_route()` on the \
                 service's own port"
            )
        );
        assert!(error.is_io());
        assert!(std::error::Error::source(&error).is_some());

        for name in ["", " \t"] {
            let error = refused(Telemetry::builder(name).install());
            assert_eq!(
                error.to_string(),
                format!(
                    "the service name is {name:?}, but must be a name such as `orders`: every \
                     signal carries it"
                )
            );
            assert!(error.is_configuration());
        }
        let error = refused(Telemetry::builder_from_environment().install());
        assert_eq!(
            error.to_string(),
            "OTEL_SERVICE_NAME is \"\", but must be set to a name such as `orders` (or `service.name` in \
             OTEL_RESOURCE_ATTRIBUTES): every signal carries it"
        );
        let error = refused(
            Telemetry::builder("orders")
                .in_app_include(["orders"])
                .in_app_exclude(["orders::pay"])
                .install(),
        );
        assert_eq!(
            error.to_string(),
            "in_app_exclude is \"orders::pay\", but must be the name of a crate, such as `orders` or \
             `payment-core`"
        );
        let error = refused(
            Telemetry::builder("orders")
                .error_quiet_period(Duration::ZERO)
                .install(),
        );
        assert_eq!(
            error.to_string(),
            "error_quiet_period is \"0ns\", but must be more than 0: each error would have come back"
        );
        let funnel = |last| Funnel::new("checkout").step("cart_viewed").step(last);
        let error = refused(
            Telemetry::builder("orders")
                .funnel(funnel("order_plcaed"))
                .install(),
        );
        assert_eq!(
            error.to_string(),
            "the step or exclusion of the funnel `checkout` is \"order_plcaed\", but must be an event \
             of the vocabulary, or one that `own_events` names"
        );
        let error = refused(
            Telemetry::builder("orders")
                .own_events(["table_booked"])
                .funnel(funnel("table_booked"))
                .funnel(funnel("order_placed"))
                .install(),
        );
        assert_eq!(
            error.to_string(),
            "a funnel's name is \"checkout\", but must be another name: two funnels have this one"
        );
        let payment = Transaction::new("payment").succeeded_by("payment_succeeded");
        let error = refused(Telemetry::builder("orders").transaction(payment).install());
        assert_eq!(
            error.to_string(),
            "the failure of the transaction `payment` is \"\", but must be one event or more, or its rate of \
             failures says nothing"
        );
        let favorites = || Feature::new("favorites").used_by("favorite_added");
        let error = refused(
            Telemetry::builder("orders")
                .feature(favorites())
                .feature(favorites())
                .install(),
        );
        assert_eq!(
            error.to_string(),
            "a feature's name is \"favorites\", but must be another name: two features have this one"
        );
        let error = refused(
            Telemetry::builder("orders")
                .active_users(ActiveUsers::new().time_zone("Mars/Base"))
                .install(),
        );
        assert_eq!(
            error.to_string(),
            "the time zone of active users is \"Mars/Base\", but must be the IANA name of a time zone, such \
             as `Europe/Vienna` or `UTC`"
        );
        let error = refused(
            Telemetry::builder("x")
                .resource_attribute("", "y")
                .install(),
        );
        assert_eq!(
            error.to_string(),
            "a resource attribute's name is \"\", but must be a name such as `team`"
        );
        for edges in [
            &[][..],
            &[2.0, 1.0],
            &[1.0, 1.0],
            &[f64::NAN],
            &[f64::INFINITY],
        ] {
            let edges = edges.to_vec();
            let error = refused(
                Telemetry::builder("x")
                    .histogram_edges("wait", edges.clone())
                    .install(),
            );
            let given = format!("{edges:?}");
            assert_eq!(
                error.to_string(),
                format!(
                    "histogram_edges(\"wait\") is {given:?}, but must be one finite number or \
                     more, ascending"
                )
            );
        }

        let prometheus_name = "http_server_request_duration_seconds";
        let error = refused(
            Telemetry::builder("x")
                .histogram_edges(prometheus_name, [1.0])
                .install(),
        );
        assert_eq!(
            error.to_string(),
            "the name of histogram_edges is \"http_server_request_duration_seconds\", but must be \
             an OpenTelemetry name, here \"http.server.request.duration\""
        );

        assert!(!tracing::dispatcher::has_been_set());
        let telemetry = Telemetry::builder("orders").install().unwrap();
        counter!("orders").increment(1);
        assert_eq!(telemetry.snapshot().counter("orders", &[]), 1);
    });
}

/// Fails with `message` under `variables`, and succeeds once they are gone.
fn variable_is_refused(message: &str) {
    let error = refused(Telemetry::builder("orders").install());
    assert_eq!(error.to_string(), message);
    assert!(error.is_configuration());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        assert!(!name.starts_with("OTEL_") || message.starts_with(&*name));
    }
    // Calls have precedence: neither variable is read then.
    let telemetry = Telemetry::builder("orders")
        .metrics_listener(loopback())
        .build();
    assert!(telemetry.is_ok() || message.starts_with("OTEL_RESOURCE_ATTRIBUTES"));
}

#[test]
fn a_port_that_is_none_is_named() {
    for port in ["70000", "http", "-1", "0x50", ""] {
        alone(&[("OTEL_EXPORTER_PROMETHEUS_PORT", port)], move || {
            let port = env::var("OTEL_EXPORTER_PROMETHEUS_PORT").unwrap();
            if port.is_empty() {
                // As if unset, as the specification has it.
                let telemetry = Telemetry::builder("orders").install().unwrap();
                assert_eq!(telemetry.metrics_address(), None);
                return;
            }
            variable_is_refused(&format!(
                "OTEL_EXPORTER_PROMETHEUS_PORT is {port:?}, but must be a port, 0 to 65535 (0: any \
                 free one)"
            ));
            assert!(
                Telemetry::builder("orders")
                    .metrics_listener(loopback())
                    .install()
                    .is_ok()
            );
        });
    }
}

#[test]
fn a_host_that_is_none_is_named() {
    alone(&[("OTEL_EXPORTER_PROMETHEUS_HOST", "no such host")], || {
        variable_is_refused(
            "OTEL_EXPORTER_PROMETHEUS_HOST is \"no such host\", but must be an IP address or the \
             name of a host that resolves here, without scheme, brackets and port (that is \
             OTEL_EXPORTER_PROMETHEUS_PORT)",
        );
    });
}

#[test]
fn attributes_that_are_no_list_are_named() {
    alone(&[("OTEL_RESOURCE_ATTRIBUTES", "team=a,region")], || {
        variable_is_refused(
            "OTEL_RESOURCE_ATTRIBUTES is \"team=a,region\", but must be a list \
             `name=value,name=value` whose parts are percent-encoded UTF-8, which \"region\" is not",
        );
    });
}

#[test]
fn levels_that_are_none_are_named() {
    alone(&[("RUST_LOG", "info,orders=loud")], || {
        let error = refused(Telemetry::builder("orders").install());
        assert_eq!(
            error.to_string(),
            "RUST_LOG is \"info,orders=loud\", but must be levels such as `info` or \
             `warn,orders=debug` (\"orders=loud\": error parsing level filter: expected one of \"off\", \"error\", \"warn\", \
             \"info\", \"debug\", \"trace\", or a number 0-5)"
        );
        assert!(error.is_configuration());
        assert!(!tracing::dispatcher::has_been_set());
        assert!(
            Telemetry::builder("orders")
                .without_subscriber()
                .install()
                .is_ok()
        );
    });
}
