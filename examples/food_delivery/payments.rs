//! The payment provider: a second service, with telemetry of its own. It runs in this process so
//! that one command starts both; nothing but HTTP passes between the two.

use std::{
    error::Error,
    fmt::{self, Display, Formatter},
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    http::{StatusCode, header::CONTENT_LENGTH},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::{StreamExt, stream};
use orderscope::{
    Telemetry,
    errors::HandlerError,
    events::{Currency, Money},
    track_event,
};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{backend::Backend, deadline::Deadline};

/// The card that has no money on it. Payment providers have such numbers for tests.
pub(crate) const DECLINED_CARD: &str = "4000 0000 0000 0002";

/// The card whose bank cannot be reached.
pub(crate) const CARD_OF_A_BANK_THAT_IS_AWAY: &str = "4000 0000 0000 0119";

/// The card on whose answer the connection breaks.
pub(crate) const CARD_THAT_BREAKS_THE_CONNECTION: &str = "4000 0000 0000 0341";

/// The provider while it serves.
pub(crate) struct Payments {
    pub(crate) address: SocketAddr,
    pub(crate) telemetry: Telemetry,
    closing: Deadline,
    server: JoinHandle<io::Result<()>>,
}

#[derive(Deserialize)]
struct Charge {
    order: i64,
    cents: i64,
    /// None: by the customer's bank, which is to confirm it.
    card: Option<String>,
}

/// Why a charge was not made.
#[derive(Debug)]
enum ChargeError {
    BankUnreachable(io::Error),
}

impl Payments {
    pub(crate) async fn open(backend: &Backend) -> Result<Self, Box<dyn Error>> {
        // Not installed but built: the process is the other service's.
        let telemetry = backend
            .take_from(Telemetry::builder("payments"))
            .version(env!("CARGO_PKG_VERSION"))
            .environment("demo")
            .metrics_listener((Ipv4Addr::LOCALHOST, 0).into())
            .build()?;
        let app = Router::new()
            .route("/charges", post(charge))
            .layer(telemetry.http_layer());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let closing = Deadline::new();
        let shutdown = closing.clone();
        let server = tokio::spawn(
            axum::serve(listener, app)
                .with_graceful_shutdown(async move { shutdown.passed().await })
                .into_future(),
        );
        Ok(Self {
            address,
            telemetry,
            closing,
            server,
        })
    }

    /// Stops serving, once the last charge is answered or the grace is over.
    pub(crate) async fn close(self, grace: Duration) -> Result<(), Box<dyn Error>> {
        self.closing.pass();
        if let Ok(served) = timeout(grace, self.server).await {
            served??;
        }
        Ok(())
    }
}

async fn charge(Json(charge): Json<Charge>) -> Result<Response, ChargeError> {
    let Charge { order, cents, card } = charge;
    match card.as_deref() {
        // This bank never confirms; the caller's patience ends it.
        None => pending::<()>().await,
        Some(DECLINED_CARD) => {
            let reason = json!({ "reason": "insufficient_funds" });
            return Ok((StatusCode::PAYMENT_REQUIRED, Json(reason)).into_response());
        }
        Some(CARD_OF_A_BANK_THAT_IS_AWAY) => ask_a_bank_that_is_away().await?,
        Some(CARD_THAT_BREAKS_THE_CONNECTION) => return Ok(broken_off()),
        Some(_) => sleep(BANK_TIME).await,
    }
    let value = Money::minor(cents, Currency::EUR);
    track_event!("charge_captured", order_id = order, value = value);
    Ok((StatusCode::CREATED, Json(json!({ "captured": cents }))).into_response())
}

async fn ask_a_bank_that_is_away() -> Result<(), ChargeError> {
    // Nothing listens on the port of tcpmux.
    let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, 1)).await;
    connected.map(drop).map_err(ChargeError::BankUnreachable)
}

/// An answer that promises more than comes.
fn broken_off() -> Response {
    let half = async { Ok(Bytes::from_static(b"{ \"captu")) };
    let broken = async {
        sleep(BANK_TIME).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    };
    let body = Body::from_stream(stream::once(half).chain(stream::once(broken)));
    (StatusCode::CREATED, [(CONTENT_LENGTH, "20")], body).into_response()
}

impl IntoResponse for ChargeError {
    fn into_response(self) -> Response {
        // The layer records the error, with the status that it became.
        let error = Extension(HandlerError::new(&self));
        (StatusCode::SERVICE_UNAVAILABLE, error).into_response()
    }
}

impl Display for ChargeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::BankUnreachable(_) => f.write_str("the customer's bank cannot be reached"),
        }
    }
}

impl Error for ChargeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::BankUnreachable(error) => Some(error),
        }
    }
}

/// How long a bank takes to say yes.
const BANK_TIME: Duration = Duration::from_millis(15);
