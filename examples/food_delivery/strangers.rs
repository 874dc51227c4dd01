//! Those that are no customers: scanners looking for what is not there, and clients that vanish
//! half-way. They speak raw TCP, since no proper client would do this.

use std::{io, net::SocketAddr, time::Duration};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    client::{Client, Failure},
    deadline::Deadline,
};

/// What a scanner sends, request by request.
pub(crate) struct Scan {
    pub(crate) probes: Vec<String>,
}

/// Where a vanishing client leaves off.
#[derive(Clone, Copy)]
pub(crate) enum Vanishing {
    /// In the middle of the request's head.
    InHead,
    /// In the middle of the request's body.
    InBody,
    /// Before the answer begins.
    BeforeAnswer,
    /// In the middle of the answer's body.
    InAnswer,
}

impl Scan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let probes = (0..rng.usize(3..8)).map(|_| {
            let method = METHODS[rng.usize(..METHODS.len())];
            let path = PATHS[rng.usize(..PATHS.len())];
            let suffix = rng.u32(..);
            format!(
                "{method} {path}-{suffix:x} HTTP/1.1\r\nhost: {suffix:x}.example\r\n\
                 user-agent: scanner/{suffix}\r\nconnection: close\r\n\r\n"
            )
        });
        Self {
            probes: probes.collect(),
        }
    }
}

/// Sends the probes one by one, a connection for each.
pub(crate) async fn scan(client: Client, scan: Scan, leaving: Deadline) {
    for probe in scan.probes {
        if leaving.has_passed() {
            return;
        }
        if let Ok(Err(error)) = timeout(PATIENCE, send(client.next_address(), &probe)).await {
            tracing::debug!(%error, "a probe failed");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Begins a request and vanishes.
pub(crate) async fn vanish(address: SocketAddr, moment: Vanishing) {
    if let Ok(Err(error)) = timeout(PATIENCE, begin(address, moment)).await {
        tracing::debug!(%error, "a client failed before it vanished");
    }
}

async fn send(address: SocketAddr, probe: &str) -> io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(probe.as_bytes()).await?;
    tokio::io::copy(&mut socket, &mut tokio::io::sink()).await?;
    Ok(())
}

async fn begin(address: SocketAddr, moment: Vanishing) -> Result<(), Failure> {
    let mut socket = TcpStream::connect(address).await?;
    let beginning = match moment {
        Vanishing::InHead => "GET /restaurants HTTP/1.1\r\nhost: platf",
        Vanishing::InBody => {
            "POST /carts HTTP/1.1\r\nhost: platform\r\ncontent-type: application/json\r\n\
             content-length: 4096\r\n\r\n{\"customer\": \"cust"
        }
        Vanishing::BeforeAnswer => "GET /search?q=e HTTP/1.1\r\nhost: platform\r\n\r\n",
        Vanishing::InAnswer => "GET /restaurants/2/sales.csv HTTP/1.1\r\nhost: platform\r\n\r\n",
    };
    socket.write_all(beginning.as_bytes()).await?;
    match moment {
        Vanishing::InAnswer => {
            socket.read_exact(&mut [0; 512]).await?;
            // A reset, so that the server's next write fails instead of filling a buffer.
            socket.set_zero_linger()?;
        }
        _ => sleep(Duration::from_millis(60)).await,
    }
    Ok(())
}

const METHODS: [&str; 8] = [
    "GET", "GET", "GET", "POST", "HEAD", "PROPFIND", "TRACE", "JEFF",
];

const PATHS: [&str; 8] = [
    "/wp-admin/setup",
    "/.env",
    "/.git/config",
    "/phpmyadmin/index",
    "/cgi-bin/luci",
    "/actuator/env",
    "/orders/../../etc/passwd",
    "/restaurants/1/dishes/%00",
];

/// How long a stranger waits for anything.
const PATIENCE: Duration = Duration::from_secs(3);
