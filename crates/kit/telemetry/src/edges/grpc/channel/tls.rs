//! How a channel's connections are encrypted.

use std::fmt;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ChannelError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// TLS of channels to `https://host:port` and `dns:///host:port`; see [`ChannelFactory::tls`](super::ChannelFactory::tls).
///
/// The provider of cryptography is handed over, so that nothing is installed for the process and no second one comes into
/// the build. Trusted are the authorities of the system, unless others are named. The certificate of the server has to be
/// for the host of the target.
///
/// ```no_run
/// use std::sync::Arc;
/// use waypost_telemetry::grpc::{ChannelFactory, ChannelTls};
///
/// # let telemetry = waypost_telemetry::Telemetry::disabled();
/// let provider = Arc::new(rustls::crypto::ring::default_provider());
/// let tls = ChannelTls::new(provider)
///     .roots_pem(std::fs::read("ca.pem")?)?
///     .identity_pem(std::fs::read("order.pem")?, std::fs::read("order.key")?)?;
/// let channels = ChannelFactory::new(&telemetry).tls(&tls)?.target("stock", "dns:///stock:9092");
/// # drop(channels);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ChannelTls {
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    server_name: Option<String>,
}

impl ChannelTls {
    /// With this provider, for example `rustls::crypto::ring::default_provider()`.
    pub fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, roots: RootCertStore::empty(), identity: None, server_name: None }
    }

    /// Trusts these authorities, in PEM form, and no longer those of the system.
    ///
    /// # Errors
    /// When there is no certificate in it, or one that cannot be read.
    pub fn roots_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self, ChannelError> {
        for certificate in certificates(pem.as_ref())? {
            self.roots.add(certificate).map_err(cannot)?;
        }
        Ok(self)
    }

    /// Shows this certificate, with those that lead to its authority behind it, to servers that ask for one. Both in PEM
    /// form.
    ///
    /// # Errors
    /// When there is no certificate or no key in it.
    pub fn identity_pem(
        mut self,
        certificate: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, ChannelError> {
        let key = PrivateKeyDer::from_pem_slice(key.as_ref()).map_err(cannot)?;
        self.identity = Some((certificates(certificate.as_ref())?, key));
        Ok(self)
    }

    /// The name that the certificate of the server has to be for, in place of the target's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    pub(super) fn secured(&self) -> Result<Secured, ChannelError> {
        let roots = if self.roots.is_empty() { system_roots()? } else { self.roots.clone() };
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(cannot)?
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            Some((certificates, key)) => {
                config.with_client_auth_cert(certificates.clone(), key.clone_key()).map_err(cannot)?
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Secured { connector: TlsConnector::from(Arc::new(config)), name: self.server_name.clone() })
    }
}

impl fmt::Debug for ChannelTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_identity = self.identity.is_some();
        f.debug_struct("ChannelTls").field("has_identity", &has_identity).finish_non_exhaustive()
    }
}

/// The same, made ready.
#[derive(Clone)]
pub(super) struct Secured {
    connector: TlsConnector,
    name: Option<String>,
}

impl Secured {
    /// Encrypts a connection to a server that is called `host` unless it was said otherwise.
    pub(super) async fn connect(
        self,
        host: String,
        tcp: TcpStream,
    ) -> Result<TokioIo<TlsStream<TcpStream>>, BoxError> {
        let name = ServerName::try_from(self.name.unwrap_or(host))?;
        Ok(TokioIo::new(self.connector.connect(name, tcp).await?))
    }
}

fn cannot(error: impl Into<BoxError>) -> ChannelError {
    ChannelError::Tls(error.into())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ChannelError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(cannot)?;
    if all.is_empty() {
        return Err(cannot("there is no certificate in PEM form"));
    }
    Ok(all)
}

fn system_roots() -> Result<RootCertStore, ChannelError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        return Err(cannot("the system has no certificates of authorities"));
    }
    Ok(roots)
}
