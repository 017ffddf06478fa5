//! The local certificate authority: signs, on the fly, certificates for the providers' names, so
//! that v2 can call them by HTTPS. Its key stays in the folder that the user gave; nothing trusts
//! it that was not told to.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::mode;
use crate::time::Timestamp;

/// The authority's certificate, for clients to trust.
pub(super) const CERTIFICATE: &str = "ca.pem";
/// The authority's key.
pub(super) const KEY: &str = "ca.key";
/// Most names whose certificates are kept.
const NAMES: usize = 1_000;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of it.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A certificate or key.
    #[error("cannot make or read a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// Only one of the two files is there.
    #[error(
        "{0} has only one of {CERTIFICATE} and {KEY}: restore the other, or remove it to make a \
         new authority"
    )]
    Half(PathBuf),
}

/// An authority with the certificates that it made.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    made: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// The authority of a folder; made where there is none yet.
    pub(super) fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
        let file = |path: &Path, cause| AuthorityError::File { path: path.to_owned(), cause };
        let (pem, pair) = match (certificate.exists(), key.exists()) {
            (true, true) => {
                let pem = std::fs::read_to_string(&certificate)
                    .map_err(|cause| file(&certificate, cause))?;
                let text = std::fs::read_to_string(&key).map_err(|cause| file(&key, cause))?;
                (pem, KeyPair::from_pem(&text)?)
            }
            (false, false) => {
                let is_new = !folder.exists();
                std::fs::create_dir_all(folder).map_err(|cause| file(folder, cause))?;
                let (pem, pair) = make()?;
                private(&key, &pair.serialize_pem()).map_err(|cause| file(&key, cause))?;
                std::fs::write(&certificate, &pem).map_err(|cause| file(&certificate, cause))?;
                // Whoever runs v2 gives it the certificate; the key stays with its owner.
                mode::as_users(&certificate).map_err(|cause| file(&certificate, cause))?;
                if is_new {
                    mode::as_users(folder).map_err(|cause| file(folder, cause))?;
                }
                (pem, pair)
            }
            _ => return Err(AuthorityError::Half(folder.to_owned())),
        };
        Ok(Self { issuer: Issuer::from_ca_cert_pem(&pem, pair)?, made: Mutex::default() })
    }

    /// The server's side of TLS for a provider's name.
    pub(super) fn server(&self, name: &str) -> Result<Arc<ServerConfig>, AuthorityError> {
        if let Some(known) = self.made.lock().expect("no holder of this lock panics").get(name) {
            return Ok(Arc::clone(known));
        }
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, if name.len() <= 64 { name } else { "a provider" });
        valid_for(&mut params, 2);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&pair, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let mut made = self.made.lock().expect("no holder of this lock panics");
        if made.len() >= NAMES {
            made.clear();
        }
        made.insert(name.to_owned(), Arc::clone(&config));
        Ok(config)
    }
}

fn make() -> Result<(String, KeyPair), AuthorityError> {
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "shadowtap mock, not for production");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, 10);
    Ok((params.self_signed(&pair)?.pem(), pair))
}

/// Valid from the last year on, for some years: clocks of test machines differ.
fn valid_for(params: &mut CertificateParams, years: i32) {
    let year: i32 = Timestamp::now().to_string()[..4].parse().unwrap_or(2026);
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + years, 12, 28);
}

/// Writes a file that only its owner can read.
fn private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_kept_private_and_opened_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Authority::open(folder.path()).unwrap();
        let (a, b) = (first.server("x.example").unwrap(), again.server("x.example").unwrap());
        assert!(!Arc::ptr_eq(&a, &b));
        for name in ["payments.example", "127.0.0.1", "::1"] {
            let made = again.server(name).unwrap();
            assert!(Arc::ptr_eq(&made, &again.server(name).unwrap()), "{name}: made once");
        }
        std::fs::remove_file(folder.path().join(KEY)).unwrap();
        assert!(matches!(Authority::open(folder.path()), Err(AuthorityError::Half(_))));
        std::fs::write(folder.path().join(KEY), "no key").unwrap();
        assert!(matches!(Authority::open(folder.path()), Err(AuthorityError::Certificate(_))));
    }
}
