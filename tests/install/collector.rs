//! A collector on loopback that keeps the numbers of the events that it is sent, or never answers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use orderscope::Telemetry;
use orderscope::export::Destination;
use orderscope::telemetry::Builder;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::loopback;

/// The attribute that numbers an event.
const NUMBER: &str = "n";
/// What a forked child says in all that it records.
pub(super) const OF_A_CHILD: &str = "of_a_child";

#[derive(Clone, Debug)]
pub(super) struct Collector {
    address: SocketAddr,
    /// How often each number came.
    numbers: Arc<Mutex<BTreeMap<i64, u32>>>,
    /// Whether anything came that says [`OF_A_CHILD`].
    has_a_childs: Arc<AtomicBool>,
}

impl Collector {
    /// On a thread of its own, for as long as the process lives.
    pub(super) fn start() -> Self {
        Self::started(true)
    }

    /// Accepts connections, and never answers.
    pub(super) fn silent() -> Self {
        Self::started(false)
    }

    fn started(answers: bool) -> Self {
        let numbers = Arc::default();
        let has_a_childs = Arc::<AtomicBool>::default();
        let here = Self {
            address: loopback(),
            numbers,
            has_a_childs,
        };
        let collector = here.clone();
        let (tell, address) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async move {
                let listener = TcpListener::bind(loopback()).await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let collector = collector.clone();
                    let service = service_fn(move |request: Request<Incoming>| {
                        let collector = collector.clone();
                        async move {
                            match answers {
                                true => collector.answer(request).await,
                                false => std::future::pending().await,
                            }
                        }
                    });
                    tokio::spawn(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service),
                    );
                }
            });
        });
        Self {
            address: address.blocking_recv().unwrap(),
            ..here
        }
    }

    /// A telemetry of which everything comes here.
    pub(super) fn builder(&self) -> Builder {
        let endpoint = format!("http://{}", self.address);
        Telemetry::builder("orders").destination(Destination::otlp("collector", endpoint))
    }

    /// How often each number came.
    pub(super) fn numbers(&self) -> BTreeMap<i64, u32> {
        self.numbers.lock().unwrap().clone()
    }

    pub(super) fn has_a_childs(&self) -> bool {
        self.has_a_childs.load(Ordering::SeqCst)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Empty<Bytes>>, Infallible> {
        let is_of_logs = request.uri().path() == "/v1/logs";
        let Ok(body) = request.into_body().collect().await else {
            // Cut off on its way.
            return Ok(Response::default());
        };
        let body = body.to_bytes();
        let mut words = body.windows(OF_A_CHILD.len());
        if words.any(|word| word == OF_A_CHILD.as_bytes()) {
            self.has_a_childs.store(true, Ordering::SeqCst);
        }
        if is_of_logs {
            let request = ExportLogsServiceRequest::decode(body).unwrap();
            let scopes = request
                .resource_logs
                .into_iter()
                .flat_map(|of| of.scope_logs);
            let records = scopes.flat_map(|scope| scope.log_records);
            let attributes = records.flat_map(|record| record.attributes);
            let mut numbers = self.numbers.lock().unwrap();
            for attribute in attributes.filter(|attribute| attribute.key == NUMBER) {
                let value = attribute.value.and_then(|value| value.value);
                let Some(Value::IntValue(number)) = value else {
                    panic!("a number that is none: {value:?}");
                };
                *numbers.entry(number).or_default() += 1;
            }
        }
        Ok(Response::default())
    }
}
