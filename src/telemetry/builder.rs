//! The builder: what is required stands in its constructor, only its last call can fail.

mod business;
mod signals;

use super::{
    Inner, Telemetry,
    destinations::Connected,
    ending::Ending,
    environment,
    health::Health,
    installation,
    listener::{self, CHECKS, Served},
};
use crate::{
    catalog,
    clock::Clock,
    delivery::{LedgerRow, Reason},
    error::Error,
    errors::{self, JoinGroup, ResolveStack},
    events,
    export::prometheus::Pages,
    fork,
    http::Instruments,
    ids,
    instrumentation::process,
    logs::{LineCounts, LogFile, To},
    metrics::{Descriptor, Kind, Limits},
    pipeline::Pipeline,
    resource::Resource,
    semconv,
    worker::Worker,
};
use business::Business;
use signals::Signals;
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};
use tokio::sync::Semaphore;

/// Makes a [`Telemetry`]. A call has precedence over an environment variable, that over the
/// default.
#[derive(Debug)]
#[must_use = "nothing is built before `build()` or `install()`"]
pub struct Builder {
    /// `None`: the environment names the service.
    name: Option<String>,
    attributes: Vec<(String, String)>,
    listener: Option<SocketAddr>,
    limits: Limits,
    clock: Clock,
    health: Health,
    signals: Signals,
    business: Business,
    pub(super) with_subscriber: bool,
    pub(super) with_bare_queries: bool,
    pub(super) with_recorder: bool,
    pub(super) with_opentelemetry: bool,
}

impl Builder {
    pub(super) fn named(name: String) -> Self {
        Self {
            name: Some(name),
            ..Self::unnamed()
        }
    }

    pub(super) fn unnamed() -> Self {
        Self {
            name: None,
            attributes: Vec::new(),
            listener: None,
            limits: Limits::default(),
            clock: Clock::system(),
            health: Health::default(),
            signals: Signals::default(),
            business: Business::default(),
            with_subscriber: true,
            with_bare_queries: false,
            with_recorder: true,
            with_opentelemetry: true,
        }
    }

    /// `service.version`, usually `env!("CARGO_PKG_VERSION")`. Absent by default.
    pub fn version(self, version: impl Into<String>) -> Self {
        self.resource_attribute(semconv::SERVICE_VERSION, version)
    }

    /// `service.namespace`: what the service is a part of. Absent by default.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.resource_attribute(semconv::SERVICE_NAMESPACE, namespace)
    }

    /// `deployment.environment.name`, such as `production`. Absent by default.
    pub fn environment(self, environment: impl Into<String>) -> Self {
        self.resource_attribute(semconv::DEPLOYMENT_ENVIRONMENT_NAME, environment)
    }

    /// Any attribute of the resource, over the one that the environment or detection gives.
    pub fn resource_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// A listener of its own that serves `/metrics`, `/health/live` and `/health/ready`, on the
    /// telemetry's thread.
    /// Port 0 takes any free one; [`Telemetry::metrics_address`] tells which.
    ///
    /// Default: what `OTEL_EXPORTER_PROMETHEUS_HOST` and `OTEL_EXPORTER_PROMETHEUS_PORT` say
    /// (either opens it, as does `OTEL_METRICS_EXPORTER=prometheus`; what is not said is `localhost`
    /// and 9464), and none without them. An address
    /// that is not loopback shows the numbers to whoever reaches it.
    pub fn metrics_listener(mut self, address: SocketAddr) -> Self {
        self.listener = Some(address);
        self
    }

    /// The bucket edges of one histogram, by its OpenTelemetry or `metrics` name
    /// (`http.server.request.duration`, not the Prometheus one), in its unit; in place of the
    /// declared ones, or of those that its described unit gives. The edges must be finite and
    /// ascending. A name that nobody records under has no effect.
    pub fn histogram_edges(
        mut self,
        name: impl Into<String>,
        edges: impl IntoIterator<Item = f64>,
    ) -> Self {
        let edges = edges.into_iter().collect();
        self.limits.edges.insert(name.into(), edges);
        self
    }

    /// How many attribute sets one instrument may have before the rest is gathered in an overflow
    /// set. Default 2,000, as OpenTelemetry has it. Sets that orderscope itself bounds, such as the
    /// outcomes of requests, are kept whatever the limit and the budget of bytes.
    pub fn series_limit(mut self, sets: usize) -> Self {
        self.limits.series = sets;
        self
    }

    /// How many bytes all series together may take before new ones go to the overflow sets.
    /// Default 32 MiB.
    pub fn series_byte_budget(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// The clock that times are taken from. Default: the system's. As long as a manual one stands
    /// still, the metrics page is the one rendered before.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A condition of `/ready`, asked at each probe. Behind `health_routes()` it runs on the
    /// service's own runtime and must answer at once; behind the listener it has a
    /// thread, and while four of them run a further probe is answered 503, `unknown`. Its
    /// error is shown to whoever asks; one that panics fails.
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    ///
    /// let warm = Arc::new(AtomicBool::new(false));
    /// let is_warm = Arc::clone(&warm);
    /// let telemetry = orderscope::Telemetry::builder("menus")
    ///     .readiness_check("cache", move || match is_warm.load(Ordering::Relaxed) {
    ///         true => Ok(()),
    ///         false => Err("the menu cache is not loaded yet".to_owned()),
    ///     })
    ///     .build()?;
    /// # drop(telemetry);
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    pub fn readiness_check(
        mut self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.health.add(name.into(), Box::new(check));
        self
    }

    /// Leaves the `tracing` subscriber to the application. Without this, `install()` makes
    /// orderscope's the process's: lines on stderr, at the levels of `RUST_LOG`, `info` by
    /// default.
    pub fn without_subscriber(mut self) -> Self {
        self.with_subscriber = false;
        self
    }

    /// Has `install()` hear what sqlx tells of queries that no handle of
    /// [`Telemetry::database`] sees, as [`Telemetry::bare_queries_layer`] does in a subscriber of the
    /// application's: whatever the levels of `RUST_LOG` are. Each span of `tracing` costs some 60 ns
    /// more then, since the levels are asked apart for what is heard and for what is printed.
    pub fn with_bare_queries(mut self) -> Self {
        self.with_bare_queries = true;
        self
    }

    /// Leaves the recorder of the `metrics` facade to the application: what
    /// `metrics::counter!` and its like record does not appear.
    pub fn without_recorder(mut self) -> Self {
        self.with_recorder = false;
        self
    }

    /// Leaves `opentelemetry::global` to the application: `install()` sets neither its tracer
    /// provider nor its meter provider nor its propagator.
    pub fn without_opentelemetry(mut self) -> Self {
        self.with_opentelemetry = false;
        self
    }

    /// Makes a telemetry and touches nothing global: any number of them live side by side.
    ///
    /// The metrics, some 100 KiB, are never freed: requests refer to them without counting.
    ///
    /// # Errors
    /// A setting is not accepted, the scrape listener's address cannot be bound, or the operating
    /// system refuses a thread.
    pub fn build(self) -> Result<Telemetry, Error> {
        let (telemetry, warnings) = self.assemble()?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(telemetry)
    }

    /// The telemetry, and what was accepted without the effect that it asks for.
    pub(super) fn assemble(self) -> Result<(Telemetry, Vec<String>), Error> {
        if fork::Process::current().is_child() {
            ids::begin_anew();
        }
        let variables = environment::Process;
        let resource = self.resource()?;
        self.check_edges()?;
        let mut decided = self.signals.decide(self.business, &self.clock)?;
        let release = resource.get(semconv::SERVICE_VERSION);
        decided.pipeline.release = release.map(str::to_owned);
        let address = match self.listener {
            Some(address) => Some(address),
            None => {
                let is_asked_for = decided.environment.prometheus == Some(true);
                environment::metrics_listener(&variables, is_asked_for)?
            }
        };
        let connected = Connected::new(decided.destinations, decided.queue_bytes, &self.clock)?;
        let bind = |address| listener::bind(address).map_err(|e| Error::listener(address, e));
        let socket = address.map(bind).transpose()?.map(Arc::new);
        let file = self.signals.file.as_ref().map(LogFile::open).transpose()?;
        let hangs = CHECKS + connected.hanging_lookups();
        let worker = Arc::new(Worker::with_room_for(hangs).map_err(Error::worker)?);

        let pipeline = Pipeline::leaked(
            self.limits,
            self.clock,
            connected.handoff(),
            decided.pipeline,
            worker.restarts(),
        );
        let delivery = connected.open(
            pipeline,
            &resource,
            &worker,
            vec![
                Box::new(ResolveStack::new(decided.in_app)),
                Box::new(JoinGroup::new(pipeline)),
            ],
            decided.push_interval,
            &decided.environment,
        );
        errors::watch(pipeline);
        events::settle(pipeline, &worker);
        let lines = match file {
            None => To::Stderr,
            Some(file) => {
                file.settle(&worker);
                let lines = file.buffer();
                delivery.tell_of(Box::new(move || row_of(lines.counts())));
                To::File(file.buffer())
            }
        };
        pipeline.observe_delivery(Arc::clone(&delivery));
        let pages = Arc::new(Pages::new(
            &pipeline.registry,
            &resource,
            pipeline.clock.clone(),
            Arc::downgrade(&worker),
        ));
        let health = Arc::new(self.health);
        let metrics_address = socket.as_ref().and_then(|socket| socket.local_addr().ok());
        if let Some(socket) = socket {
            let served = Served {
                pages: Arc::clone(&pages),
                health: Arc::clone(&health),
                checks: Arc::new(Semaphore::new(CHECKS)),
            };
            worker.settle(move |stop| listener::serve(Arc::clone(&socket), served.clone(), stop));
        }
        let telemetry = Telemetry {
            inner: Arc::new(Inner {
                pipeline,
                http: Instruments::leaked(pipeline),
                client: OnceLock::new(),
                runtime: process::watch(pipeline),
                delivery,
                resource,
                pages,
                health,
                worker,
                metrics_address,
                lines: (self.signals.format, lines),
                last: OnceLock::new(),
                ending: Ending::default(),
            }),
        };
        Ok((telemetry, decided.environment.warnings))
    }

    /// Makes a telemetry and makes it the process's: its recorder serves `metrics::counter!` and
    /// its like, its subscriber prints what `tracing` emits.
    ///
    /// # Errors
    /// As [`build()`](Self::build); and when the process has an installed orderscope, a `tracing`
    /// subscriber or a `metrics` recorder already (installed after this, they fail by themselves,
    /// with messages of their own), unless [`without_subscriber`] or
    /// [`without_recorder`] leaves its place to the other. After an error nothing is changed; if
    /// a foreign subscriber was installed between our look and our turn, the error says what of
    /// ours was set by then.
    ///
    /// [`without_subscriber`]: Self::without_subscriber
    /// [`without_recorder`]: Self::without_recorder
    pub fn install(self) -> Result<Telemetry, Error> {
        installation::install(self)
    }

    fn resource(&self) -> Result<Resource, Error> {
        let mut resource = Resource::detected();
        environment::describe(&mut resource, &environment::Process)?;
        for (name, value) in &self.attributes {
            if name.is_empty() {
                let accepted = "a name such as `team`";
                return Err(Error::configuration(
                    "a resource attribute's name",
                    "",
                    accepted,
                ));
            }
            resource.set(name, value);
        }
        let (setting, name) = match &self.name {
            Some(name) => ("the service name", name.clone()),
            None => (
                "OTEL_SERVICE_NAME",
                environment::service_name(&environment::Process)?.unwrap_or_default(),
            ),
        };
        if name.trim().is_empty() {
            let accepted = match self.name {
                Some(_) => "a name such as `orders`: every signal carries it",
                None => {
                    "set to a name such as `orders` (or `service.name` in \
                     OTEL_RESOURCE_ATTRIBUTES): every signal carries it"
                }
            };
            return Err(Error::configuration(setting, name, accepted));
        }
        resource.set(semconv::SERVICE_NAME, name);
        Ok(resource)
    }

    fn check_edges(&self) -> Result<(), Error> {
        for (name, edges) in &self.limits.edges {
            let is_prometheus_name_of =
                |ours: &Descriptor| name.starts_with(&ours.name().replace('.', "_"));
            let mut histograms = catalog::ALL.iter().filter(|d| d.kind() == Kind::Histogram);
            if let Some(ours) = histograms.find(|ours| is_prometheus_name_of(ours)) {
                let accepted = format!("an OpenTelemetry name, here {:?}", ours.name());
                return Err(Error::configuration(
                    "the name of histogram_edges",
                    name,
                    accepted,
                ));
            }
            let is_ours = catalog::ALL.iter().any(|ours| ours.name() == name);
            let lowest = if is_ours { 0.0 } else { f64::MIN };
            let is_ascending = edges.windows(2).all(|pair| pair[0] < pair[1]);
            let all_fit = edges.iter().all(|edge| edge.is_finite() && *edge >= lowest);
            if edges.is_empty() || !is_ascending || !all_fit {
                let accepted = match is_ours {
                    true => "one finite number or more, ascending, none below 0",
                    false => "one finite number or more, ascending",
                };
                return Err(Error::configuration(
                    format!("histogram_edges({name:?})"),
                    format!("{edges:?}"),
                    accepted,
                ));
            }
        }
        Ok(())
    }
}

/// The lines of a file, in the ledger.
fn row_of(lines: LineCounts) -> LedgerRow {
    let dropped = [
        (Reason::QueueFull, lines.queue_full),
        (Reason::WriteFailed, lines.failed),
        (Reason::AfterShutdown, lines.after_shutdown),
    ];
    let LineCounts {
        accepted,
        written,
        held,
        ..
    } = lines;
    LedgerRow::of_lines("log_file", accepted, written, held, dropped)
}
