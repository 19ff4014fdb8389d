//! TLS to a real PostgreSQL, with certificates on both sides.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::{TempDir, tempdir};
use waypost_test_servers::own_postgres::{Certificates, OwnPostgres};
use waypost_testkit::Shop;

use crate::program::{Stopped, ended, waypost};

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;

/// The name that the database's user logs in with.
const USER: &str = "waypost";

/// An authority, a server whose certificate it has signed for 127.0.0.1, and the files of a client, `ca.pem`,
/// `client.pem` and `client.key`.
struct Secured {
    server: OwnPostgres,
    files: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Secured {
    fn start() -> Secured {
        let authority = authority("the authority");
        let files = tempdir().unwrap();
        let (certificate, key) = signed(&authority, "the server", "127.0.0.1");
        let server = OwnPostgres::secured(Certificates {
            authority: &authority.pem(),
            certificate: &certificate,
            key: &key,
        });
        server.execute(&format!("CREATE ROLE {USER} LOGIN"));
        server.execute(&format!("CREATE DATABASE shop OWNER {USER}"));
        fs::write(files.path().join("ca.pem"), authority.pem()).unwrap();
        let secured = Secured { server, files, authority };
        secured.put("client", USER);
        secured
    }

    /// Certificate and key of a client of this name.
    fn put(&self, file: &str, name: &str) {
        let (certificate, key) = signed(&self.authority, name, "client.internal");
        fs::write(self.files.path().join(format!("{file}.pem")), certificate).unwrap();
        fs::write(self.files.path().join(format!("{file}.key")), key).unwrap();
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// The settings with which the shop is let in.
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", self.server.port().to_string()),
            ("NAME", "shop".to_owned()),
            ("USER", USER.to_owned()),
            ("SSLMODE", "verify-full".to_owned()),
            ("CA_FILE", self.file("ca.pem")),
            ("CLIENT_CERTIFICATE", self.file("client.pem")),
            ("CLIENT_KEY", self.file("client.key")),
        ]
    }

    /// How a migration ends with these settings in place of those; an empty one is left out.
    fn migrate(&self, folder: &Path, changes: &[(&str, &str)]) -> Stopped {
        let mut command = waypost(folder);
        command.arg("migrate").env("WAYPOST_DATABASE__KIND", "postgres");
        for (name, value) in self.settings() {
            let changed = changes.iter().find(|(changed, _)| *changed == name);
            match changed.map_or(value.as_str(), |(_, value)| value) {
                "" => {}
                value => drop(command.env(format!("WAYPOST_DATABASE__{name}"), value)),
            }
        }
        ended(&mut command)
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate made out to a name, for a host, and its key.
fn signed(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, host: &str) -> (String, String) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_logs_in_over_tls_with_its_certificate() {
    let secured = Secured::start();
    let mut shop = Shop::of(env!("CARGO_BIN_EXE_waypost")).set("database.kind", "postgres");
    for (name, value) in secured.settings() {
        shop = shop.environment(&format!("WAYPOST_DATABASE__{name}"), &value);
    }
    let shop = shop.start().await.unwrap();
    let answer = shop.client("gateway").post("/api/orders", &[], ORDER).await.unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    // Nobody of the shop speaks plainly to it.
    secured.server.execute(
        "SELECT 1 / (count(*) = 0)::int FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE usename = 'waypost' AND NOT ssl",
    );
    secured.server.execute(
        "SELECT 1 / (count(*) > 0)::int FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE usename = 'waypost' AND client_dn = '/CN=waypost'",
    );
}

#[test]
fn a_server_or_a_client_that_is_not_who_it_says_is_refused_with_what_to_look_at() {
    let (secured, folder) = (Secured::start(), tempdir().unwrap());
    fs::write(secured.files.path().join("other-ca.pem"), authority("strangers").pem()).unwrap();
    secured.put("somebody", "somebody");
    let other_authority = secured.file("other-ca.pem");
    let [somebody, key_of_somebody] = ["somebody.pem", "somebody.key"].map(|name| secured.file(name));
    for (changes, words) in [
        // Signed by nobody whom this program trusts.
        (vec![("CA_FILE", other_authority.as_str())], ["database.ca_file", "UnknownIssuer"]),
        (vec![("CA_FILE", "")], ["database.ca_file", "UnknownIssuer"]),
        // Another host than the certificate is for.
        (vec![("HOST", "localhost")], ["database.host", "certificate not valid for name \"localhost\""]),
        // No certificate, and one of somebody else.
        (
            vec![("CLIENT_CERTIFICATE", ""), ("CLIENT_KEY", "")],
            ["database.client_certificate", "certificate"],
        ),
        (
            vec![("CLIENT_CERTIFICATE", somebody.as_str()), ("CLIENT_KEY", key_of_somebody.as_str())],
            ["database.client_certificate", "certificate authentication failed"],
        ),
        (vec![("SSLMODE", "disable")], ["pg_hba.conf", "no encryption"]),
    ] {
        let ended = secured.migrate(folder.path(), &changes);
        assert_eq!(ended.code, 69, "{changes:?}: {ended:?}");
        for words in words {
            assert!(ended.err.contains(words), "{changes:?}: {words:?} in {}", ended.err);
        }
    }
    // The name does not matter to verify-ca, and nothing to require.
    for mode in ["verify-ca", "require"] {
        let ended = secured.migrate(folder.path(), &[("HOST", "localhost"), ("SSLMODE", mode)]);
        assert_eq!(ended.code, 0, "{mode}: {ended:?}");
    }
    assert_eq!(secured.migrate(folder.path(), &[]).code, 0);
}
