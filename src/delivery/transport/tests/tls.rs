//! Whom an `https` endpoint trusts, and whom it is trusted by.

use super::{receiver::*, *};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use std::net::TcpStream;

/// A certificate authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(super) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A certificate for `localhost` and its key.
    pub(super) fn signed(&self) -> (Vec<u8>, Vec<u8>) {
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (
            certificate.pem().into_bytes(),
            key.serialize_pem().into_bytes(),
        )
    }
}

/// Accepts all requests of whom it trusts, which is everybody without an authority.
fn secure_receiver(server: &Authority, clients: Option<&Authority>) -> SocketAddr {
    behind_tls(server, clients, |mut stream| {
        while let Some(asked) = read(&mut stream) {
            answer(&mut stream, "200 OK", "", b"");
            drop(asked);
        }
    })
}

pub(super) type Secured = StreamOwned<ServerConnection, TcpStream>;

pub(super) fn behind_tls(
    server: &Authority,
    clients: Option<&Authority>,
    serve: impl Fn(Secured) + Send + Sync + 'static,
) -> SocketAddr {
    let (certificate, key) = server.signed();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(&authority.pem()).unwrap();
            roots.add(root).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => config.with_no_client_auth(),
    };
    let chain = vec![CertificateDer::from_pem_slice(&certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    receiver(move |_, stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        serve(StreamOwned::new(connection, stream));
    })
}

fn secure(address: SocketAddr, tls: Tls) -> Endpoint {
    let mut endpoint = endpoint(address);
    let port = address.port();
    endpoint.url = format!("https://localhost:{port}/v1/traces")
        .parse()
        .unwrap();
    endpoint.tls = tls;
    endpoint
}

pub(super) fn trusting(authority: &Authority) -> Tls {
    Tls {
        certificate: Some(authority.pem()),
        client: None,
    }
}

#[tokio::test]
async fn the_given_certificate_is_trusted_and_no_other() {
    let ours = Authority::new();
    let address = secure_receiver(&ours, None);
    let answered = send(secure(address, trusting(&ours)), vec![7; 200_000]).await;
    assert_eq!(answered, accepted());

    for tls in [trusting(&Authority::new()), Tls::default()] {
        let answered = send(secure(address, tls), "some").await;
        assert!(is_unreachable(&answered), "{answered:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_wants_to_know_us_is_shown_who_we_are() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let address = secure_receiver(&servers, Some(&clients));
    let mut tls = trusting(&servers);
    tls.client = Some(clients.signed());
    let answered = send(secure(address, tls.clone()), "some").await;
    assert_eq!(answered, accepted());

    // Its refusal may come after the request was sent, as TLS 1.3 has it; it was not looked at.
    for client in [None, Some(Authority::new().signed())] {
        tls.client = client;
        let answered = send(secure(address, tls.clone()), "some").await;
        assert!(is_unavailable(&answered), "{answered:?}");
    }
}

#[tokio::test]
async fn a_receiver_without_tls_has_taken_nothing() {
    let address = receiver(|_, mut stream| answer(&mut stream, "400 Bad Request", "", b""));
    let answered = send(secure(address, Tls::default()), "some").await;
    assert!(is_unreachable(&answered), "{answered:?}");
}
