//! What a request is told apart by, as small numbers: never a string that a client chose.

use ::http::{HeaderMap, Method, Uri, Version, header::CONTENT_TYPE};

/// The known methods of the semantic conventions; any other is `_OTHER`.
const METHODS: [&str; 11] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
    "_OTHER",
];
const VERSIONS: [&str; 6] = ["0.9", "1.0", "1.1", "2", "3", ""];
const SCHEMES: [&str; 2] = ["http", "https"];

/// The attributes of a request that are known when it is accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    method: u8,
    version: u8,
    scheme: u8,
    pub(super) protocol: Protocol,
}

/// What ends a response of this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    /// Ended by `grpc-status` in the trailers, or in the head.
    Grpc,
    /// Carries its trailers in the body, which therefore ends as any other.
    GrpcWeb,
}

impl Traits {
    pub(super) const SCHEMES: usize = SCHEMES.len();
    pub(super) const METHODS: usize = METHODS.len();

    pub(super) fn of(method: &Method, version: Version, uri: &Uri, headers: &HeaderMap) -> Self {
        let method = index_of(method);
        Self {
            method,
            version: match version {
                Version::HTTP_09 => 0,
                Version::HTTP_10 => 1,
                Version::HTTP_11 => 2,
                Version::HTTP_2 => 3,
                Version::HTTP_3 => 4,
                _ => 5,
            },
            // HTTP/1 requests name no scheme; HTTP/2 ones do.
            scheme: u8::from(uri.scheme_str() == Some(SCHEMES[1])),
            // gRPC is always POST: other requests are spared the look.
            protocol: match METHODS[method as usize] {
                "POST" => Protocol::of(headers),
                _ => Protocol::Http,
            },
        }
    }

    /// The conventions' name of a method, `_OTHER` for one that they lack.
    pub(super) fn method_of(method: &Method) -> &'static str {
        METHODS[index_of(method) as usize]
    }

    pub(super) fn method(self) -> &'static str {
        METHODS[self.method as usize]
    }

    pub(super) fn is_head(self) -> bool {
        self.method == 1
    }

    pub(super) fn is_connect(self) -> bool {
        self.method == 5
    }

    pub(super) fn scheme(self) -> &'static str {
        SCHEMES[self.scheme as usize]
    }

    pub(super) fn version(self) -> &'static str {
        VERSIONS[self.version as usize]
    }

    /// An index below `METHODS * SCHEMES`.
    pub(super) fn method_and_scheme(self) -> usize {
        self.method as usize * Self::SCHEMES + self.scheme as usize
    }

    /// Distinct for distinct attributes, in 24 bits.
    pub(super) fn key(self) -> u64 {
        u64::from(self.method) << 16 | u64::from(self.version) << 8 | u64::from(self.scheme)
    }

    #[cfg(test)]
    pub(super) fn of_method(method: &Method) -> Self {
        Self::of(method, Version::HTTP_11, &Uri::default(), &HeaderMap::new())
    }
}

/// The method's place in [`METHODS`].
fn index_of(method: &Method) -> u8 {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::CONNECT => 5,
        Method::OPTIONS => 6,
        Method::TRACE => 7,
        Method::PATCH => 8,
        ref other if other.as_str() == METHODS[9] => 9,
        _ => 10,
    }
}

impl Protocol {
    fn of(headers: &HeaderMap) -> Self {
        let content_type = content_type(headers);
        if begins(content_type, b"application/grpc-web") {
            Self::GrpcWeb
        } else if begins(content_type, GRPC) {
            Self::Grpc
        } else {
            Self::Http
        }
    }
}

/// Of gRPC over the web, too.
const GRPC: &[u8] = b"application/grpc";
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// Whether a response's body is an event stream, which lasts for as long as anybody listens.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    begins(content_type(headers), EVENT_STREAM)
}

/// Whether a response's body is one, or messages of gRPC.
pub(super) fn is_stream(headers: &HeaderMap) -> bool {
    let content_type = content_type(headers);
    begins(content_type, EVENT_STREAM) || begins(content_type, GRPC)
}

fn content_type(headers: &HeaderMap) -> &[u8] {
    headers.get(CONTENT_TYPE).map_or(b"", |v| v.as_bytes())
}

fn begins(content_type: &[u8], with: &[u8]) -> bool {
    let start = content_type.get(..with.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(with))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_nobody_knows_is_other() {
        for method in METHODS {
            let parsed = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Traits::of_method(&parsed).method(), method);
        }
        let made_up = Method::from_bytes(b"PWN").unwrap();
        assert_eq!(Traits::of_method(&made_up).method(), "_OTHER");
    }
}
