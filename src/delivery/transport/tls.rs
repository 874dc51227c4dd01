//! Whom `https` endpoints trust, and how we show who we are.

use super::{Endpoint, Tls};
use crate::error::Error;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use std::sync::Arc;
use tokio::{sync::OnceCell, task::spawn_blocking};

const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// What was configured, found to be sound.
pub(super) struct Trust {
    tls: Tls,
    /// The given roots, or the host's, once they were needed: to read those takes tens of
    /// milliseconds.
    roots: OnceCell<RootCertStore>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Trust {
    /// `None`: the endpoint is not `https`, and its certificates do not matter.
    ///
    /// # Errors
    /// A certificate or the key is no PEM, or the two do not belong together.
    pub(super) fn of(endpoint: &Endpoint) -> Result<Option<Self>, Error> {
        if !endpoint.is_secure() {
            return Ok(None);
        }
        let tls = endpoint.tls.clone();
        let given = tls.certificate.as_deref().map(roots).transpose()?;
        let client = match &tls.client {
            Some((chain, key)) => Some(identity(chain, key)?),
            None => None,
        };
        Ok(Some(Self {
            roots: OnceCell::new_with(given),
            client,
            tls,
        }))
    }

    /// Whether this is what the endpoint's would be.
    pub(super) fn is_of(trust: Option<&Self>, endpoint: &Endpoint) -> bool {
        match trust {
            Some(trust) => endpoint.is_secure() && trust.tls == endpoint.tls,
            None => !endpoint.is_secure(),
        }
    }

    /// What is trusted; an error says why there is nothing.
    pub(super) async fn roots(&self) -> Result<&RootCertStore, String> {
        let of_the_host = || async {
            let read = spawn_blocking(rustls_native_certs::load_native_certs).await;
            let mut roots = RootCertStore::empty();
            if let Ok(found) = read {
                roots.add_parsable_certificates(found.certs);
            }
            if roots.is_empty() {
                return Err(format!(
                    "no certificate authority was found on this host: install \
                     `ca-certificates`, or set {CERTIFICATE}"
                ));
            }
            Ok(roots)
        };
        self.roots.get_or_try_init(of_the_host).await
    }

    /// For rustls itself.
    pub(super) async fn config(&self) -> Result<ClientConfig, String> {
        config(self.roots().await?.clone(), self.client.as_ref())
    }

    /// The client's chain and key, as PEM.
    #[cfg(feature = "grpc")]
    pub(super) fn client_pem(&self) -> Option<&(Vec<u8>, Vec<u8>)> {
        self.tls.client.as_ref()
    }
}

/// For connections that never meet TLS.
pub(super) fn trusting_nobody() -> Result<ClientConfig, String> {
    config(RootCertStore::empty(), None)
}

fn config(
    roots: RootCertStore,
    client: Option<&(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    match client {
        Some((chain, key)) => config
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(|error| error.to_string()),
        None => Ok(config.with_no_client_auth()),
    }
}

/// Our own: the process's default may be another's, or none, when two are compiled in.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(CERTIFICATE, pem)? {
        roots
            .add(certificate)
            .map_err(|error| refused(CERTIFICATE, pem, &format!("valid certificates: {error}")))?;
    }
    Ok(roots)
}

fn chain(setting: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(refused(
            setting,
            pem,
            "certificates in PEM (`-----BEGIN CERTIFICATE-----`)",
        )),
    }
}

fn identity(
    certificates: &[u8],
    key: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let chain = chain(CLIENT_CERTIFICATE, certificates)?;
    let private = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| refused(CLIENT_KEY, key, "a private key in PEM, not encrypted"))?;
    CertifiedKey::from_der(chain.clone(), private.clone_key(), &provider()).map_err(|error| {
        let accepted = format!("the private key of {CLIENT_CERTIFICATE}, in PEM: {error}");
        refused(CLIENT_KEY, key, &accepted)
    })?;
    Ok((chain, private))
}

/// The value is shown by its PEM label or its length: it may be a key, even where a certificate
/// belongs.
fn refused(setting: &str, pem: &[u8], accepted: &str) -> Error {
    let label = pem.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let label = String::from_utf8_lossy(label);
    let is_label = label.starts_with("-----BEGIN ") && label.trim_end().ends_with("-----");
    let shown = match is_label && label.len() <= 64 {
        true => format!("{}… ({} bytes)", label.trim_end(), pem.len()),
        false => format!("… ({} bytes)", pem.len()),
    };
    Error::configuration(setting, shown, accepted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::transport::{Compression, Protocol};
    use std::time::Duration;

    fn endpoint(url: &'static str, tls: Tls) -> Endpoint {
        Endpoint {
            protocol: Protocol::HttpProtobuf,
            url: ::http::Uri::from_static(url),
            headers: Vec::new(),
            timeout: Duration::from_secs(1),
            compression: Compression::None,
            tls,
        }
    }

    fn pair() -> (Vec<u8>, Vec<u8>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        (made.cert.pem().into_bytes(), key.into_bytes())
    }

    #[test]
    fn what_is_no_pem_is_refused_by_the_name_of_its_setting_and_never_shown() {
        let (certificate, key) = pair();
        let (_, another) = pair();
        let secret = b"AKIA-a-key-in-the-wrong-place".to_vec();
        let cases = [
            (Some(secret.clone()), None, CERTIFICATE),
            (Some(key.clone()), None, CERTIFICATE),
            (Some(Vec::new()), None, CERTIFICATE),
            (
                None,
                Some((secret.clone(), key.clone())),
                CLIENT_CERTIFICATE,
            ),
            (None, Some((certificate.clone(), secret)), CLIENT_KEY),
            (None, Some((certificate.clone(), another)), CLIENT_KEY),
        ];
        for (certificate, client, setting) in cases {
            let tls = Tls {
                certificate,
                client,
            };
            let refused = Trust::of(&endpoint("https://localhost/", tls.clone())).err();
            let message = refused.expect(setting).to_string();
            assert!(message.starts_with(&format!("{setting} is ")), "{message}");
            assert!(!message.contains("AKIA"), "{message}");
            let inside = String::from_utf8_lossy(&key);
            assert!(
                !message.contains(inside.lines().nth(1).unwrap()),
                "{message}"
            );
            assert!(
                Trust::of(&endpoint("http://localhost/", tls)).is_ok(),
                "without TLS it does not matter"
            );
        }
    }
}
