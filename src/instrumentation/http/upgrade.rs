//! The life of a connection after it left HTTP.

use crate::{
    clock::Clock,
    metrics::{Histogram, UpDownCounter},
};
use ::http::{HeaderMap, header};
use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

/// Held by whoever serves an upgraded connection, for as long as it is open.
///
/// The layer puts one into the extensions of each request that asks for an upgrade. The request
/// itself ends, as `upgraded`, when the response's head goes out; what follows is out of the
/// layer's sight. Who moves this value into the code that serves the connection has it measured:
/// `orderscope.http.server.streams.active` counts it while it lives, and
/// `orderscope.http.server.streams.duration` records how long that was.
///
/// ```
/// use axum::{Extension, extract::ws::WebSocketUpgrade, response::Response};
/// use orderscope::http::UpgradedStream;
///
/// async fn live(upgrade: WebSocketUpgrade, Extension(stream): Extension<UpgradedStream>) -> Response {
///     upgrade.on_upgrade(async move |mut socket| {
///         let _measured = stream;
///         while let Some(Ok(message)) = socket.recv().await {
///             drop(message);
///         }
///     })
/// }
/// # let _: axum::Router = axum::Router::new().route("/live", axum::routing::get(live));
/// ```
#[derive(Clone, Debug)]
pub struct UpgradedStream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    kind: &'static str,
    open: OnceLock<Open>,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) since: Instant,
    pub(super) clock: Clock,
    pub(super) active: Arc<UpDownCounter>,
    pub(super) duration: Arc<Histogram>,
}

impl UpgradedStream {
    /// For a request that asks for an upgrade.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        // Over HTTP/2 there is no `Upgrade` header, but this one is there.
        let kind = match headers.contains_key(header::SEC_WEBSOCKET_VERSION) {
            true => "websocket",
            false => "upgrade",
        };
        Self(Arc::new(Shared {
            kind,
            open: OnceLock::new(),
        }))
    }

    pub(super) fn kind(&self) -> &'static str {
        self.0.kind
    }

    /// Whether the handler kept a clone.
    pub(super) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// The connection is upgraded now.
    pub(super) fn open(self, open: Open) {
        open.active.add(1);
        // An error would mean a second head for one request.
        let _ = self.0.open.set(open);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.active.add(-1);
            let now = open.clock.now();
            open.duration
                .record_duration(now.saturating_duration_since(open.since), None);
        }
    }
}
