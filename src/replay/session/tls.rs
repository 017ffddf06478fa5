//! TLS towards v2: who is trusted, and under which name the server is asked.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::replay::session::target::Target;

/// Who is trusted.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Nobody is checked.
    pub insecure: bool,
    /// Certificates in PEM that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
}

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of `--ca`.
    #[error("cannot use the certificates in {0}")]
    Ca(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The system has none.
    #[error(
        "the system has no certificates to check the target with: name some with --ca, or do not check with --insecure"
    )]
    NoSystem,
    /// The library.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

impl Trust {
    /// A configuration that offers `protocols` by ALPN.
    pub fn config(&self, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let trusted = match self.insecure {
            true => None,
            false => {
                let (roots, own) = self.roots()?;
                let chains = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                )
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
                Some(Trusted { chains, own })
            }
        };
        let verifier = Arc::new(Verifier { provider, trusted });
        let mut config =
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Who signs what is trusted, and the certificates that the user named.
    fn roots(&self) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TrustError> {
        let mut roots = RootCertStore::empty();
        let mut own = Vec::new();
        if let Some(path) = &self.ca {
            let wrong = |error: Box<dyn std::error::Error + Send + Sync>| {
                TrustError::Ca(path.clone(), error)
            };
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.into()))?
            {
                let certificate = certificate.map_err(|error| wrong(error.into()))?;
                roots.add(certificate.clone()).map_err(|error| wrong(error.into()))?;
                own.push(certificate);
            }
            if roots.is_empty() {
                return Err(wrong("it holds no certificate in PEM form".into()));
            }
            return Ok((roots, own));
        }
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() { Err(TrustError::NoSystem) } else { Ok((roots, own)) }
    }
}

/// The name to ask for (SNI) and to check: the request's host where it is a name, else the
/// target's.
pub(in crate::replay) fn server_name(host: &str, target: &Target) -> Option<ServerName<'static>> {
    let name = |text: &str| ServerName::try_from(text.to_owned()).ok();
    match name(host) {
        Some(found @ ServerName::DnsName(_)) => Some(found),
        _ => name(&target.host),
    }
}

/// Checks the server: its certificate where somebody is trusted, and always that it holds its key.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// None where every certificate is accepted.
    trusted: Option<Trusted>,
}

#[derive(Debug)]
struct Trusted {
    chains: Arc<WebPkiServerVerifier>,
    /// Certificates that the user named. A self-signed one among them is accepted also where it has
    /// the mark of an authority, which a server may not have: tools make it so.
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(Trusted { chains, own }) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        let is_authority = |error: &rustls::Error| error.to_string().contains("CaUsedAsEndEntity");
        match chains.verify_server_cert(certificate, chain, name, ocsp, now) {
            Err(error) if is_authority(&error) && own.iter().any(|own| own == certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_name_where_it_is_one() {
        let target = Target::resolve("https://127.0.0.1:8443").unwrap();
        let shown = |host: &str| server_name(host, &target).unwrap().to_str().into_owned();
        assert_eq!(shown("shop.local"), "shop.local");
        for host in ["", "10.0.0.1", "not a name", "[::1]"] {
            assert_eq!(shown(host), "127.0.0.1", "{host}");
        }
    }

    #[test]
    fn certificates_that_cannot_be_used_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        for ca in [path, folder.path().join("missing.pem")] {
            let trust = Trust { ca: Some(ca), insecure: false };
            assert!(matches!(trust.config(&[b"http/1.1"]), Err(TrustError::Ca(..))));
        }
        assert!(Trust { insecure: true, ca: None }.config(&[]).is_ok());
    }
}
