//! Connections to receivers, with TLS where the address wants it.
//!
//! TLS is done here and not by the HTTP client's or tonic's features, because features reach into the whole build of
//! whoever uses the kit: the provider of cryptography is a value that the program hands over, and nothing is
//! installed for the process.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[cfg(feature = "tls")]
pub(crate) use tls::Tls;

/// Without the feature there is no TLS, and addresses that want it are refused with the settings.
#[cfg(not(feature = "tls"))]
#[derive(Clone, Debug)]
pub(crate) enum Tls {}

/// Opens connections to one receiver.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: Option<Tls>,
}

impl Connector {
    pub(crate) fn new(tls: Option<Tls>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, tls }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(task).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        #[cfg_attr(
            not(feature = "tls"),
            expect(unused_variables, reason = "the host is named in the handshake")
        )]
        let host = uri.host().unwrap_or_default().to_owned();
        let (connecting, tls) = (self.tcp.call(uri), self.tls.clone());
        Box::pin(async move {
            let tcp = connecting.await?;
            match tls {
                None => Ok(Stream::Plain(tcp)),
                #[cfg(feature = "tls")]
                Some(tls) => Ok(Stream::Tls(Box::new(tls.connect(&host, tcp.into_inner()).await?))),
                #[cfg(not(feature = "tls"))]
                Some(never) => match never {},
            }
        })
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    #[cfg(feature = "tls")]
    Tls(Box<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>>),
}

/// Does the same for either kind of stream; both can be moved.
macro_rules! either {
    ($stream:expr, $io:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Plain(stream) => {
                let $io = Pin::new(stream);
                $call
            }
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => {
                let $io = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_read(task, buffer))
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write(task, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_flush(task))
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_shutdown(task))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write_vectored(task, bytes))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

#[cfg(feature = "tls")]
mod tls {
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

    use super::BoxError;

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

        pub(super) async fn connect(
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

#[cfg(feature = "tls")]
pub(crate) use tls::Files;
