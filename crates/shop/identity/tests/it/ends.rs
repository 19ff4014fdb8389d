use crate::authority::{Authority, Folder, Pair, names};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use waypost_identity::{Error, Identity, Peer, Refused};

fn identity(role: &'static str, authority: &Authority) -> (Identity, Folder) {
    let folder = Folder::new(&authority.issue(&[role]), authority.pem());
    (Identity::open(role, folder.files(), names()).unwrap(), folder)
}

async fn socket() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Both ends at once: what the server makes of the client, and what the client reads of a server that sends five bytes.
async fn meet(
    server: &Identity,
    client: impl AsyncFnOnce(TcpStream) -> std::io::Result<String>,
) -> (Result<Arc<Peer>, Refused>, std::io::Result<String>) {
    let (listener, address) = socket().await;
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let (mut stream, peer) = server.incoming().accept(tcp).await?;
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        Ok(peer)
    };
    let calling = async { client(TcpStream::connect(address).await.unwrap()).await };
    tokio::join!(serving, calling)
}

async fn call(client: &Identity, role: &'static str, tcp: TcpStream) -> std::io::Result<String> {
    let mut stream = client.outgoing(role).connect(tcp).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

fn config(authority: &Authority) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

/// A client that is none of ours: it reads until the server has nothing more to say.
async fn foreign(config: ClientConfig, tcp: TcpStream) -> std::io::Result<String> {
    let name = ServerName::try_from("inventory").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// A server that is none of ours, with any certificate; gives what a client of ours says of it.
async fn refused_by_client(client: &Identity, pair: &Pair) -> String {
    let (chain, key) = pair.der();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (listener, address) = socket().await;
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        // How it ends is the client's to say.
        drop(TlsAcceptor::from(Arc::new(config)).accept(tcp).await);
    };
    let calling = call_at(client, address);
    let ((), said) = tokio::join!(serving, calling);
    said.unwrap_err().to_string()
}

async fn call_at(client: &Identity, address: SocketAddr) -> std::io::Result<String> {
    call(client, "inventory", TcpStream::connect(address).await.unwrap()).await
}

#[tokio::test]
async fn both_ends_know_who_the_other_is() {
    let authority = Authority::new();
    let (order, _files) = identity("order", &authority);
    let pair = authority.issue(&["host-7.example", "spiffe://shop.example/inventory"]);
    let folder = Folder::new(&pair, authority.pem());
    let inventory = Identity::open("inventory", folder.files(), names()).unwrap();
    let (peer, read) = meet(&inventory, async |tcp| call(&order, "inventory", tcp).await).await;
    let peer = peer.unwrap();
    assert_eq!((peer.roles(), peer.names()), (&["order"][..], "`order`"));
    assert!(peer.is_one_of(&["gateway", "order"]) && !peer.is_one_of(&["gateway"]));
    assert_eq!(read.unwrap(), "hello");
}

#[tokio::test]
async fn a_server_is_the_role_that_was_called_or_nobody() {
    let authority = Authority::new();
    let (order, files) = identity("order", &authority);
    let said = refused_by_client(&order, &authority.issue(&["order"])).await;
    assert!(said.starts_with("TLS with inventory at 127.0.0.1:"), "{said}");
    assert!(said.ends_with(": its certificate names `order`, which is not the role inventory"), "{said}");

    let said = refused_by_client(&order, &Authority::new().issue(&["inventory"])).await;
    let ca = files.path().join("ca.pem");
    let expected = format!("its certificate is signed by none of the authorities in {}", ca.display());
    assert!(said.ends_with(&expected), "{said}");

    let yesterday = SystemTime::now() - Duration::from_hours(24);
    let said = refused_by_client(&order, &authority.issue_until(&["inventory"], yesterday)).await;
    assert!(said.contains(": its certificate ended at 2"), "{said}");
}

#[tokio::test]
async fn a_client_is_refused_with_the_reason_on_both_sides() {
    let authority = Authority::new();
    let (inventory, _files) = identity("inventory", &authority);
    let yesterday = SystemTime::now() - Duration::from_hours(24);
    let stranger = Authority::new().issue(&["order"]);
    let late = authority.issue_until(&["order"], yesterday);
    // An authority of the same name with another key is what the alert is about.
    for (pair, kind, alert) in
        [(&stranger, "unknown_authority", "DecryptError"), (&late, "expired", "CertificateExpired")]
    {
        let (chain, key) = pair.der();
        let config = config(&authority).with_client_auth_cert(chain, key).unwrap();
        let (peer, read) = meet(&inventory, async |tcp| foreign(config, tcp).await).await;
        assert_eq!(peer.unwrap_err().kind, kind);
        let said = read.unwrap_err().to_string();
        assert!(said.contains(alert), "{said}");
    }

    let config = config(&authority).with_no_client_auth();
    let (peer, read) = meet(&inventory, async |tcp| foreign(config, tcp).await).await;
    let refused = peer.unwrap_err();
    assert_eq!((refused.kind, refused.reason.as_str()), ("no_certificate", "it shows no certificate"));
    assert!(read.unwrap_err().to_string().contains("CertificateRequired"));
}

#[tokio::test]
async fn our_own_client_says_why_it_was_refused() {
    let (theirs, ours) = (Authority::new(), Authority::new());
    let (inventory, _files) = identity("inventory", &theirs);
    // It trusts both, as while one authority follows another; the server does not yet.
    let folder = Folder::new(&ours.issue(&["order"]), &format!("{}{}", theirs.pem(), ours.pem()));
    let order = Identity::open("order", folder.files(), names()).unwrap();
    let (peer, read) = meet(&inventory, async |tcp| call(&order, "inventory", tcp).await).await;
    assert_eq!(peer.unwrap_err().kind, "unknown_authority");
    let said = read.unwrap_err().to_string();
    assert!(said.contains("it does not know the authority of our certificate in "), "{said}");
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_so() {
    let authority = Authority::new();
    let (inventory, _files) = identity("inventory", &authority);
    for (request, expected) in [
        (&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], "HTTP/1.1 400"),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x01\x05\0\0\0\x01",
            "takes TLS with a certificate of a role",
        ),
    ] {
        let plain = async |mut tcp: TcpStream| {
            tcp.write_all(request).await?;
            let mut answer = Vec::new();
            tcp.read_to_end(&mut answer).await?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let (peer, answer) = meet(&inventory, plain).await;
        assert_eq!(peer.unwrap_err().kind, "not_tls");
        let answer = answer.unwrap();
        assert!(answer.contains(expected), "{answer:?}");
    }

    let (order, _files) = identity("order", &authority);
    let (listener, address) = socket().await;
    let serving = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        tcp
    };
    let (_tcp, said) = tokio::join!(serving, call_at(&order, address));
    let said = said.unwrap_err().to_string();
    assert!(said.ends_with(": it does not speak TLS"), "{said}");
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let authority = Authority::new();
    let (good, other) = (authority.issue(&["order"]), authority.issue(&["order"]));
    let error = |pair: &Pair, authorities: &str| {
        let folder = Folder::new(pair, authorities);
        Identity::open("order", folder.files(), names()).unwrap_err()
    };

    let mixed = Pair { certificate: good.certificate.clone(), key: other.key };
    assert!(matches!(error(&mixed, authority.pem()), Error::Pair { .. }));
    let said = error(&authority.issue(&["user"]), authority.pem()).to_string();
    assert!(said.ends_with("role.pem names `user`, and the role order is called `order`"), "{said}");
    let said = error(&good, Authority::new().pem()).to_string();
    assert!(said.contains("role.pem: it is signed by none of the authorities in "), "{said}");
    let yesterday = SystemTime::now() - Duration::from_hours(24);
    let said = error(&authority.issue_until(&["order"], yesterday), authority.pem()).to_string();
    assert!(said.contains("role.pem: it ended at 2"), "{said}");
    let said = error(&good, "nothing").to_string();
    assert!(said.ends_with("ca.pem: it holds no certificate in PEM form"), "{said}");
    let keyless = Pair { certificate: good.certificate.clone(), key: "nothing".to_owned() };
    let said = error(&keyless, authority.pem()).to_string();
    assert!(said.contains("role.key: it holds no private key in PEM form"), "{said}");

    let folder = Folder::new(&good, authority.pem());
    std::fs::remove_file(folder.path().join("role.key")).unwrap();
    let said = Identity::open("order", folder.files(), names()).unwrap_err().to_string();
    assert!(said.starts_with("cannot read ") && said.ends_with("role.key"), "{said}");
}
