//! What the variables of traces, logs and metrics do to what a backend gets.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use http_body_util::BodyExt;
use orderscope::Telemetry;
use orderscope::context::current_trace;
use orderscope::export::{Destination, InMemory, ReceivedValue};
use orderscope::telemetry::{Builder, Sampling};
use tower::ServiceExt;

use super::{SOON, alone, block_on};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

fn in_memory() -> (Builder, InMemory) {
    let backend = InMemory::new();
    let destination = Destination::in_memory("memory", &backend);
    let builder = Telemetry::builder("orders").without_subscriber();
    (builder.destination(destination), backend)
}

/// Asks, as part of a trace that its caller records or does not; gives the trace that the handler
/// sees.
fn ask(telemetry: &Telemetry, flags: &str) -> String {
    let handler = async || current_trace().unwrap().trace_id().to_string();
    let routes = Router::new().route("/", get(handler));
    let app = routes.layer(telemetry.http_layer());
    let parent = format!("00-{TRACE_ID}-b7ad6b7169203331-{flags}");
    let request = Request::get("/").header("traceparent", parent);
    block_on(async {
        let answer = app.oneshot(request.body(Body::empty()).unwrap()).await;
        let body = answer.unwrap().into_body().collect().await.unwrap();
        assert!(telemetry.flush(SOON).await);
        String::from_utf8(body.to_bytes().into()).unwrap()
    })
}

#[test]
fn the_sampler_of_the_environment_decides_unless_a_call_does() {
    for (sampler, sampled, unsampled) in [
        ("always_on", 1, 1),
        ("always_off", 0, 0),
        ("traceidratio", 0, 0),
        ("parentbased_always_on", 1, 0),
        ("parentbased_always_off", 1, 0),
        ("parentbased_traceidratio", 1, 0),
    ] {
        let variables = [
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", "0"),
            ("ORDERSCOPE_SPANS", &format!("{sampled} {unsampled}")),
        ];
        alone(&variables, || {
            let (builder, backend) = in_memory();
            let telemetry = builder.build().unwrap();
            let spans = ["01", "00"].map(|flags| {
                backend.clear();
                ask(&telemetry, flags);
                backend.spans().len().to_string()
            });
            assert_eq!(Ok(spans.join(" ")), std::env::var("ORDERSCOPE_SPANS"));
            let (builder, backend) = in_memory();
            let called = builder.sampling(Sampling::ALL.regardless_of_parent());
            ask(&called.build().unwrap(), "00");
            assert_eq!(backend.spans().len(), 1);
        });
    }
}

#[test]
fn without_propagators_a_caller_s_trace_is_not_taken_over() {
    alone(&[("OTEL_PROPAGATORS", "none")], || {
        let (builder, backend) = in_memory();
        let telemetry = builder.build().unwrap();
        assert_ne!(ask(&telemetry, "00"), TRACE_ID);
        let [span] = &backend.spans()[..] else {
            panic!("{backend:?}");
        };
        assert_eq!(span.parent_span_id, None);
    });
}

#[test]
fn exemplars_are_left_out_on_demand() {
    for (filter, of_a_sampled, of_an_unsampled) in [
        ("trace_based", true, false),
        ("always_on", true, true),
        ("always_off", false, false),
    ] {
        let expected = format!("{of_a_sampled} {of_an_unsampled}");
        let variables = [
            ("OTEL_METRICS_EXEMPLAR_FILTER", filter),
            ("ORDERSCOPE_EXEMPLARS", &expected),
        ];
        alone(&variables, || {
            let has_one = ["01", "00"].map(|flags| {
                let (builder, _) = in_memory();
                let telemetry = builder.build().unwrap();
                ask(&telemetry, flags);
                let numbers = telemetry.snapshot();
                let durations = numbers.histogram("http.server.request.duration", &[]);
                durations.exemplar_trace_id().is_some().to_string()
            });
            assert_eq!(Ok(has_one.join(" ")), std::env::var("ORDERSCOPE_EXEMPLARS"));
        });
    }
}

#[test]
fn values_and_their_number_are_limited_and_what_is_cut_is_counted() {
    let variables = [
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "5"),
        ("RUST_LOG", "install=debug"),
    ];
    alone(&variables, || {
        let backend = InMemory::new();
        let telemetry = Telemetry::builder("orders")
            .destination(Destination::in_memory("memory", &backend))
            .install()
            .unwrap();
        tracing::debug!(
            dish = "a soup of all that is left",
            a = 1,
            b = 2,
            c = 3,
            d = 4,
            e = 5
        );
        tracing::trace!("not read");
        assert!(block_on(telemetry.flush(SOON)));
        let [log] = &backend.logs()[..] else {
            panic!("{:#?}", backend.logs());
        };
        let dish = log.attribute("dish").and_then(ReceivedValue::as_str);
        assert_eq!(dish, Some("a soup of "));
        assert_eq!(log.attributes.len(), 5, "{log:#?}");
        let records = [("signal", "records")];
        let cut = telemetry.snapshot();
        let cut = cut.counter("orderscope.values.truncated", &records);
        // The text, the sixth value, and where the line stands: target, file and line.
        assert_eq!(cut, 5);
    });
}
