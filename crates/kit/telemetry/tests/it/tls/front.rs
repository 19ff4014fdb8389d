//! TLS in front of a receiver: certificates made on the spot, and bytes passed on.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::provider;

/// Signs certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate.
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name, and its key.
    pub(super) fn issue(&self, name: &str) -> (String, String) {
        self.issue_for(vec![name.to_owned()])
    }

    fn issue_for(&self, names: Vec<String>) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        roots
    }
}

/// Whom a front lets in.
pub(super) enum Clients<'a> {
    Anybody,
    /// Who shows a certificate of this authority.
    Of(&'a Authority),
}

/// Takes TLS on a free port of this machine; lives as long as the test process.
pub(super) struct Front {
    pub(super) address: SocketAddr,
}

impl Front {
    pub(super) fn start(authority: &Authority, clients: &Clients<'_>, behind: SocketAddr) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(authority, clients)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, acceptor, behind));
        });
        Self { address }
    }
}

fn config(authority: &Authority, clients: &Clients<'_>) -> ServerConfig {
    let (certificate, key) = authority.issue_for(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = match clients {
        Clients::Anybody => config.with_no_client_auth(),
        Clients::Of(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build().unwrap();
            config.with_client_cert_verifier(verifier)
        }
    };
    let mut config = config.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        waypost_telemetry::spawn(async move {
            // A client that is refused or gone ends its connection, nothing else.
            let Ok(mut tls) = acceptor.accept(tcp).await else { return };
            let mut plain = TcpStream::connect(behind).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
        });
    }
}
