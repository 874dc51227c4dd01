//! TLS to a Redis: with the certificate authorities that are given, or the host's.

use crate::{error::Error, shared_state::Unavailable};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::sync::Arc;
use tokio::{net::TcpStream, sync::OnceCell, task::spawn_blocking};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(super) struct Trust(OnceCell<TlsConnector>);

impl Trust {
    /// `pem`: none for the host's, which are read when they are needed.
    ///
    /// # Errors
    /// It is no certificate.
    pub(super) fn new(pem: Option<&[u8]>) -> Result<Self, Error> {
        let Some(pem) = pem else {
            return Ok(Self(OnceCell::new()));
        };
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let connector = connector(certificates.unwrap_or_default());
        let refused = || {
            // Not shown: it may be a key, by mistake.
            let value = format!("{} bytes of something else", pem.len());
            let accepted = "certificates in PEM";
            Error::configuration("the certificate of the shared state", value, accepted)
        };
        Ok(Self(OnceCell::new_with(Some(
            connector.ok_or_else(refused)?,
        ))))
    }

    pub(super) async fn secure(
        &self,
        host: &str,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Unavailable> {
        let of_the_host = || async {
            let read = spawn_blocking(rustls_native_certs::load_native_certs).await;
            let found = read.map(|found| found.certs).unwrap_or_default();
            connector(found).ok_or(Unavailable::Refused)
        };
        let connector = self.0.get_or_try_init(of_the_host).await?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Unavailable::Refused)?;
        let secured = connector.connect(name, socket).await;
        secured.map_err(|_| Unavailable::Refused)
    }
}

/// `None`: there is nobody to trust.
fn connector(certificates: Vec<CertificateDer<'static>>) -> Option<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return None;
    }
    // By name: a host may have several providers, and then none is the default.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Some(TlsConnector::from(Arc::new(config)))
}
