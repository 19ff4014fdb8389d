//! TLS, a cluster, sentinels: real ones.

use std::fs;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use waypost_cache::Cache as _;
use waypost_redis::{Codec, Settings, Topology};
use waypost_resilience::rate_limit::{RateStore as _, Rule, Taken};
use waypost_telemetry::Telemetry;
use waypost_test_servers::free_port;
use waypost_test_servers::redis::Server;

use crate::{Redis, keep, settings, shown, until};

const CODEC: Codec<String> = Codec {
    encode: |value| Some(value.clone().into_bytes()),
    decode: |_, bytes| String::from_utf8(bytes.to_vec()).ok(),
};

fn rule() -> Rule {
    Rule { name: "default", limit: NonZeroU32::MIN, window: Duration::from_secs(1_000) }
}

/// Takes one request and keeps one copy.
async fn works(redis: &Redis) {
    assert_eq!(redis.rates(rule()).take("a").await, Ok(Taken::Room { remaining: 0 }));
    assert!(matches!(redis.rates(rule()).take("a").await, Ok(Taken::Full { .. })));
    let copies = redis.copies("names", Duration::from_mins(1), CODEC);
    for number in 0..20 {
        copies.put(&number.to_string(), Arc::new(number.to_string())).await;
        assert_eq!(copies.get(&number.to_string()).await.as_deref(), Some(&number.to_string()));
    }
}

#[tokio::test]
async fn over_tls_the_server_must_be_who_it_says_and_so_must_the_client() {
    let authority = {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        // Of another name than what it signs: OpenSSL takes a certificate that names itself for one without an authority.
        params.distinguished_name.push(DnType::CommonName, "the authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("ca.pem"), authority.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        fs::write(path(&format!("{name}.pem")), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
        fs::write(path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let text = |name: &str| path(name).to_string_lossy().into_owned();
    // The tests' helper speaks plainly, so the server does both.
    let tls = free_port();
    let _server = Server::start_with(&[
        "--tls-port",
        &tls.to_string(),
        "--tls-cert-file",
        &text("server.pem"),
        "--tls-key-file",
        &text("server.key"),
        "--tls-ca-cert-file",
        &text("ca.pem"),
        "--tls-auth-clients",
        "yes",
    ]);
    let known = Settings {
        ca_file: Some(path("ca.pem")),
        client_certificate_file: Some(path("client.pem")),
        client_key_file: Some(path("client.key")),
        ..settings(&format!("rediss://127.0.0.1:{tls}"), "waypost:")
    };
    let redis = Redis::open(&known, &Telemetry::disabled()).await.unwrap();
    assert_eq!(shown(&redis).await, "ok");
    works(&redis).await;

    let unknown = Settings { ca_file: None, ..known.clone() };
    let reason = shown(&Redis::open(&unknown, &Telemetry::disabled()).await.unwrap()).await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    let unnamed = Settings { client_certificate_file: None, client_key_file: None, ..known.clone() };
    let reason = shown(&Redis::open(&unnamed, &Telemetry::disabled()).await.unwrap()).await;
    assert_ne!(reason, "ok");

    let missing = Settings { ca_file: Some("/no/such/file".into()), ..known.clone() };
    let error = Redis::open(&missing, &Telemetry::disabled()).await.unwrap_err();
    assert!(error.to_string().starts_with("ca_file: /no/such/file cannot be read: "), "{error}");
}

#[tokio::test]
async fn a_cluster_is_found_by_one_of_its_nodes() {
    let nodes = [(); 2].map(|()| {
        Server::start_with(&[
            "--cluster-enabled",
            "yes",
            "--cluster-config-file",
            "FOLDER/nodes.conf",
            "--cluster-require-full-coverage",
            "yes",
        ])
    });
    for (node, range) in nodes.iter().zip([["0", "8191"], ["8192", "16383"]]) {
        assert_eq!(node.command(&["CLUSTER", "ADDSLOTSRANGE", range[0], range[1]]), "+OK");
    }
    let other = nodes[1].port().to_string();
    assert_eq!(nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &other]), "+OK");
    // Each has to know of the other's slots before it serves.
    until("the cluster stands", async || {
        nodes.iter().all(|node| {
            node.command(&["SET", "x", "y"]) == "+OK"
                || node.command(&["SET", "x", "y"]).starts_with("-MOVED")
        })
    })
    .await;

    let settings = Settings { topology: Topology::Cluster, ..settings(&nodes[0].url(), "waypost:") };
    let redis = Redis::open(&settings, &Telemetry::disabled()).await.unwrap();
    keep(&redis);
    until("it is connected", async || shown(&redis).await == "ok").await;
    works(&redis).await;
    let sizes = nodes.each_ref().map(|node| node.command(&["DBSIZE"]));
    assert!(sizes.iter().all(|size| size != ":0"), "keys are on both: {sizes:?}");
}

#[tokio::test]
async fn sentinels_tell_of_the_master_also_of_a_new_one() {
    let mut master = Server::start();
    let replica = Server::start_with(&["--replicaof", "127.0.0.1", &master.port().to_string()]);
    until("the replica follows", async || replica.command(&["ROLE"]) == "*5").await;
    until("the replica has the data", async || {
        master.command(&["SET", "x", "y"]);
        replica.command(&["EXISTS", "x"]) == ":1"
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sentinel.conf");
    let port = master.port();
    fs::write(
        &file,
        format!(
            "sentinel monitor shop 127.0.0.1 {port} 1\nsentinel down-after-milliseconds shop 500\n\
             sentinel failover-timeout shop 2000\n"
        ),
    )
    .unwrap();
    let sentinel = Server::sentinel(&file);
    let settings = Settings {
        topology: Topology::Sentinel,
        master: "shop".to_owned(),
        retry_pause: waypost_settings::Duration::from_millis(200),
        ..settings(&sentinel.url(), "waypost:")
    };
    let redis = Redis::open(&settings, &Telemetry::disabled()).await.unwrap();
    keep(&redis);
    assert_eq!(shown(&redis).await, "ok");
    works(&redis).await;
    let wrong = Settings { master: "no-such".to_owned(), ..settings.clone() };
    let reason = shown(&Redis::open(&wrong, &Telemetry::disabled()).await.unwrap()).await;
    assert!(reason.contains("the sentinels know no master `no-such`"), "{reason}");

    // The sentinel has to know of the replica before it can choose it.
    until("the sentinel knows the replica", async || {
        sentinel.command(&["SENTINEL", "REPLICAS", "shop"]) == "*1"
    })
    .await;
    master.kill();
    let rates = redis.rates(Rule { name: "after", ..rule() });
    until("the replica is the master", async || rates.take("a").await.is_ok()).await;
    assert_eq!(replica.command(&["EXISTS", "waypost:rate:after:a"]), ":1");
}
