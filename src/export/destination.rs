//! The setting of one destination, as a call or the environment gives it. It is checked when the
//! telemetry is built.

mod check;

use super::{Compression, InMemory, Protocol, Signal, Temporality};
use crate::{
    clock::Clock,
    delivery::{Endpoint, Transport, transport},
    error::Error,
    redaction::MASK,
};
use std::{fmt, sync::Arc, time::Duration};

/// Where telemetry is sent, and how.
///
/// Nothing is checked here: `build()` and `install()` refuse what is not accepted, with an error
/// that names the setting and its value. Values of headers, keys and passwords are in no message
/// and in no `Debug`.
#[derive(Clone, Debug)]
#[must_use = "a destination takes nothing before it is given to the builder"]
pub struct Destination {
    name: String,
    /// By `Signal as usize`.
    signals: [bool; 3],
    way: Way,
}

/// A destination that can be sent to.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) signals: Vec<Signal>,
    /// By signal: those of one number go to one server.
    pub(crate) endpoints: [usize; 3],
    pub(crate) transport: Arc<dyn Transport>,
}

/// How telemetry gets there.
#[derive(Clone, Debug)]
enum Way {
    Otlp(Box<Otlp>),
    InMemory(InMemory, Temporality),
}

#[derive(Clone, Debug, Default)]
struct Otlp {
    temporality: Temporality,
    base: Options,
    /// Over the base, by `Signal as usize`.
    own: [Options; 3],
}

/// What can be said of a destination, or of one signal's: `None` is not said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) endpoint: Option<Given<String>>,
    pub(crate) protocol: Option<Given<Protocol>>,
    pub(crate) headers: Option<Given<Vec<(String, String)>>>,
    pub(crate) timeout: Option<Given<Duration>>,
    pub(crate) compression: Option<Given<Compression>>,
    /// These three are PEM.
    pub(crate) certificate: Option<Given<Vec<u8>>>,
    pub(crate) client_certificate: Option<Given<Vec<u8>>>,
    pub(crate) client_key: Option<Given<Vec<u8>>>,
}

/// A value with what an error calls it. `Debug` prints what may be seen of it.
#[derive(Clone)]
pub(crate) struct Given<T> {
    /// The variable, or what the call set.
    setting: String,
    /// The value without what is secret.
    shown: String,
    value: T,
}

impl Destination {
    /// An OTLP receiver: a Collector, or a vendor's own endpoint. `name` is what the ledger calls
    /// it, the attribute `destination` of the delivery metrics.
    ///
    /// `endpoint` is a URL such as `http://localhost:4318`. Over HTTP, `/v1/traces`, `/v1/logs` and
    /// `/v1/metrics` are appended to it. What this and the other calls leave open is not taken from
    /// the environment.
    pub fn otlp(name: impl Into<String>, endpoint: impl Into<String>) -> Self {
        let destination = Self::new(
            name.into(),
            Temporality::default(),
            Options::default(),
            Default::default(),
        );
        destination.otlp_set("endpoint", |setting, otlp| {
            otlp.base.endpoint = Some(Given::url(setting, endpoint.into()));
        })
    }

    /// A backend within the process, for tests and for programs without a collector; keep a clone of
    /// it to ask. Of the other calls only [`only`](Self::only) and
    /// [`temporality`](Self::temporality) have an effect.
    ///
    /// ```
    /// use orderscope::{Telemetry, export::{Destination, InMemory}};
    ///
    /// let backend = InMemory::new();
    /// let telemetry = Telemetry::builder("orders")
    ///     .destination(Destination::in_memory("memory", &backend))
    ///     .build()?;
    /// # drop(telemetry);
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    pub fn in_memory(name: impl Into<String>, backend: &InMemory) -> Self {
        Self {
            name: name.into(),
            signals: [true; 3],
            way: Way::InMemory(backend.clone(), Temporality::default()),
        }
    }

    /// One that is put together elsewhere, for every signal that has an endpoint.
    pub(crate) fn new(
        name: String,
        temporality: Temporality,
        base: Options,
        own: [Options; 3],
    ) -> Self {
        Self {
            name,
            signals: [true; 3],
            way: Way::Otlp(Box::new(Otlp {
                temporality,
                base,
                own,
            })),
        }
    }

    /// Default: [`Protocol::HttpProtobuf`]. [`Protocol::Grpc`] without the cargo feature `grpc` is
    /// refused.
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.otlp_set("protocol", |setting, otlp| {
            otlp.base.protocol = Some(Given::new(setting, protocol.word(), protocol));
        })
    }

    /// Sent with every request; may be called for any number of headers. The value is visible ASCII
    /// or UTF-8, sent as it is. Headers that orderscope sets itself, such as `content-type`, are
    /// refused. Default: none.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let header = (name.into(), value.into());
        self.otlp_set("headers", |setting, otlp| {
            let headers = otlp.base.headers.get_or_insert_with(|| {
                // Names as well: a key may stand where the name belongs.
                Given::new(setting, MASK, Vec::new())
            });
            headers.value.push(header);
        })
    }

    /// How long one attempt may take, connecting included. More than 0. Default: 3 seconds, so that
    /// a receiver that takes connections and never answers holds a batch no longer; the default of
    /// OpenTelemetry's specification, 10 seconds, is `OTEL_EXPORTER_OTLP_TIMEOUT=10000`. On Linux a connection
    /// whose receiver takes nothing for as long is closed, with what waits on it.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.otlp_set("timeout", |setting, otlp| {
            otlp.base.timeout = Some(Given::new(setting, format!("{timeout:?}"), timeout));
        })
    }

    /// Default: [`Compression::None`]. [`Compression::Zstd`] without the cargo feature `zstd`, and
    /// over gRPC, is refused.
    pub fn compression(self, compression: Compression) -> Self {
        self.otlp_set("compression", |setting, otlp| {
            let shown = compression.word();
            otlp.base.compression = Some(Given::new(setting, shown, compression));
        })
    }

    /// What the numbers of metrics count from. Default: [`Temporality::Cumulative`].
    pub fn temporality(mut self, given: Temporality) -> Self {
        match &mut self.way {
            Way::Otlp(otlp) => otlp.temporality = given,
            Way::InMemory(_, temporality) => *temporality = given,
        }
        self
    }

    /// The certificate authorities that an `https` endpoint is trusted by, one or more in PEM, in
    /// place of the host's. Default: the host's.
    pub fn certificate_pem(self, certificate: impl Into<Vec<u8>>) -> Self {
        self.otlp_set("certificate", |setting, otlp| {
            otlp.base.certificate = Some(Given::pem(setting, certificate.into()));
        })
    }

    /// Who we are, where an `https` endpoint asks for it (mTLS): our certificate, with the chain
    /// that it needs, and its key, each in PEM. Default: nobody.
    pub fn client_identity_pem(
        self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.otlp_set("client certificate", |setting, otlp| {
            otlp.base.client_certificate = Some(Given::pem(setting, certificate.into()));
        })
        .otlp_set("client key", |setting, otlp| {
            otlp.base.client_key = Some(Given::pem(setting, key.into()));
        })
    }

    /// Where spans go, used as it is: nothing is appended. Default: the endpoint of all signals.
    pub fn traces_endpoint(self, endpoint: impl Into<String>) -> Self {
        self.endpoint_of(Signal::Traces, endpoint.into())
    }

    /// Where log records go, used as it is: nothing is appended. Default: the endpoint of all
    /// signals.
    pub fn logs_endpoint(self, endpoint: impl Into<String>) -> Self {
        self.endpoint_of(Signal::Logs, endpoint.into())
    }

    /// Where metrics go, used as it is: nothing is appended. Default: the endpoint of all signals.
    pub fn metrics_endpoint(self, endpoint: impl Into<String>) -> Self {
        self.endpoint_of(Signal::Metrics, endpoint.into())
    }

    /// Sends these signals and no other. None at all is refused. Default: all.
    pub fn only(mut self, signals: impl IntoIterator<Item = Signal>) -> Self {
        self.signals = [false; 3];
        for signal in signals {
            self.signals[signal as usize] = true;
        }
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn metrics_temporality(&self) -> Temporality {
        match &self.way {
            Way::Otlp(otlp) => otlp.temporality,
            Way::InMemory(_, temporality) => *temporality,
        }
    }

    /// What carries its signals there.
    pub(crate) fn connect(&self, clock: &Clock) -> Result<Connection, Error> {
        self.check()?;
        match &self.way {
            Way::InMemory(backend, _) => {
                let chosen = |signal: &Signal| self.signals[*signal as usize];
                Ok(Connection {
                    signals: Signal::ALL.into_iter().filter(chosen).collect(),
                    endpoints: [0; 3],
                    transport: Arc::new(backend.clone()),
                })
            }
            Way::Otlp(_) => {
                let endpoints = self.endpoints()?;
                let has_one = |signal: &Signal| endpoints[*signal as usize].is_some();
                let signals = Signal::ALL.into_iter().filter(has_one).collect();
                let authority = |endpoint: &Option<Endpoint>| {
                    let authority = endpoint.as_ref()?.url.authority()?;
                    Some(authority.clone())
                };
                let authorities = [0, 1, 2].map(|signal| authority(&endpoints[signal]));
                let first_of = |this| authorities.iter().position(|known| known == this);
                let same = [0, 1, 2].map(|n: usize| first_of(&authorities[n]).unwrap_or(n));
                Ok(Connection {
                    signals,
                    endpoints: same,
                    transport: transport::connect(endpoints, clock)?,
                })
            }
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.name.trim().is_empty() {
            let accepted = "a name such as `collector`: the delivery metrics carry it";
            return Err(Error::configuration(
                "a destination's name",
                &self.name,
                accepted,
            ));
        }
        if self.signals == [false; 3] {
            let setting = format!("only() of destination {:?}", self.name);
            return Err(Error::configuration(setting, "[]", "one signal or more"));
        }
        Ok(())
    }

    /// Where each signal goes, by `Signal as usize`; `None`: nowhere.
    pub(crate) fn endpoints(&self) -> Result<[Option<Endpoint>; 3], Error> {
        self.check()?;
        let mut endpoints = [None, None, None];
        let Way::Otlp(otlp) = &self.way else {
            return Ok(endpoints);
        };
        for signal in Signal::ALL {
            if self.signals[signal as usize] {
                let own = &otlp.own[signal as usize];
                endpoints[signal as usize] = check::endpoint(signal, own, &otlp.base)?;
            }
        }
        Ok(endpoints)
    }

    fn endpoint_of(self, signal: Signal, endpoint: String) -> Self {
        self.otlp_set(&format!("{}_endpoint", signal.name()), |setting, otlp| {
            otlp.own[signal as usize].endpoint = Some(Given::url(setting, endpoint));
        })
    }

    /// Sets what the closure is given a name for.
    fn otlp_set(mut self, what: &str, set: impl FnOnce(String, &mut Otlp)) -> Self {
        let setting = format!("the {what} of destination {:?}", self.name);
        if let Way::Otlp(otlp) = &mut self.way {
            set(setting, otlp);
        }
        self
    }
}

impl<T> Given<T> {
    /// `shown` is all that errors and `Debug` tell of `value`.
    pub(crate) fn new(setting: impl Into<String>, shown: impl Into<String>, value: T) -> Self {
        Self {
            setting: setting.into(),
            shown: shown.into(),
            value,
        }
    }

    fn refused(&self, accepted: impl Into<String>) -> Error {
        Error::configuration(&self.setting, &self.shown, accepted)
    }
}

impl Given<String> {
    pub(crate) fn url(setting: impl Into<String>, url: String) -> Self {
        Self::new(setting, without_secrets(&url), url)
    }
}

impl Given<Vec<u8>> {
    fn pem(setting: String, pem: Vec<u8>) -> Self {
        Self::new(setting, format!("({} bytes)", pem.len()), pem)
    }
}

impl<T> fmt::Debug for Given<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A URL, or what should have been one, without user, password and query.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = match url.find("://") {
        Some(at) => url.split_at(at + "://".len()),
        None => ("", url),
    };
    // The last: a password that is not encoded may hold one itself.
    let (user, rest) = match rest.rfind('@') {
        Some(at) => (MASK, &rest[at..]),
        None => ("", rest),
    };
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..=at], MASK),
        None => (rest, ""),
    };
    format!("{scheme}{user}{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";

    fn collector(endpoint: &str) -> Destination {
        Destination::otlp("collector", endpoint)
    }

    fn urls(destination: &Destination) -> [Option<String>; 3] {
        let endpoints = destination.endpoints().unwrap();
        endpoints.map(|endpoint| Some(endpoint?.url.to_string()))
    }

    fn refused(destination: &Destination) -> String {
        let error = destination.endpoints().err().unwrap();
        assert!(error.is_configuration());
        error.to_string()
    }

    #[test]
    fn each_signal_has_its_path_under_the_endpoint_of_all() {
        for (endpoint, expected) in [
            ("http://localhost:4318", "http://localhost:4318/v1/"),
            ("http://localhost:4318/", "http://localhost:4318/v1/"),
            (" https://[::1]:443/otlp// ", "https://[::1]:443/otlp/v1/"),
            ("HTTP://host", "http://host/v1/"),
        ] {
            let expected = ["traces", "logs", "metrics"].map(|s| Some(format!("{expected}{s}")));
            assert_eq!(urls(&collector(endpoint)), expected);
        }
        let with_query = urls(&collector("http://h/a?b=c"));
        assert_eq!(with_query[0].as_deref(), Some("http://h/a/v1/traces?b=c"));
    }

    #[test]
    fn the_endpoint_of_one_signal_is_used_as_it_is() {
        let destination = collector("http://localhost:4318")
            .traces_endpoint("https://traces.example.com")
            .metrics_endpoint("https://m.example.com/otlp/?x=y")
            .only([Signal::Metrics, Signal::Traces]);
        assert_eq!(
            urls(&destination),
            [
                Some("https://traces.example.com/".to_owned()),
                None,
                Some("https://m.example.com/otlp/?x=y".to_owned())
            ]
        );
        let destination = collector("http://h").logs_endpoint("http://logs/here");
        assert_eq!(urls(&destination)[1].as_deref(), Some("http://logs/here"));
    }

    #[test]
    fn the_defaults_are_protobuf_over_http_uncompressed_within_three_seconds() {
        let destination = collector("http://localhost:4318");
        let [endpoint, ..] = destination.endpoints().unwrap();
        let endpoint = endpoint.unwrap();
        assert_eq!(endpoint.protocol, Protocol::HttpProtobuf);
        assert_eq!(endpoint.compression, Compression::None);
        assert_eq!(endpoint.timeout, Duration::from_secs(3));
        assert!(endpoint.headers.is_empty());
        assert!(endpoint.tls.certificate.is_none() && endpoint.tls.client.is_none());
        assert_eq!(destination.metrics_temporality(), Temporality::Cumulative);
        assert_eq!(destination.name(), "collector");
    }

    #[test]
    fn what_a_call_gives_reaches_the_transport() {
        let destination = collector("https://localhost")
            .header("Api-Key", "s3cret")
            .header("x-team", "ü")
            .timeout(Duration::from_millis(1_500))
            .compression(Compression::Gzip)
            .temporality(Temporality::LowMemory)
            .certificate_pem(CERTIFICATE)
            .client_identity_pem(format!("{CERTIFICATE}{CERTIFICATE}"), KEY);
        let [_, _, endpoint] = destination.endpoints().unwrap();
        let endpoint = endpoint.unwrap();
        let headers: Vec<_> = endpoint.headers.iter().collect();
        assert_eq!(headers[0].0, "api-key");
        assert_eq!(headers[0].1, "s3cret");
        assert_eq!(headers[1].1.as_bytes(), "ü".as_bytes());
        assert!(headers.iter().all(|(_, value)| value.is_sensitive()));
        assert_eq!(endpoint.timeout, Duration::from_millis(1_500));
        assert_eq!(endpoint.compression, Compression::Gzip);
        assert_eq!(
            endpoint.tls.certificate.as_deref(),
            Some(CERTIFICATE.as_bytes())
        );
        let (chain, key) = endpoint.tls.client.unwrap();
        assert_eq!(chain.len(), 2 * CERTIFICATE.len());
        assert_eq!(key, KEY.as_bytes());
        assert_eq!(destination.metrics_temporality(), Temporality::LowMemory);
    }

    #[test]
    fn an_endpoint_that_is_none_is_named_with_what_is_accepted() {
        for endpoint in [
            "",
            "localhost:4318",
            "localhost",
            "/v1/traces",
            "http://",
            "http://:4318",
            "http://host:",
            "http://host:99999",
            "http://host:0",
            "http://a host",
            "ftp://host",
            "grpc://host:4317",
        ] {
            assert_eq!(
                refused(&collector(endpoint)),
                format!(
                    "the endpoint of destination \"collector\" is {endpoint:?}, but must be a URL of \
                     `http` or `https` with a host, such as `http://localhost:4318`"
                )
            );
        }
        let message = refused(&collector("http://host").traces_endpoint("host/v1/traces"));
        assert!(
            message.starts_with("the traces_endpoint of destination \"collector\" is \"host/"),
            "{message}"
        );
    }

    #[test]
    fn whatever_else_is_not_accepted_is_named() {
        let fine = || collector("http://localhost:4318");
        for (destination, expected) in [
            (
                Destination::otlp(" ", "http://localhost"),
                "a destination's name is \" \", but must be a name such as `collector`",
            ),
            (
                fine().only([]),
                "only() of destination \"collector\" is \"[]\", but must be one signal or more",
            ),
            (
                fine().timeout(Duration::ZERO),
                "the timeout of destination \"collector\" is \"0ns\", but must be more than 0",
            ),
            (
                fine().timeout(Duration::MAX),
                "but must be more than 0, and at most 4294967295 ms",
            ),
            (
                fine().header("fine", "x").header("two words", "s3cret"),
                "the headers of destination \"collector\" is \"***\", but must be headers whose \
                 names are letters, digits and `-`, such as `api-key`, which header 2 is not",
            ),
            (
                fine().header("api-key", "s3cret\r\nx: y"),
                "but must be headers whose values have no control characters, which header 1 is not",
            ),
            (
                fine().header("Content-Type", "s3cret"),
                "but must be headers that orderscope does not set itself (it sets `connection`, ",
            ),
            (
                fine().header("grpc-timeout", "s3cret"),
                "`grpc-…`), which header 1 is not",
            ),
            (
                fine().certificate_pem("s3cret"),
                "the certificate of destination \"collector\" is \"(6 bytes)\", but must be PEM with \
                 one certificate or more",
            ),
            (
                fine().client_identity_pem(KEY, KEY),
                "the client certificate of destination \"collector\" is ",
            ),
            (
                fine().client_identity_pem(CERTIFICATE, "s3cret"),
                "the client key of destination \"collector\" is \"(6 bytes)\", but must be PEM with \
                 a private key",
            ),
        ] {
            let message = refused(&destination);
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn what_this_build_lacks_is_refused_with_the_feature_that_buys_it() {
        let grpc = collector("http://localhost:4317").protocol(Protocol::Grpc);
        let zstd = collector("http://localhost:4318").compression(Compression::Zstd);
        if cfg!(feature = "grpc") {
            assert_eq!(urls(&grpc)[0].as_deref(), Some("http://localhost:4317/"));
            let message = refused(&grpc.clone().traces_endpoint("http://h:4317/v1/traces"));
            assert!(
                message.contains("a URL without a path over gRPC"),
                "{message}"
            );
            let message = refused(&grpc.compression(Compression::Zstd));
            assert!(message.contains("`gzip` or `none`"), "{message}");
        } else {
            assert_eq!(
                refused(&grpc),
                "the protocol of destination \"collector\" is \"grpc\", but must be \
                 `http/protobuf`: gRPC needs the cargo feature `grpc` of orderscope, which this \
                 program was built without"
            );
        }
        if !cfg!(feature = "zstd") {
            let message = refused(&zstd);
            assert!(
                message.contains("is \"zstd\"") && message.contains("the cargo feature `zstd`")
            );
        }
    }

    #[test]
    fn nothing_secret_is_in_a_message_or_in_debug() {
        for endpoint in [
            "http://j0hn:s3cret@host:4318",
            "https://s3cret@host/path?key=s3cret",
            "http://j0hn:s3cret@s3cret@host",
            "http://j0hn:s3/s3cret@host",
            "j0hn:s3cret@host:4318",
            "http://j0hn:s3cret@host:99999",
            "ftp://host?key=s3cret",
            "http://host:x#s3cret",
        ] {
            let destination = collector(endpoint)
                .header("api-key", "s3cret")
                .header("s3cret", "s3cret")
                .client_identity_pem("s3cret", "s3cret");
            for printed in [
                refused(&destination),
                format!("{destination:?}"),
                format!("{destination:#?}"),
            ] {
                assert!(!printed.contains("s3cret"), "{printed}");
                assert!(!printed.contains("j0hn"), "{printed}");
                assert!(printed.contains("host"), "{printed}");
            }
        }
        let message = refused(&collector("http://j0hn:s3cret@host:4318"));
        assert!(
            message.contains("\"http://***@host:4318\", but must be a URL without a user"),
            "{message}"
        );
    }
}
