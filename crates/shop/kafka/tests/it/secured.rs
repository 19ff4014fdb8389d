//! TLS and SASL: what is let in, and what is said to those that are not.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair,
};
use tempfile::TempDir;
use waypost_durable::broker::{Broker as _, TopicSpec};
use waypost_kafka::{Kafka, KafkaOptions, Mechanism, Problem, Sasl, Tls};
use waypost_test_servers::own_kafka::OwnKafka;

use crate::{at, eventually, suite};

/// An authority and what it signed, as PEM files.
struct Certificates {
    folder: TempDir,
    server_chain: String,
    server_key: String,
    ca: String,
}

impl Certificates {
    fn new() -> Self {
        let authority = |name: &str| {
            let mut params = named(name, Vec::new());
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
        };
        let (ca, other) = (authority("the authority"), authority("another authority"));
        let signed = |name: &str, purpose| {
            let key = KeyPair::generate().unwrap();
            let mut params = named(name, vec![name.to_owned()]);
            params.extended_key_usages = vec![purpose];
            (params.signed_by(&key, &ca).unwrap().pem(), key.serialize_pem())
        };
        let (server_chain, server_key) = signed("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth);
        let (client_chain, client_key) = signed("waypost", ExtendedKeyUsagePurpose::ClientAuth);
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("ca.pem", ca.pem()),
            ("other-ca.pem", other.pem()),
            ("client.pem", client_chain),
            ("client.key", client_key),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder, server_chain, server_key, ca: ca.pem() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Kafka's properties for its side of TLS.
    fn properties(&self) -> Vec<(&'static str, String)> {
        // A properties file continues a line behind a backslash, and a line break within a value is `\n`.
        let inline = |pem: &str| pem.trim().replace('\n', "\\n");
        vec![
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.certificate.chain", inline(&self.server_chain)),
            ("ssl.keystore.key", inline(&self.server_key)),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.certificates", inline(&self.ca)),
            ("listener.name.ssl.ssl.client.auth", "required".to_owned()),
        ]
    }
}

/// A certificate's content. Its subject has to differ from its issuer's.
fn named(name: &str, alternatives: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(alternatives).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn sasl(mechanism: Mechanism, password: &str) -> Sasl {
    Sasl { mechanism, user: "shop".to_owned(), password: password.to_owned() }
}

/// What is said to a program with these options.
async fn said_to(options: KafkaOptions) -> String {
    let broker = Kafka::new(options).unwrap();
    match broker.check().await {
        Err(Problem::Refused(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tls_and_sasl_let_in_whom_they_know_and_say_what_is_wrong() {
    let certificates = Certificates::new();
    let mut properties = certificates.properties();
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required user_shop=\"open\";";
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    properties.extend([
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned()),
        ("listener.name.sasl_plaintext.plain.sasl.jaas.config", plain.to_owned()),
        ("listener.name.sasl_ssl.plain.sasl.jaas.config", plain.to_owned()),
        ("listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config", scram.to_owned()),
        ("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config", scram.to_owned()),
        ("listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config", scram.to_owned()),
        ("listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config", scram.to_owned()),
    ]);
    let users = ["SCRAM-SHA-256=[name=shop,password=open]", "SCRAM-SHA-512=[name=shop,password=open]"];
    let own = OwnKafka::with_listeners(&["SSL", "SASL_PLAINTEXT", "SASL_SSL"], &properties, &users);
    let (tls, sasl_plain, sasl_tls) = (own.listener(1), own.listener(2), own.listener(3));
    let known = |file| Some(Tls { ca: Some(certificates.file(file)), ..Tls::default() });
    let with_own = Some(Tls {
        ca: Some(certificates.file("ca.pem")),
        certificate: Some(certificates.file("client.pem")),
        key: Some(certificates.file("client.key")),
    });

    let let_in = [
        ("TLS with a certificate", KafkaOptions { tls: with_own.clone(), ..at(&tls) }),
        ("PLAIN", KafkaOptions { sasl: Some(sasl(Mechanism::Plain, "open")), ..at(&sasl_plain) }),
        (
            "SCRAM-SHA-256",
            KafkaOptions { sasl: Some(sasl(Mechanism::ScramSha256, "open")), ..at(&sasl_plain) },
        ),
        (
            "TLS and SCRAM-SHA-512",
            KafkaOptions {
                tls: known("ca.pem"),
                sasl: Some(sasl(Mechanism::ScramSha512, "open")),
                ..at(&sasl_tls)
            },
        ),
    ];
    for (number, (way, options)) in let_in.into_iter().enumerate() {
        let broker = Kafka::new(options).unwrap();
        eventually(way, || async {
            let checked = broker.check().await;
            // It may be about to start, but it does not change its mind.
            assert!(!matches!(checked, Err(Problem::Refused(_))), "{way}: {checked:?}");
            checked.ok()
        })
        .await;
        broker.ensure_topics(vec![TopicSpec::new("t")]).await.unwrap();
        let acks = suite::publish(&broker, vec![suite::record("t", "key", number)]).await;
        assert_eq!(acks[0].offset, number as u64, "{way}");
    }

    let said = said_to(KafkaOptions { sasl: Some(sasl(Mechanism::Plain, "wrong")), ..at(&sasl_plain) }).await;
    assert!(said.contains("does not let this program in") && said.contains("password"), "{said}");
    let said =
        said_to(KafkaOptions { sasl: Some(sasl(Mechanism::ScramSha512, "wrong")), ..at(&sasl_plain) }).await;
    assert!(said.contains("does not let this program in") && said.contains("password"), "{said}");
    let said = said_to(KafkaOptions { tls: known("other-ca.pem"), ..at(&tls) }).await;
    assert!(said.contains("TLS with it fails") && said.contains("certificate"), "{said}");
    // TLS to a listener that speaks none: it hangs up, as one that is about to start does.
    let broker = Kafka::new(KafkaOptions { tls: known("ca.pem"), ..at(&own.address()) }).unwrap();
    let Err(Problem::Away(error)) = broker.check().await else { panic!("it is let in") };
    let said = error.to_string();
    assert!(said.contains("SSL connection closed by peer") && said.contains("wants TLS"), "{said}");
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_named() {
    let broker = Kafka::new(at("127.0.0.1:9")).unwrap();
    let Err(Problem::Away(error)) = broker.check().await else { panic!("something listens") };
    let said = error.to_string();
    assert!(said.contains("no broker answers at 127.0.0.1:9") && said.contains("refused"), "{said}");
}

#[tokio::test]
async fn a_certificate_that_is_not_there_is_named_at_once() {
    let tls = Some(Tls { ca: Some(PathBuf::from("/no/such/ca.pem")), ..Tls::default() });
    let error = Kafka::new(KafkaOptions { tls, ..at("127.0.0.1:9") }).unwrap_err();
    assert!(error.to_string().contains("/no/such/ca.pem"), "{error}");
    assert!(!error.is_retryable());
}
