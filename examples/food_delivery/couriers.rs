//! Couriers: a websocket each, with positions one way and waiting orders the other.

use std::time::Duration;

use fastrand::Rng;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::sleep;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::{client::Failure, deadline::Deadline};

/// What one courier does on one shift, drawn from the seed.
pub(crate) struct Shift {
    courier: u16,
    reports: Vec<(Duration, f64, f64)>,
    /// Ends without a goodbye, as phones do.
    loses_signal: bool,
}

impl Shift {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let reports = (0..rng.usize(3..9)).map(|_| {
            let pause = Duration::from_millis(rng.u64(200..700));
            (pause, 52.3 + rng.f64() / 5.0, 4.8 + rng.f64() / 5.0)
        });
        let reports = reports.collect();
        Self {
            courier: rng.u16(1..=20),
            reports,
            loses_signal: rng.u8(..4) == 0,
        }
    }
}

/// Works the shift, or as much of it as there is time for.
pub(crate) async fn work(address: std::net::SocketAddr, shift: Shift, leaving: Deadline) {
    if let Err(error) = report(address, shift, leaving).await {
        tracing::debug!(%error, "a courier's socket failed");
    }
}

async fn report(
    address: std::net::SocketAddr,
    shift: Shift,
    leaving: Deadline,
) -> Result<(), Failure> {
    let (mut socket, _) = connect_async(format!("ws://{address}/couriers/live")).await?;
    for (pause, latitude, longitude) in shift.reports {
        tokio::select! {
            () = leaving.passed() => break,
            () = sleep(pause) => {}
        }
        let courier = format!("courier-{}", shift.courier);
        let position = json!({ "courier": courier, "latitude": latitude, "longitude": longitude });
        socket.send(Message::text(position.to_string())).await?;
        let Some(answer) = socket.next().await else {
            return Ok(());
        };
        answer?;
    }
    if !shift.loses_signal {
        socket.close(None).await?;
    }
    Ok(())
}
