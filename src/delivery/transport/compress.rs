//! Requests made smaller.

use super::Compression;
use bytes::Bytes;
use std::io::Write as _;

/// The body as it is sent, and how `content-encoding` names that: `None` is as it was.
pub(super) fn compressed(body: Bytes, compression: Compression) -> (Bytes, Option<&'static str>) {
    let smaller = match compression {
        Compression::None => None,
        Compression::Gzip => gzip(&body).map(|smaller| (smaller, "gzip")),
        Compression::Zstd => zstd(&body).map(|smaller| (smaller, "zstd")),
    };
    match smaller {
        Some((smaller, name)) => (smaller.into(), Some(name)),
        // Writing to memory does not fail; if it ever does, the receiver takes it plain as well.
        None => (body, None),
    }
}

/// Level 1: it is the CPU of the host that is spent.
fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let smaller = Vec::with_capacity(body.len() / 4 + 64);
    let mut encoder = flate2::write::GzEncoder::new(smaller, flate2::Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

#[cfg(feature = "zstd")]
fn zstd(body: &[u8]) -> Option<Vec<u8>> {
    ::zstd::bulk::compress(body, 1).ok()
}

/// Refused by `connect()`.
#[cfg(not(feature = "zstd"))]
fn zstd(_: &[u8]) -> Option<Vec<u8>> {
    None
}
