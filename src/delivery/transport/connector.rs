//! How a connection is made, whatever is spoken on it.

use super::lookup::Lookup;
use hyper_util::client::legacy::connect::HttpConnector;
use std::time::Duration;

/// Connects within `within`, over all addresses of a host, so that one that is dead leaves time for the
/// next.
pub(super) fn connector(lookup: Lookup, within: Duration) -> HttpConnector<Lookup> {
    let mut connector = HttpConnector::new_with_resolver(lookup);
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(within));
    // Of a receiver that takes no more: HTTP/2 and TLS would wait with their last words until it does,
    // and hold what it was sent.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    connector.set_tcp_user_timeout(Some(within));
    connector
}
