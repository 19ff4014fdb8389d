//! TLS to etcd: its certificate has to name the host that is called, and ours says who calls where etcd asks for that.

use std::io;
use std::path::Path;
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Error, Settings};

/// The port of etcd where an endpoint names none.
const PORT: u16 = 2379;

/// How connections to etcd are secured. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// By the files as they are at this moment; `None` where the endpoints ask for no TLS. Blocks while it reads.
    pub(crate) fn read(settings: &Settings) -> Result<Option<Tls>, Error> {
        if !settings.uses_tls() {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        if let Some(file) = &settings.ca_file {
            for certificate in certificates("ca_file", file)? {
                roots.add(certificate).map_err(|error| unusable("ca_file", file, &error))?;
            }
        } else {
            // Those that cannot be read are as good as not trusted.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match (&settings.client_certificate_file, &settings.client_key_file) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("client_certificate_file", certificate)?;
                let secret = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| unusable("client_key_file", key, &error))?;
                builder
                    .with_client_auth_cert(chain, secret)
                    .map_err(|error| unusable("client_key_file", key, &error))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Tls(TlsConnector::from(Arc::new(config)))))
    }

    /// A connection to the host of this address, which has to be that host.
    pub(crate) async fn connect(self, to: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let host = to.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let tcp = TcpStream::connect((host.as_str(), to.port_u16().unwrap_or(PORT))).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        Ok(TokioIo::new(self.0.connect(name, tcp).await?))
    }
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unusable(setting, file, &error))?;
    if found.is_empty() {
        return Err(unusable(setting, file, &"holds no certificate"));
    }
    Ok(found)
}

fn unusable(setting: &'static str, file: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::File { setting, reason: format!("{} cannot be used: {reason}", file.display()) }
}
