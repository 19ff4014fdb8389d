//! Certificates that no role would be given, and ends that show them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Signs certificates: an authority of `waypost certificates`, or one that nobody knows.
pub struct Authority(Issuer<'static, KeyPair>);

pub type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    /// The one of a folder.
    pub fn of(folder: &Path) -> Authority {
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let key = KeyPair::from_pem(&read("ca.key")).unwrap();
        Authority(Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap())
    }

    pub fn unknown() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "nobody");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(Issuer::new(params, KeyPair::generate().unwrap()))
    }

    /// Good for a day.
    pub fn issue(&self, name: &str) -> Pair {
        self.issue_until(name, SystemTime::now() + Duration::from_hours(24))
    }

    /// One that ended yesterday.
    pub fn issue_ended(&self, name: &str) -> Pair {
        self.issue_until(name, SystemTime::now() - Duration::from_hours(24))
    }

    fn issue_until(&self, name: &str, end: SystemTime) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = (SystemTime::now() - Duration::from_hours(48)).into();
        params.not_after = end.into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (
            vec![certificate.der().clone()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
    }
}

/// A server that shows this certificate and says nothing; lives as long as the runtime.
pub async fn server_with(pair: Pair) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(pair.0, pair.1)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(waypost_telemetry::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            drop(acceptor.accept(tcp).await);
        }
    }));
    address
}

/// What a client without our code hears at an address: the certificate that it is shown, or how it was refused.
pub async fn shown(
    address: SocketAddr,
    role: &'static str,
    ca: &Path,
    pair: Option<Pair>,
) -> std::io::Result<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match pair {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from(role).unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    // TLS 1.3 tells a client with the first read that it was refused; who was not is answered with SETTINGS.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    stream.read_u8().await?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
}
