//! What the application holds: a [`Telemetry`] and the [`Builder`] that makes it.
//!
//! # The end
//!
//! [`Telemetry::shutdown`] and [`Telemetry::flush`] are awaited on any executor, and have forms that
//! block a thread. Their deadlines hold whatever hangs: a destination, a file system, code of the
//! application's that is asked for a number. What is recorded before there is an installed telemetry
//! is counted by `track_event` and `capture_error` (`orderscope.records.unclaimed`); the facades of
//! others lead nowhere then. What is recorded after the end is counted, by the reason
//! `after_shutdown`, as every record is that has a destination; sums are frozen.
//!
//! # Forks
//!
//! A child that was forked without `exec` has none of the telemetry's threads. There its parent's
//! telemetry does nothing, and waits for no lock: records are counted in the child's own
//! [`ledger`](Telemetry::ledger) as dropped by the reason `fork`, measurements go nowhere, the log
//! file gets no lines, `flush` and `shutdown` return at once. The parent goes on undisturbed. Lines
//! on stderr are printed still, unless the levels name spans.
//!
//! A child that wants telemetry makes one of its own by [`Builder::build`], on the thread that was
//! forked, and it works. [`Builder::install`] fails where the parent has installed: what a process
//! installs stays. A program that becomes a daemon forks before it installs.
//!
//! Until a child ends it holds its parent's sockets open, the scrape listener's among them. A child
//! of `vfork`, or of `clone` without the C library, is not noticed.

mod builder;
mod destinations;
mod ending;
mod endpoints;
mod environment;
mod health;
mod installation;
mod listener;

pub use crate::pipeline::Sampling;
pub use builder::Builder;
pub use ending::ShutdownReport;

#[cfg(feature = "axum")]
use crate::http::{MatchedRoute, SameBody};
use crate::{
    context,
    delivery::Delivery,
    export::{
        opentelemetry::{Above, Door},
        prometheus::Pages,
    },
    http::{Client, ClientLayer, HttpLayer, Instruments, RequestHead, RouteBy, WrappedBody},
    instrumentation::process::Watched,
    logs::{Format, Lines, To},
    metrics::Recorder,
    pipeline::Pipeline,
    resource::Resource,
    semconv,
    snapshot::Snapshot,
    tracing_layer::TracingLayer,
    worker::Worker,
};
use ending::Ending;
use health::Health;
use std::{
    fmt, mem,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

/// The telemetry of one service. Clones are handles to the same one.
///
/// Made by [`Telemetry::builder`]. One made by [`build()`](Builder::build) ends when its last
/// handle goes; one made by [`install()`](Builder::install) is the process's and stays.
#[derive(Clone)]
#[must_use = "without its layer and its routes nothing is measured and nobody can look"]
pub struct Telemetry {
    inner: Arc<Inner>,
}

struct Inner {
    pipeline: &'static Pipeline,
    http: &'static Instruments,
    /// Made when the first client layer is asked for: most services call others, not all.
    client: OnceLock<&'static Client>,
    /// Let go with the last handle: it holds on to the runtime's descriptors.
    runtime: Arc<Watched>,
    delivery: Arc<Delivery>,
    resource: Resource,
    pages: Arc<Pages>,
    health: Arc<Health>,
    worker: Arc<Worker>,
    metrics_address: Option<SocketAddr>,
    /// How log lines are written, and where.
    lines: (Format, To),
    last: OnceLock<Snapshot>,
    ending: Ending,
}

impl Telemetry {
    /// Begins the telemetry of the service named `service_name`, which becomes the resource's
    /// `service.name`. An empty name is refused by `build()` and `install()`.
    pub fn builder(service_name: impl Into<String>) -> Builder {
        Builder::named(service_name.into())
    }

    /// As [`builder`](Self::builder), with the name that `OTEL_SERVICE_NAME`, or `service.name`
    /// in `OTEL_RESOURCE_ATTRIBUTES`, gives. Without either, `build()` and `install()` refuse.
    pub fn builder_from_environment() -> Builder {
        Builder::unnamed()
    }

    /// The layer for axum's routers. [`crate::http`] says what it records, and where in the order
    /// of layers it belongs.
    #[cfg(feature = "axum")]
    pub fn http_layer(&self) -> HttpLayer<MatchedRoute, SameBody> {
        HttpLayer::for_axum(self.inner.http)
    }

    /// The layer for any other tower service: hyper's, tonic's, your own. `route` names the route
    /// that a request matched, a template such as `/orders/{id}`; never return the path as the
    /// client sent it. Write the closure in the call, or pass a `fn`: bound to a name first, its
    /// lifetimes are not inferred.
    ///
    /// The wrapped service is called with `Request<`[`RequestBody<B>`](crate::http::RequestBody)`>`.
    /// Under hyper:
    ///
    /// ```no_run
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use hyper::{body::{Bytes, Incoming}, server::conn::http1};
    /// use hyper_util::{rt::TokioIo, service::TowerToHyperService};
    /// use orderscope::{Telemetry, http::RequestBody};
    /// use std::convert::Infallible;
    /// use tower::Layer as _;
    ///
    /// async fn menu(_: Request<RequestBody<Incoming>>) -> Result<Response<Full<Bytes>>, Infallible> {
    ///     Ok(Response::new(Full::from("soup")))
    /// }
    ///
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let telemetry = Telemetry::builder("menus").install()?;
    /// let layer = telemetry.tower_layer(|head| (head.path() == "/menu").then_some("/menu"));
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// loop {
    ///     let (stream, _) = listener.accept().await?;
    ///     let service = layer.layer(tower::service_fn(menu));
    ///     let service = TowerToHyperService::new(service);
    ///     tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    /// }
    /// # }
    /// ```
    pub fn tower_layer<F>(&self, route: F) -> HttpLayer<RouteBy<F>, WrappedBody>
    where
        F: for<'a> Fn(RequestHead<'a>) -> Option<&'a str>,
    {
        HttpLayer::for_tower(self.inner.http, route)
    }

    /// The layer for outgoing calls, around a hyper client or any other tower service that takes
    /// `http::Request`: the trace goes along, and each call is measured.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt as _, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = orderscope::Telemetry::builder("orders").build()?;
    /// let courier_service = ServiceBuilder::new()
    ///     .layer(telemetry.client_layer())
    ///     .service(service_fn(async |request: Request<String>| {
    ///         assert!(request.headers().contains_key("traceparent"));
    ///         Ok::<_, std::io::Error>(Response::new("on the way".to_owned()))
    ///     }));
    /// let request = Request::get("http://couriers:3000/nearest").body(String::new())?;
    /// courier_service.oneshot(request).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn client_layer(&self) -> ClientLayer {
        let (known, client) = (&self.inner.client, || Client::leaked(self.inner.pipeline));
        ClientLayer::new(match self.inner.worker.is_forked() {
            // Another thread may have been about to make it.
            true => known.get().copied().unwrap_or_else(client),
            false => known.get_or_init(client),
        })
    }

    /// A pool of sqlx whose queries, connections and transactions are measured, for PostgreSQL, MySQL
    /// and SQLite. [`crate::database`] says what is recorded. `name` is the pool's,
    /// `db.client.connection.pool.name`: pools of one name are shown as one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = orderscope::Telemetry::builder("orders").build()?;
    /// let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
    /// let database = telemetry.database("orders-db", pool);
    /// sqlx::query("CREATE TABLE orders (id INTEGER)").execute(&database).await?;
    /// let mut transaction = database.begin().await?;
    /// sqlx::query("INSERT INTO orders VALUES (7)").execute(&mut transaction).await?;
    /// transaction.commit().await?;
    /// let insert = [("db.query.summary", "INSERT orders")];
    /// let durations = telemetry.snapshot().histogram("db.client.operation.duration", &insert);
    /// assert_eq!(durations.count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "sqlx")]
    pub fn database<DB: sqlx::Database>(
        &self,
        name: &str,
        pool: sqlx::Pool<DB>,
    ) -> crate::database::Database<DB> {
        crate::database::Database::new(self.inner.pipeline, name, pool)
    }

    /// The layer that measures queries of sqlx that run through no [`Database`](crate::database::Database)
    /// of ours, by the events that sqlx emits of them, for an application that composes its own
    /// subscriber. It reads those events by itself, whatever other layers read; an `EnvFilter` over
    /// the whole subscriber must let `sqlx::query=debug` pass. [`crate::database`] says what is missing
    /// then.
    ///
    /// ```
    /// use tracing_subscriber::layer::SubscriberExt as _;
    ///
    /// let telemetry = orderscope::Telemetry::builder("orders").without_subscriber().build()?;
    /// let subscriber = tracing_subscriber::registry().with(telemetry.bare_queries_layer());
    /// # drop(subscriber);
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    pub fn bare_queries_layer<S>(&self) -> crate::database::BareQueriesLayer<S>
    where
        S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    {
        crate::database::bare_queries_layer(self.inner.pipeline)
    }

    /// Shows a pool of connections of any kind on the metrics, as far as it can tell of itself;
    /// [`crate::database`] says which can tell what. `name` is `db.client.connection.pool.name`.
    pub fn watch_pool(&self, name: &str, status: impl crate::database::PoolStatus) {
        crate::database::watch_pool(self.inner.pipeline, name, status);
    }

    /// Has the tokio runtime that the caller is on watched, in place of the one that the telemetry
    /// was made on; [`catalog::tokio`](crate::catalog::tokio) says what is told of it. Whether the
    /// caller is on one: outside of all nothing changes.
    ///
    /// Needed where the telemetry is made before its runtime, or where the service does its work on
    /// another; from outside, within [`Handle::enter`](tokio::runtime::Handle::enter). A runtime that
    /// is watched keeps its descriptors open until the last handle to the telemetry goes.
    ///
    /// ```
    /// let telemetry = orderscope::Telemetry::builder("orders").build()?;
    /// assert!(!telemetry.watch_runtime());
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// {
    ///     let _entered = runtime.enter();
    ///     assert!(telemetry.watch_runtime());
    /// }
    /// let workers = runtime.metrics().num_workers() as f64;
    /// assert_eq!(telemetry.snapshot().gauge("orderscope.tokio.workers", &[]), workers);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch_runtime(&self) -> bool {
        self.inner.runtime.watch_current()
    }

    /// The page that Prometheus scrapes, for any router whatever its state: Prometheus text, or
    /// OpenMetrics with exemplars when the scraper prefers it. Add it after the layer, so that
    /// scrapes are not measured as requests.
    #[cfg(feature = "axum")]
    pub fn metrics_route<S>(&self) -> axum::routing::MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        endpoints::axum::metrics(Arc::clone(&self.inner.pages))
    }

    /// `/live`, which answers 200 as long as the process serves, and `/ready`, which answers 503
    /// with the reasons while a [`readiness_check`](Builder::readiness_check) fails and once
    /// [`shutdown`](Self::shutdown) has begun.
    ///
    /// ```
    /// # let telemetry = orderscope::Telemetry::builder("orders").build()?;
    /// let app: axum::Router = axum::Router::new().nest("/health", telemetry.health_routes());
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    #[cfg(feature = "axum")]
    pub fn health_routes<S>(&self) -> axum::Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        endpoints::axum::health(Arc::clone(&self.inner.health))
    }

    /// A recorder of the `metrics` facade that records into this telemetry, for an application
    /// that sets or fans out its own: build or install with
    /// [`without_recorder()`](Builder::without_recorder) then. A description reaches only the
    /// instruments that the same recorder registers.
    ///
    /// ```
    /// let telemetry = orderscope::Telemetry::builder("orders").build()?;
    /// metrics::with_local_recorder(&telemetry.recorder(), || {
    ///     metrics::counter!("orders.placed", "city" => "Graz").increment(2);
    /// });
    /// assert_eq!(telemetry.snapshot().counter("orders.placed", &[("city", "Graz")]), 2);
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    pub fn recorder(&self) -> impl ::metrics::Recorder + fmt::Debug + use<> {
        Recorder::new(&self.inner.pipeline.registry)
    }

    /// Where the scrape listener of its own listens; `None` when none was asked for.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.inner.metrics_address
    }

    /// The attributes that stand on every signal.
    pub fn resource(&self) -> &Resource {
        &self.inner.resource
    }

    /// All numbers as they are now; after [`shutdown`](Self::shutdown), as they were then. In a
    /// forked child there are none.
    pub fn snapshot(&self) -> Snapshot {
        match self.inner.last.get() {
            Some(last) => last.clone(),
            None => self.inner.look(),
        }
    }

    /// The layer that makes records of what `tracing` emits, for an application that composes its
    /// own subscriber: install with [`without_subscriber()`](Builder::without_subscriber) then. It
    /// reads INFO and up by itself, whatever other layers read; [`TracingLayer::at`] has it read
    /// other levels. Put filters on the other layers, not on the subscriber: a filter of the whole
    /// starves this layer too.
    ///
    /// ```
    /// use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};
    ///
    /// let telemetry = orderscope::Telemetry::builder("orders").without_subscriber().build()?;
    /// let mine = tracing_subscriber::fmt::layer().with_filter(EnvFilter::from_default_env());
    /// let subscriber = tracing_subscriber::registry()
    ///     .with(telemetry.tracing_layer().at("info".parse()?))
    ///     .with(mine);
    /// # drop(subscriber);
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    pub fn tracing_layer(&self) -> TracingLayer {
        TracingLayer::new(self.inner.pipeline)
    }

    /// The layer that prints log lines, in the format and to the place that the builder was given:
    /// for an application that composes its own subscriber.
    pub fn lines_layer<S>(&self) -> impl tracing_subscriber::Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    {
        self.lines()
    }

    /// What the OpenTelemetry API's globals are given.
    fn opentelemetry(&self) -> Door {
        let pipeline = self.inner.pipeline;
        let sampling = pipeline.settings.sampling;
        Door::new(
            &pipeline.handoff,
            &pipeline.registry,
            pipeline.settings.record_limits,
            Above {
                parent_of_calling_code: context::active,
                samples: Box::new(move |trace_id, by_caller| match by_caller {
                    Some(is_sampled) => sampling.continues(trace_id, is_sampled),
                    None => sampling.begins(trace_id),
                }),
                count_truncated: Box::new(|count| pipeline.count_truncated_values(count)),
            },
        )
    }

    fn lines(&self) -> Lines {
        let (format, to) = &self.inner.lines;
        let service = self.resource().get(semconv::SERVICE_NAME);
        let service = service.unwrap_or_default();
        Lines::new(self.inner.pipeline, *format, to.clone(), service)
    }
}

impl Inner {
    fn look(&self) -> Snapshot {
        let release = self.resource.get(semconv::SERVICE_VERSION);
        let groups = self.pipeline.error_groups.shown(release);
        let statements = self.pipeline.known_databases();
        let statements = statements.map(|databases| databases.statements());
        Snapshot::of(&self.pipeline.registry)
            .with_error_groups(groups)
            .with_statements(statements.unwrap_or_default())
    }
}

/// In a forked child nothing of the telemetry is dropped: it shares the descriptors of the worker's
/// runtime with the parent, which would lose what the child takes off them.
impl Drop for Telemetry {
    fn drop(&mut self) {
        if self.inner.worker.is_forked() {
            mem::forget(Arc::clone(&self.inner));
        }
    }
}

/// Who speaks; what it has to say is the [`snapshot`](Telemetry::snapshot).
impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("service", &self.resource().get(semconv::SERVICE_NAME))
            .field("metrics_address", &self.inner.metrics_address)
            .finish_non_exhaustive()
    }
}
