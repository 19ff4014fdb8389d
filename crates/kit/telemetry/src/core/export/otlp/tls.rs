//! How connections to a receiver are secured: with the provider of cryptography that the program hands over, and nothing
//! installed for the process.

#[cfg(feature = "tls")]
pub(crate) use secured::{Files, Tls};

/// Without the feature there is no TLS, and addresses that want it are refused with the settings.
#[cfg(not(feature = "tls"))]
#[derive(Clone, Debug)]
pub(crate) enum Tls {}

#[cfg(feature = "tls")]
mod secured {
    use std::fmt;
    use std::path::Path;
    use std::sync::Arc;

    use hyper_util::rt::TokioIo;
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    type BoxError = Box<dyn std::error::Error + Send + Sync>;

    /// How connections to one receiver are secured.
    #[derive(Clone)]
    pub(crate) struct Tls(TlsConnector);

    /// The files that the settings name.
    #[derive(Debug, Default)]
    pub(crate) struct Files<'a> {
        pub(crate) authorities: Option<&'a Path>,
        pub(crate) certificate: Option<&'a Path>,
        pub(crate) key: Option<&'a Path>,
    }

    impl Tls {
        /// Trusts the given authorities, else those of the system.
        pub(crate) fn new(
            provider: Arc<CryptoProvider>,
            files: &Files<'_>,
            is_http2: bool,
        ) -> Result<Self, BoxError> {
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots(files.authorities)?);
            let mut config = match (files.certificate, files.key) {
                (Some(certificate), Some(key)) => config
                    .with_client_auth_cert(certificates(certificate)?, read_key(key)?)
                    .map_err(|error| format!("{}: {error}", certificate.display()))?,
                (None, None) => config.with_no_client_auth(),
                _ => return Err("a client certificate needs its key, and a key its certificate".into()),
            };
            config.alpn_protocols = if is_http2 { vec![b"h2".to_vec()] } else { vec![b"http/1.1".to_vec()] };
            Ok(Self(TlsConnector::from(Arc::new(config))))
        }

        pub(crate) async fn connect(
            &self,
            host: &str,
            tcp: TcpStream,
        ) -> Result<TokioIo<TlsStream<TcpStream>>, BoxError> {
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host)?;
            Ok(TokioIo::new(self.0.connect(name, tcp).await?))
        }
    }

    impl fmt::Debug for Tls {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Tls")
        }
    }

    fn roots(authorities: Option<&Path>) -> Result<RootCertStore, BoxError> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = authorities {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
            }
            return Ok(roots);
        }
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        if let (true, Some(error)) = (roots.is_empty(), native.errors.first()) {
            return Err(format!("the certificates of the system cannot be read: {error}").into());
        }
        Ok(roots)
    }

    fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BoxError> {
        let cannot = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let all = CertificateDer::pem_file_iter(path).map_err(|error| cannot(&error))?;
        let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| cannot(&error))?;
        if all.is_empty() {
            return Err(cannot(&"holds no certificate in PEM form").into());
        }
        Ok(all)
    }

    fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, BoxError> {
        PrivateKeyDer::from_pem_file(path).map_err(|error| format!("{}: {error}", path.display()).into())
    }
}
