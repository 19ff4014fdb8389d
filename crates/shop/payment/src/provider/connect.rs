//! Connections to the provider: plain, or TLS with a certificate that names its host, by an authority that is trusted.
//!
//! The certificates of authorities are read once, when the service starts.

use crate::{Error, config::ProviderConfig};
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer, pki_types::pem::PemObject as _,
};
use std::{path::Path, sync::Arc};

/// The address of the provider without a slash at its end, if it is one.
pub(crate) fn address(url: &str) -> Option<&str> {
    let uri: Uri = url.parse().ok()?;
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.authority().is_some_and(|authority| !authority.host().is_empty());
    let is_alone = uri.path() == "/" && uri.query().is_none();
    (is_known && has_host && is_alone).then(|| url.trim_end_matches('/'))
}

/// Whether connections to this address are secured.
pub(crate) fn is_secured(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https"))
}

/// What makes the connections. Blocks while it reads certificates, which it does for `https://` alone.
pub(super) fn connector(config: &ProviderConfig) -> Result<HttpsConnector<HttpConnector>, Error> {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.connect_timeout.get()));
    tcp.enforce_http(false);
    let roots = if is_secured(&config.url) { authorities(config)? } else { RootCertStore::empty() };
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::ProviderTls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Ok(builder.wrap_connector(tcp))
}

fn authorities(config: &ProviderConfig) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    match &config.ca_file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, &error))?;
            }
        }
        // Those that cannot be read are as good as not trusted.
        None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    }
    if roots.is_empty() {
        let reason = "this system trusts no authority; name the provider's in payment.provider.ca_file";
        return Err(Error::ProviderTls(reason.to_owned()));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unusable(file, &error))?;
    if found.is_empty() { Err(unusable(file, &"holds no certificate")) } else { Ok(found) }
}

fn unusable(file: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::ProviderTls(format!("payment.provider.ca_file: {} cannot be used: {reason}", file.display()))
}
