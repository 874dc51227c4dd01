//! The walk of the guide to correlation: from the bucket that the slow request fell into, by its trace
//! id, to its spans, its query and its lines.

use std::process::{Command, Stdio};

use super::collector::Collector;
use crate::programs;

#[tokio::test]
async fn the_slowest_exemplar_leads_to_the_query_that_took_the_time_and_to_the_lines_beside_it() {
    let collector = Collector::start().await;
    let url = collector.http();
    let example = move || {
        let mut example = Command::new(programs::example("follow_a_slow_request"));
        example.arg(url).stdin(Stdio::null()).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(example).await.unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{page}\n{said}");

    let slowest = page.lines().filter_map(exemplar).max_by(|one, other| {
        let [one, other] = [one, other].map(|(_, seconds)| seconds);
        one.total_cmp(other)
    });
    let (trace, seconds) = slowest.expect("a bucket with an exemplar");
    let of_all = collector.forwarded();

    let spans: Vec<_> = of_all.spans.iter().collect();
    let spans: Vec<_> = spans
        .into_iter()
        .filter(|span| span.text("traceId") == trace)
        .collect();
    let server = spans
        .iter()
        .find(|span| span.text("parentSpanId").is_empty());
    let server = server.expect("the request's span");
    assert_eq!(server.text("name"), "GET /customers/{id}/history");
    let lasted = |span: &crate::otlp::received::Record| {
        (span.number("endTimeUnixNano") - span.number("startTimeUnixNano")) as f64 / 1e9
    };
    assert!((lasted(server) - seconds).abs() < 0.001, "{seconds}");
    let queries = spans
        .iter()
        .filter(|span| span.text("spanId") != server.text("spanId"));
    let queries: Vec<_> = queries.collect();
    assert_eq!(queries.len(), 2, "{queries:#?}");
    for query in &queries {
        assert_eq!(query.text("parentSpanId"), server.text("spanId"));
    }
    let slow = queries.iter().find(|query| lasted(query) > 0.9 * seconds);
    let slow = slow.unwrap_or_else(|| panic!("the query that took the time: {queries:#?}"));
    assert_eq!(slow.attributes["db.query.summary"], "SELECT orders dishes");

    let lines = of_all
        .logs
        .iter()
        .filter(|line| line.text("traceId") == trace);
    let lines: Vec<_> = lines.collect();
    let asked = lines
        .iter()
        .find(|line| line.body() == "asked for the history");
    let asked = asked.unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(asked.attributes["user.id"], "u-42");
    let told = lines
        .iter()
        .find(|line| line.text("eventName") == "orderscope.db.slow_query");
    let told = told.unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(told.text("spanId"), slow.text("spanId"));
    assert_eq!(
        told.attributes["db.query.text"],
        slow.attributes["db.query.text"]
    );
}

/// Trace id and value of what a bucket keeps as its example.
fn exemplar(line: &str) -> Option<(String, f64)> {
    let (_, exemplar) = line.split_once(" # {")?;
    let (labels, value) = exemplar.split_once("} ")?;
    let (_, trace) = labels.split_once("trace_id=\"")?;
    let (trace, _) = trace.split_once('"')?;
    let seconds = value.split(' ').next()?.parse().ok()?;
    Some((trace.to_owned(), seconds))
}
