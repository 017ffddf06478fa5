//! TLS towards v2: who is trusted, under which name the server is asked for, and who asks.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::outcome::{Failure, FailureKind, Owner};
use crate::replay::session::target::Target;

/// Who is trusted.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Nobody is checked.
    pub insecure: bool,
    /// Certificates in PEM that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// Under which name servers are asked for.
    pub sni: Sni,
    /// Who the replayer is; none for nobody.
    pub identity: Option<Identity>,
}

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of `--ca`.
    #[error("cannot use the certificates in {0}")]
    Ca(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file of `--cert` or `--key`.
    #[error("cannot use {0} to say who the client is")]
    Own(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The system has none.
    #[error(
        "the system has no certificates to check the target with: name some with --ca, or do not \
         check with --insecure"
    )]
    NoSystem,
    /// The library.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

impl Trust {
    /// Checks nobody, and is nobody.
    pub fn nobody() -> Self {
        Self { insecure: true, ..Self::default() }
    }

    /// A configuration that offers `protocols` by ALPN.
    pub fn config(&self, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, TrustError> {
        self.config_as(protocols, &Arc::default())
    }

    /// The same; `nobody` learns whether a server asks who the client is where that is not told.
    pub(super) fn config_as(
        &self,
        protocols: &[&[u8]],
        nobody: &Arc<Nobody>,
    ) -> Result<Arc<ClientConfig>, TrustError> {
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
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            None => builder.with_client_cert_resolver(Arc::clone(nobody) as Arc<_>),
            Some(identity) => {
                let (chain, key) = identity.read()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| TrustError::Own(identity.cert.clone(), error.into()))?
            }
        };
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

/// Under which name a server is asked for (SNI), and which its certificate must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sni {
    /// The target's own. Requests keep the captured host in HTTP.
    #[default]
    Target,
    /// The host of the request where that is a name, else the target's.
    Captured,
    /// This one.
    Name(String),
}

impl FromStr for Sni {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "target" => Ok(Self::Target),
            "captured" => Ok(Self::Captured),
            name => match ServerName::try_from(name) {
                Ok(ServerName::DnsName(_)) => Ok(Self::Name(name.to_owned())),
                _ => Err(format!("{name:?} is no server's name: target, captured, or a name")),
            },
        }
    }
}

impl Sni {
    /// The name for a request that is for `host`; none where there is no name to ask for.
    pub(in crate::replay) fn name(
        &self,
        host: &str,
        target: &Target,
    ) -> Option<ServerName<'static>> {
        let name = |text: &str| ServerName::try_from(text.to_owned()).ok();
        match self {
            Self::Name(own) => name(own),
            Self::Captured if matches!(name(host), Some(ServerName::DnsName(_))) => name(host),
            Self::Captured | Self::Target => name(target.host.trim_end_matches('.')),
        }
    }
}

/// Who the replayer is to servers that ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its certificate with those that lead to a root, in PEM.
    pub cert: PathBuf,
    /// The certificate's private key, in PEM.
    pub key: PathBuf,
}

impl Identity {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TrustError> {
        let wrong = |path: &Path, why: pem::Error| TrustError::Own(path.to_owned(), why.into());
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(&self.cert, error))?;
        let key =
            PrivateKeyDer::from_pem_file(&self.key).map_err(|error| wrong(&self.key, error))?;
        Ok((chain, key))
    }
}

/// Answers no server that asks who the client is, and remembers that one did.
#[derive(Debug, Default)]
pub(super) struct Nobody {
    /// A server asked.
    pub(super) asked: AtomicBool,
}

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Why there is no session, by the error of a socket.
pub(in crate::replay) fn failure(error: &io::Error) -> Failure {
    match rustls_error(error) {
        Some(inner) => told(inner),
        None => Failure::new(FailureKind::Tls, error.to_string()),
    }
}

/// Why a server ended a session that was there: it refuses the client.
pub(in crate::replay) fn refusal(error: &io::Error) -> Option<Failure> {
    let alert = rustls_error(error)?;
    matches!(alert, rustls::Error::AlertReceived(_)).then(|| told(alert))
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// A failure with the flag that mends it. What the replayer was told of trust and names is not v2's
/// doing.
pub(in crate::replay) fn told(error: &rustls::Error) -> Failure {
    use rustls::AlertDescription as Alert;
    use rustls::CertificateError as Bad;
    let hint = match error {
        rustls::Error::InvalidCertificate(
            Bad::NotValidForName | Bad::NotValidForNameContext { .. },
        ) => Some("ask under another name with --sni NAME (or --sni captured), or --insecure"),
        rustls::Error::InvalidCertificate(_) => {
            Some("name who signed it with --ca FILE, or check nobody with --insecure")
        }
        rustls::Error::AlertReceived(Alert::UnrecognisedName) => {
            Some("ask under another name with --sni NAME")
        }
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => Some(CLIENT),
        _ => None,
    };
    match hint {
        Some(hint) => {
            Failure::new(FailureKind::Tls, format!("{error}: {hint}")).of(Owner::Settings)
        }
        None => Failure::new(FailureKind::Tls, error.to_string()),
    }
}

/// What mends it where a server wants to know who the client is.
pub(super) const CLIENT: &str = "say who the client is with --cert FILE and --key FILE";

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
    fn a_server_is_asked_for_by_the_target_unless_it_is_told_otherwise() {
        let target = Target::resolve("https://127.0.0.1:8443").unwrap();
        let shown = |sni: &str, host: &str| {
            let sni: Sni = sni.parse().unwrap();
            sni.name(host, &target).unwrap().to_str().into_owned()
        };
        assert_eq!(shown("captured", "shop.local"), "shop.local");
        for host in ["", "10.0.0.1", "not a name", "[::1]"] {
            assert_eq!(shown("captured", host), "127.0.0.1", "{host}");
        }
        assert_eq!(shown("target", "shop.local"), "127.0.0.1");
        assert_eq!(shown("other.local", "shop.local"), "other.local");
        assert!("not a name".parse::<Sni>().is_err() && "10.0.0.1".parse::<Sni>().is_err());
    }

    #[test]
    fn what_settings_mend_names_its_flag_and_is_not_of_v2() {
        use rustls::{AlertDescription, CertificateError, Error};
        for (error, flag) in [
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "--ca"),
            (Error::InvalidCertificate(CertificateError::Expired), "--insecure"),
            (Error::InvalidCertificate(CertificateError::NotValidForName), "--sni"),
            (Error::AlertReceived(AlertDescription::CertificateRequired), "--cert"),
            (Error::AlertReceived(AlertDescription::UnknownCA), "--cert"),
            (Error::AlertReceived(AlertDescription::UnrecognisedName), "--sni"),
        ] {
            let told = told(&error);
            assert!(told.detail.contains(flag), "{told:?}");
            assert_eq!(told.owner, Some(Owner::Settings));
            let io = io::Error::new(io::ErrorKind::InvalidData, error.clone());
            assert_eq!(failure(&io), told);
            let is_alert = matches!(error, Error::AlertReceived(_));
            assert_eq!(refusal(&io).is_some(), is_alert, "{error:?}");
        }
        let cut = failure(&io::ErrorKind::UnexpectedEof.into());
        assert_eq!((cut.kind, cut.owner), (FailureKind::Tls, None));
    }

    #[test]
    fn certificates_that_cannot_be_used_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        for ca in [path, folder.path().join("missing.pem")] {
            let trust = Trust { ca: Some(ca.clone()), ..Trust::default() };
            assert!(matches!(trust.config(&[b"http/1.1"]), Err(TrustError::Ca(..))));
            let identity = Some(Identity { cert: ca.clone(), key: ca });
            let trust = Trust { identity, ..Trust::nobody() };
            assert!(matches!(trust.config(&[b"http/1.1"]), Err(TrustError::Own(..))));
        }
        assert!(Trust::nobody().config(&[]).is_ok());
    }
}
