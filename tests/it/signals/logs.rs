//! Log lines: records in a backend, lines in a file, lines of an application that prints itself.

use axum::Router;
use axum::routing::get;
use orderscope::logs::{self, Format, LogFile};
use orderscope::tracing_layer::Levels;
use orderscope::{context, critical};
use serde_json::Value;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

use super::secrets::Folder;
use super::traces::Printed;
use super::{PATIENCE, Says, Scene, ask, body, named};

async fn all_severities() {
    tracing::trace!("line");
    tracing::debug!("line");
    tracing::info!("line");
    tracing::warn!("line");
    tracing::error!("line");
    critical!("line");
}

#[tokio::test]
async fn each_severity_has_its_number_and_its_text_and_is_counted() {
    let scene = Scene::new();
    let layer = scene
        .telemetry
        .tracing_layer()
        .at("trace,hyper=off".parse().unwrap());
    let _listens = tracing::subscriber::set_default(registry().with(layer));
    let app = scene.app(Router::new().route("/", get(all_severities)));
    ask(&app, "/").await;
    let (logs, span) = (scene.logs().await, scene.span().await);
    let logs: Vec<_> = logs.iter().filter(|log| body(log) == "line").collect();
    let said: Vec<_> = logs
        .iter()
        .map(|log| (log.severity_number, log.severity_text.as_str()))
        .collect();
    let expected = [
        (1, "TRACE"),
        (5, "DEBUG"),
        (9, "INFO"),
        (13, "WARN"),
        (17, "ERROR"),
        (21, "CRITICAL"),
    ];
    let mut sorted = said.clone();
    // Graver ones may leave first.
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    let numbers = scene.telemetry.snapshot();
    for log in logs {
        assert_eq!(log.trace_id, Some(span.trace_id));
        assert_eq!(log.span_id, Some(span.span_id));
        assert_eq!(log.says("target"), "it::signals::logs");
        assert_eq!(log.says("code.file.path"), file!());
        assert!(log.event_name.is_empty() && log.at >= span.started && log.at <= span.ended);
        let severity = [("severity", log.severity_text.as_str())];
        let count = numbers.counter("orderscope.log.records", &severity);
        assert!(count >= 1, "{severity:?}");
    }
}

#[tokio::test]
async fn a_line_says_the_route_the_user_and_the_session_once_they_are_known() {
    let scene = Scene::new();
    let _listens = scene.listens();
    let handler = async || {
        tracing::info!("who is it");
        context::identify("u-7", 42);
        let ratio = 0.5;
        tracing::info!(order_id = 1024_u64, ratio, is_first = true, dish = ?Some("soup"), "known");
        tokio::task::yield_now().await;
        info_span!("inner").in_scope(|| tracing::info!("in a span"));
        tokio::spawn(context::carry(async { tracing::info!("carried") })).await
    };
    let routes = Router::new().route("/orders/{id}", get(async move || handler().await.unwrap()));
    ask(&scene.app(routes), "/orders/7").await;
    tracing::info!("outside");
    let (logs, spans) = (scene.logs().await, scene.spans().await);
    let line = |said| logs.iter().find(|log| body(log) == said).unwrap();
    let request = named(&spans, "GET /orders/{id}");
    assert_eq!(line("who is it").says("http.route"), "/orders/{id}");
    assert_eq!(line("who is it").says("user.id"), "");
    for said in ["known", "in a span", "carried"] {
        let line = line(said);
        assert_eq!(line.says("http.route"), "/orders/{id}", "{said}");
        assert_eq!(
            (line.says("user.id"), line.says("session.id")),
            ("u-7".into(), "42".into())
        );
        assert_eq!(line.trace_id, Some(request.trace_id));
    }
    assert_eq!(
        line("in a span").span_id,
        Some(named(&spans, "inner").span_id)
    );
    assert_eq!(line("carried").span_id, Some(request.span_id));
    let known = line("known");
    assert_eq!(
        (known.says("order_id"), known.says("ratio")),
        ("#1024".into(), "#0.5".into())
    );
    assert_eq!(
        (known.says("is_first"), known.says("dish")),
        ("#true".into(), "Some(\"soup\")".into())
    );
    let outside = line("outside");
    assert_eq!(
        (outside.trace_id, outside.says("http.route")),
        (None, String::new())
    );
}

#[tokio::test]
async fn an_application_s_own_subscriber_has_its_lines_and_we_have_our_records() {
    let (scene, printed) = (Scene::new(), Printed::default());
    let theirs = fmt::layer().with_ansi(false).with_writer(printed.clone());
    let subscriber = registry()
        .with(
            scene
                .telemetry
                .tracing_layer()
                .at("info,it::signals=debug".parse().unwrap()),
        )
        .with(theirs.with_filter(EnvFilter::new("warn")));
    let _listens = tracing::subscriber::set_default(subscriber);
    let app = scene.app(Router::new().route("/", get(all_severities)));
    ask(&app, "/").await;
    let lines = printed.text();
    let levels = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let seen: Vec<_> = lines.lines().filter_map(levels).collect();
    assert_eq!(seen, ["WARN", "ERROR", "ERROR"]);
    assert!(lines.contains("orderscope.critical=true"), "{lines}");
    let mut ours: Vec<_> = scene
        .logs()
        .await
        .iter()
        .map(|log| log.severity_number)
        .collect();
    ours.sort_unstable();
    assert_eq!(ours, [5, 9, 13, 17, 21]);
}

#[tokio::test]
async fn those_who_print_with_fmt_have_the_request_before_each_line() {
    let (scene, printed) = (Scene::new(), Printed::default());
    let format = fmt::format().without_time().with_target(false);
    let theirs = fmt::layer()
        .with_ansi(false)
        .event_format(logs::with_request(format))
        .with_writer(printed.clone());
    let _listens = tracing::subscriber::set_default(registry().with(theirs));
    let handler = async || tracing::info!(order = 7, "placed");
    let app = scene.app(Router::new().route("/orders", get(handler)));
    ask(&app, "/orders").await;
    tracing::info!("outside");
    let trace = scene.span().await.trace_id;
    let expected =
        format!("trace={trace} method=GET route=/orders  INFO placed order=7\n INFO outside\n");
    assert_eq!(printed.text(), expected);
}

#[tokio::test]
async fn each_line_of_a_log_file_is_an_object_of_the_trace_and_is_accounted_for() {
    let folder = Folder::new("lines");
    let scene = Scene::of(|builder| {
        builder
            .log_format(Format::Json)
            .log_file(LogFile::daily(folder.path(), "orders"))
    });
    let subscriber = registry()
        .with(Levels::default())
        .with(scene.telemetry.tracing_layer())
        .with(scene.telemetry.lines_layer());
    let _listens = tracing::subscriber::set_default(subscriber);
    let handler = async || {
        context::identify("u-7", "s-9");
        for order in 0..200 {
            tracing::info!(
                order,
                share = 0.25,
                message = "placed\n\"quoted\" \u{202e}\u{7}"
            );
        }
        critical!(trace_id = "mine", "on fire");
    };
    let app = scene.app(Router::new().route("/orders/{id}", get(handler)));
    ask(&app, "/orders/7").await;
    tracing::warn!("outside");
    let (spans, logs) = (scene.spans().await, scene.logs().await);
    assert_eq!(logs.len(), 202);
    let report = scene.telemetry.shutdown(PATIENCE).await;
    assert!(report.is_complete(), "{report}");
    let row = scene.row("log_file", "logs");
    assert!(row.is_settled() && row.difference() == 0);
    assert_eq!((row.accepted(), row.acknowledged()), (202, 202));

    let content = folder.content();
    assert!(
        content.is_ascii() || !content.contains('\u{202e}'),
        "{content}"
    );
    let lines: Vec<Value> = content
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 202);
    let request = named(&spans, "GET /orders/{id}");
    for (order, line) in lines[..200].iter().enumerate() {
        assert_eq!(line["severity"], "INFO");
        assert_eq!(line["message"], "placed\n\"quoted\" \u{202e}\u{7}");
        assert_eq!(line["target"], "it::signals::logs");
        assert_eq!(line["service"], "orders");
        assert_eq!(line["trace_id"], request.trace_id.to_string());
        assert_eq!(line["span_id"], request.span_id.to_string());
        assert_eq!(
            (&line["order"], &line["share"]),
            (&order.into(), &0.25.into())
        );
        assert_eq!(line["http.route"], "/orders/{id}");
        assert_eq!(
            (&line["user.id"], &line["session.id"]),
            (&"u-7".into(), &"s-9".into())
        );
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(
            timestamp.len() == 27 && timestamp.ends_with('Z'),
            "{timestamp}"
        );
    }
    assert_eq!(lines[200]["severity"], "CRITICAL");
    assert_eq!(lines[200]["trace_id"], request.trace_id.to_string());
    assert_eq!(lines[200]["field.trace_id"], "mine");
    assert_eq!(lines[201]["severity"], "WARN");
    assert!(lines[201].get("trace_id").is_none());
    // A line more is counted, and written nowhere.
    tracing::warn!("too late");
    assert_eq!(folder.content(), content);
    let row = scene.row("log_file", "logs");
    assert_eq!((row.accepted(), row.difference()), (203, 0));
}
