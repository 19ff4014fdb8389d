//! The payment provider over TLS: its certificate is checked, and who cannot show one is sent nothing.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::tempdir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use waypost_testkit::{Shop, until};

use crate::program::{ended, waypost};

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;

/// Ends TLS in front of the simulated provider.
struct Front {
    url: String,
    provider: Arc<OnceLock<SocketAddr>>,
    /// Connections whose handshake was finished, and those that the caller broke off.
    taken: Arc<AtomicUsize>,
    broken: Arc<AtomicUsize>,
    /// Ends with it.
    serving: JoinSet<()>,
}

impl Front {
    /// With a certificate for this host by an authority whose own is written into `ca.pem` of the folder.
    async fn start(host: &str, folder: &Path) -> Front {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "the authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &authority);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.unwrap().der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut front = Front {
            url: format!("https://localhost:{}", listener.local_addr().unwrap().port()),
            provider: Arc::default(),
            taken: Arc::default(),
            broken: Arc::default(),
            serving: JoinSet::new(),
        };
        let (provider, taken, broken) =
            (Arc::clone(&front.provider), Arc::clone(&front.taken), Arc::clone(&front.broken));
        front.serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, provider) = (acceptor.clone(), Arc::clone(&provider));
                let (taken, broken) = (Arc::clone(&taken), Arc::clone(&broken));
                connections.spawn(async move {
                    let Ok(mut secured) = acceptor.accept(tcp).await else {
                        broken.fetch_add(1, Ordering::SeqCst);
                        return;
                    };
                    taken.fetch_add(1, Ordering::SeqCst);
                    let mut plain = TcpStream::connect(provider.get().unwrap()).await.unwrap();
                    let _ = copy_bidirectional(&mut secured, &mut plain).await;
                });
            }
        });
        front
    }

    /// A shop whose payments go through it, that trusts this authority.
    async fn shop(&self, authority: &Path) -> Shop {
        let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
            .set("payment.provider.url", &self.url)
            .set("payment.provider.ca_file", authority.display())
            .set("gateway.budget", "1s")
            .start()
            .await
            .unwrap();
        self.provider.set(shop.address("provider")).unwrap();
        shop
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    fn broken(&self) -> usize {
        self.broken.load(Ordering::SeqCst)
    }
}

async fn place(shop: &Shop) -> u16 {
    shop.client("gateway").post("/api/orders", &[], ORDER).await.unwrap().status.as_u16()
}

#[tokio::test]
async fn an_order_is_paid_over_tls() {
    let folder = tempdir().unwrap();
    let front = Front::start("localhost", folder.path()).await;
    let shop = front.shop(&folder.path().join("ca.pem")).await;
    assert_eq!(place(&shop).await, 201);
    assert!(front.taken() > 0);
    assert_eq!(front.broken(), 0);
    assert!(shop.stop().await.unwrap().status.success());
}

#[tokio::test]
async fn a_provider_whose_certificate_nobody_vouches_for_is_sent_nothing() {
    let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
    let front = Front::start("localhost", folder.path()).await;
    let _unused = Front::start("localhost", other.path()).await;
    let shop = front.shop(&other.path().join("ca.pem")).await;
    assert_ne!(place(&shop).await, 201);
    until("the handshake is broken off", async || front.broken() > 0).await;
    assert_eq!(front.taken(), 0);
    assert!(shop.stop().await.unwrap().status.success());
}

#[tokio::test]
async fn a_provider_with_the_certificate_of_another_host_is_sent_nothing() {
    let folder = tempdir().unwrap();
    let front = Front::start("elsewhere.example", folder.path()).await;
    let shop = front.shop(&folder.path().join("ca.pem")).await;
    assert_ne!(place(&shop).await, 201);
    until("the handshake is broken off", async || front.broken() > 0).await;
    assert_eq!(front.taken(), 0);
    assert!(shop.stop().await.unwrap().status.success());
}

#[test]
fn an_authority_that_cannot_be_read_ends_the_start() {
    let folder = tempdir().unwrap();
    let with = |command: &[&str], url: &str| {
        let mut program = waypost(folder.path());
        program
            .args(command)
            .env("WAYPOST_PAYMENT__PROVIDER__URL", url)
            .env("WAYPOST_PAYMENT__PROVIDER__CA_FILE", "/no/such/file");
        ended(&mut program)
    };
    let payment = ["run", "payment", "--payment", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let missing = with(&payment, "https://localhost:1");
    assert_eq!(missing.code, 64, "{missing:?}");
    let expected = "payment.provider.ca_file: /no/such/file cannot be used";
    assert!(missing.err.contains(expected), "{}", missing.err);
    let plain = with(&["config", "check"], "http://localhost:1");
    assert_eq!(plain.code, 64, "{plain:?}");
    assert!(plain.err.contains("payment.provider.ca_file: is for an https:// address"), "{}", plain.err);
}
