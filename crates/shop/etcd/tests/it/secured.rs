//! Over TLS, with certificates on both sides.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use waypost_etcd::{Error, Etcd, Settings};
use waypost_resilience::discovery::Registry as _;
use waypost_test_servers::etcd::{Certificates, Server};

use crate::{become_these, register};

/// An authority and what it has signed, in a folder.
struct Signed(tempfile::TempDir);

impl Signed {
    /// By an authority of this name.
    fn by(name: &str) -> Signed {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        for (name, host) in [("here", "127.0.0.1"), ("elsewhere", "etcd.internal"), ("client", "waypost")] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            fs::write(folder.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(folder.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Signed(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn server(&self, name: &str) -> Server {
        Server::start_secured(Certificates {
            authority: self.file("ca.pem"),
            certificate: self.file(&format!("{name}.pem")),
            key: self.file(&format!("{name}.key")),
        })
    }

    fn settings(&self, server: &Server) -> Settings {
        Settings {
            endpoints: vec![server.url()],
            lease: "2s".parse().unwrap(),
            ca_file: Some(self.file("ca.pem")),
            client_certificate_file: Some(self.file("client.pem")),
            client_key_file: Some(self.file("client.key")),
            ..Settings::default()
        }
    }
}

/// Why one cannot be connected to, with all causes.
async fn refused(settings: Settings) -> String {
    let error = Etcd::open(settings).unwrap().ping().await.unwrap_err();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[tokio::test]
async fn replicas_are_found_over_tls() {
    let signed = Signed::by("the authority");
    let server = signed.server("here");
    let etcd = Etcd::open(signed.settings(&server)).unwrap();
    etcd.ping().await.unwrap();
    let mut orders = etcd.watch("order");
    let (leave, one) = register(&etcd, "10.0.0.1:9090");
    become_these(&mut orders, &["10.0.0.1:9090"]).await;
    leave.send(()).unwrap();
    one.await.unwrap();
    become_these(&mut orders, &[]).await;
}

#[tokio::test]
async fn an_etcd_that_is_not_who_it_should_be_is_refused_with_the_reason() {
    let (signed, strangers) = (Signed::by("the authority"), Signed::by("strangers"));
    let server = signed.server("here");
    let known = signed.settings(&server);
    let unknown = refused(Settings { ca_file: Some(strangers.file("ca.pem")), ..known.clone() }).await;
    assert!(unknown.contains(&server.url()) && unknown.contains("UnknownIssuer"), "{unknown}");
    let of_system = refused(Settings { ca_file: None, ..known.clone() }).await;
    assert!(of_system.contains("UnknownIssuer"), "{of_system}");
    let elsewhere = signed.server("elsewhere");
    let misnamed = refused(signed.settings(&elsewhere)).await;
    assert!(misnamed.contains("certificate not valid for name \"127.0.0.1\""), "{misnamed}");
}

#[tokio::test]
async fn etcd_lets_nobody_in_whom_its_authority_does_not_know() {
    let (signed, strangers) = (Signed::by("the authority"), Signed::by("strangers"));
    let server = signed.server("here");
    let known = signed.settings(&server);
    let nobody = Settings { client_certificate_file: None, client_key_file: None, ..known.clone() };
    refused(nobody).await;
    let stranger = Settings {
        client_certificate_file: Some(strangers.file("client.pem")),
        client_key_file: Some(strangers.file("client.key")),
        ..known
    };
    refused(stranger).await;
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_its_setting() {
    let signed = Signed::by("the authority");
    let settings = Settings { endpoints: vec!["https://127.0.0.1:1".to_owned()], ..Settings::default() };
    let told = |settings: Settings| match Etcd::open(settings).unwrap_err() {
        Error::File { setting, reason } => format!("{setting}: {reason}"),
        other => panic!("{other}"),
    };
    let missing = told(Settings { ca_file: Some("/no/such/file".into()), ..settings.clone() });
    assert!(missing.starts_with("ca_file: /no/such/file cannot be used: "), "{missing}");
    let empty = told(Settings { ca_file: Some(signed.file("client.key")), ..settings.clone() });
    assert!(empty.ends_with("client.key cannot be used: holds no certificate"), "{empty}");
    let pair = |key: &Path| Settings {
        client_certificate_file: Some(signed.file("client.pem")),
        client_key_file: Some(key.to_owned()),
        ..settings.clone()
    };
    let other = told(pair(&signed.file("here.key")));
    assert!(other.starts_with("client_key_file: "), "{other}");
    Etcd::open(pair(&signed.file("client.key"))).unwrap();
}
