//! Keys and certificates of receivers, which are read for each notification: a new one is found there.

use super::delivery::Failure;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_rustls::TlsConnector;

/// The largest file of a key or token that is read.
const MAX_SECRET: u64 = 64 * 1024;

/// The content of a file that holds a key, a token or a password, without white space around it.
pub(super) async fn secret(file: &Path) -> Result<String, Failure> {
    let unread = |reason: String| Failure::later(format!("{} cannot be read: {reason}", file.display()));
    let length = tokio::fs::metadata(file).await.map_err(|error| unread(error.to_string()))?.len();
    if length > MAX_SECRET {
        return Err(unread("it is too large".to_owned()));
    }
    let text = tokio::fs::read_to_string(file).await.map_err(|error| unread(error.to_string()))?;
    match text.trim() {
        "" => Err(unread("it is empty".to_owned())),
        text => Ok(text.to_owned()),
    }
}

/// Makes connections in TLS; `ca_file` holds the certificates of the authorities that are trusted instead of the system's.
pub(super) async fn connector(ca_file: Option<PathBuf>) -> Result<TlsConnector, Failure> {
    let made = tokio::task::spawn_blocking(move || client_config(ca_file.as_deref())).await;
    made.map_err(|_| Failure::later("no TLS"))?.map(|config| TlsConnector::from(Arc::new(config)))
}

fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(file) => {
            let unread = |reason: String| Failure::later(format!("{}: {reason}", file.display()));
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| unread(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unread(error.to_string()))?;
                roots.add(certificate).map_err(|error| unread(error.to_string()))?;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Failure::later(format!("no TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
