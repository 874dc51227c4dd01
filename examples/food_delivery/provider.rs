//! The platform's side of the payment provider: calls that go on in the customer's trace.

use std::{
    error::Error,
    fmt::{self, Display, Formatter},
    net::SocketAddr,
    time::Duration,
};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, HeaderValue},
    http::uri::InvalidUri,
};
use hyper_util::{
    client::legacy::{self, Client as Connections, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use orderscope::{
    Telemetry,
    http::{ClientService, UrlTemplate},
};
use serde_json::json;
use tower::{Layer, ServiceExt};

/// A client of the provider; clones share its connections.
#[derive(Clone)]
pub(crate) struct PaymentProvider {
    charges: Uri,
    connections: ClientService<Connections<HttpConnector, Full<Bytes>>>,
}

/// What the provider made of a charge.
pub(crate) enum Charged {
    Captured,
    Declined,
}

/// Why it is not known what the provider made of a charge.
#[derive(Debug)]
pub(crate) enum ChargeError {
    /// It gave no answer at all.
    NoAnswer(legacy::Error),
    /// It answered that it cannot.
    Unable(StatusCode),
    /// Its answer broke off: the money may be taken.
    BrokenOff(hyper::Error),
}

impl PaymentProvider {
    pub(crate) fn new(address: SocketAddr, telemetry: &Telemetry) -> Result<Self, InvalidUri> {
        let connections = Connections::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build_http();
        Ok(Self {
            charges: format!("http://{address}/charges").parse()?,
            connections: telemetry.client_layer().layer(connections),
        })
    }

    /// Charges a card, or without one the customer's bank account.
    #[tracing::instrument(skip(self, card))]
    pub(crate) async fn charge(
        &self,
        order: i64,
        cents: i64,
        card: Option<&str>,
    ) -> Result<Charged, ChargeError> {
        let charge = json!({ "order": order, "cents": cents, "card": card });
        let mut request = Request::new(Full::from(charge.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.charges.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        request.extensions_mut().insert(UrlTemplate("/charges"));

        let connections = self.connections.clone();
        let answer = connections
            .oneshot(request)
            .await
            .map_err(ChargeError::NoAnswer)?;
        let status = answer.status();
        answer
            .into_body()
            .collect()
            .await
            .map_err(ChargeError::BrokenOff)?;
        match status {
            StatusCode::CREATED => Ok(Charged::Captured),
            StatusCode::PAYMENT_REQUIRED => Ok(Charged::Declined),
            status => Err(ChargeError::Unable(status)),
        }
    }
}

impl Display for ChargeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(_) => f.write_str("the payment provider does not answer"),
            Self::Unable(status) => write!(f, "the payment provider answered {status}"),
            Self::BrokenOff(_) => f.write_str("the payment provider's answer broke off"),
        }
    }
}

impl Error for ChargeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoAnswer(error) => Some(error),
            Self::Unable(_) => None,
            Self::BrokenOff(error) => Some(error),
        }
    }
}
