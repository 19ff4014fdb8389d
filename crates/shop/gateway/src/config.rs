//! What can be set, and what must not be set together.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, net::SocketAddr, path::PathBuf};
use waypost_resilience::grpc::check_target;
use waypost_service::{Network, WhenAway};
use waypost_settings::{ByteSize, Complaint, Duration, Secret, settings};

/// Whether a caller needs a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// A request without a token is taken for one of the user that it names.
    Demo,
    /// A request without a token is refused.
    #[default]
    Required,
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::Demo => "demo",
            Auth::Required => "required",
        })
    }
}

settings! {
    /// The public HTTP edge.
    pub struct Config {
        /// Where the order service answers: `http://host:port`, `unix:/path`, several with commas between, `dns:///host:port` or
        /// `etcd:///name`; see `[discovery]`.
        pub order_service: String = "http://127.0.0.1:9090".to_owned(),
        /// Where the user service answers, in the same forms.
        pub user_service: String = "http://127.0.0.1:9091".to_owned(),
        /// Where the inventory service answers, in the same forms.
        pub inventory_service: String = "http://127.0.0.1:9092".to_owned(),
        /// `required`: callers need a token. `demo`: a request without a token acts for the user that it names;
        /// refused unless bound to loopback.
        pub auth: Auth = Auth::Required,
        /// Lets `demo` listen beyond loopback. For a container whose port is published on the loopback of its host alone:
        /// whoever reaches the address can order as anybody.
        pub demo_beyond_loopback: bool = false,
        /// Names beside localhost and the bound address under which a gateway in `demo` may be called. Others are refused,
        /// as a page of any site can make its own name lead to this machine (DNS rebinding).
        pub hosts: Vec<String> = Vec::new(),
        /// Whether `POST /api/orders` needs an `Idempotency-Key`. A client that gets no answer and sent no key can only
        /// guess whether it has ordered; `up` lets it, so that a plain `curl` orders.
        pub require_idempotency_key: bool = true,
        /// Whether a caller's trace is continued. Otherwise a request begins a trace of its own with a link to
        /// the caller's, so that outsiders decide neither what is sampled nor which trace it lands in.
        pub continue_traces: bool = false,
        /// Proxies whose `X-Forwarded-For` is believed: addresses, or networks such as `10.0.0.0/8`.
        pub trusted_proxies: Vec<Network> = Vec::new(),
        /// Requests that are worked on at once, counted from when their body has arrived; a few more wait for a moment,
        /// further ones are answered 503. An eighth is kept for reads and cancellations.
        pub requests_at_once: usize = 1024,
        /// Time for a request, from when it is read to its answer.
        pub budget: Duration = Duration::from_secs(5),
        /// Longest time that a client may ask for with `Request-Timeout` or `x-waypost-timeout-ms`.
        pub max_budget: Duration = Duration::from_secs(10),
        /// Largest body.
        pub body_size: ByteSize = ByteSize::kib(64),
        /// Time for a body to arrive.
        pub body_timeout: Duration = Duration::from_secs(10),
        /// Bytes a second that a body must bring after its first three seconds; 0 asks for none.
        pub body_rate: ByteSize = ByteSize::kib(1),
        /// Bodies on their way at once; requests with further ones are answered 503.
        pub bodies_at_once: usize = 4096,
        /// Bytes of all bodies on their way together; a body that finds no room is answered 503.
        pub bodies_size: ByteSize = ByteSize::mib(32),
        /// Tokens that the gateway issues and takes.
        pub tokens: TokenSettings = TokenSettings::default(),
        /// How many requests one principal may send; for callers without a token, one address.
        pub rate_limit: RateLimit = RateLimit::default(),
        /// How many logins may be tried from one address, right or wrong.
        pub login_limit: RateLimit = RateLimit { requests: 60, ..RateLimit::default() },
    }
}

settings! {
    /// Tokens (JWT, HS256).
    pub struct TokenSettings {
        /// Who issues them: `iss`.
        pub issuer: String = "waypost-gateway".to_owned(),
        /// Whom they are for: `aud`.
        pub audience: String = "waypost".to_owned(),
        /// How long they last.
        pub lifetime: Duration = Duration::from_secs(15 * 60),
        /// By how much two clocks may differ.
        pub leeway: Duration = Duration::from_secs(5),
        /// Keys, each with `kid` and `secret` (at least 32 bytes). The first signs, all verify; so a new key is put
        /// first, and the old one is taken out one lifetime later. Without any, a random key is made at the
        /// start: tokens then end with the process, and are good at one replica only.
        pub keys: Vec<SigningKey> = Vec::new(),
        /// A TOML file with the keys, each as `[[keys]]` with `kid` and `secret`, in place of `keys`: for several gateways, and
        /// to change keys without a restart. It is read again when it changes. The first key signs, all verify, and one that is
        /// not there any more verifies nothing. A file that cannot be used changes nothing.
        pub keys_file: Option<PathBuf> = None,
        /// How often the file is looked at.
        pub keys_refresh_interval: Duration = Duration::from_secs(2),
        /// How long a key that is new in the file verifies before it signs, while an older one is there: so long all gateways
        /// may take to have it.
        pub key_delay: Duration = Duration::from_secs(30),
    }
}

/// A key for tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// Names the key in a token's header.
    pub kid: String,
    /// At least 32 bytes.
    pub secret: Secret<String>,
}

settings! {
    /// A rate with bursts (GCRA).
    pub struct RateLimit {
        /// Whether it applies.
        pub enabled: bool = true,
        /// Requests in each period; as many may come at once.
        pub requests: u32 = 600,
        /// The period.
        pub per: Duration = Duration::from_secs(60),
        /// What becomes of a request while the store of rates cannot be asked: `open` lets it through uncounted, `closed`
        /// answers 503. The embedded store is never away.
        pub when_away: WhenAway = WhenAway::Open,
    }
}

/// RFC 7518, section 3.2: a key of the size of the hash output or larger.
const SHORTEST_SECRET: usize = 32;

impl Config {
    /// Whether `demo` would let others than this machine order as anybody, and nobody has said that they may.
    pub fn exposes_demo(&self, address: SocketAddr) -> bool {
        self.auth == Auth::Demo && !self.demo_beyond_loopback && !address.ip().to_canonical().is_loopback()
    }

    /// Rules that the types cannot state. To be asked before anything is bound.
    pub fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let targets = [
            ("order_service", &self.order_service),
            ("user_service", &self.user_service),
            ("inventory_service", &self.inventory_service),
        ];
        for (key, target) in targets {
            if let Err(error) = check_target(target) {
                complaints.push(Complaint::new(key, error.to_string()));
            }
        }
        if self.budget > self.max_budget {
            complaints
                .push(Complaint::new("budget", format!("must not exceed max_budget ({})", self.max_budget)));
        }
        for (key, limit) in [("rate_limit", &self.rate_limit), ("login_limit", &self.login_limit)] {
            if limit.enabled && (limit.requests == 0 || limit.per.is_zero()) {
                complaints
                    .push(Complaint::new(key, "must allow something; to switch it off, set enabled = false"));
            }
        }
        if self.requests_at_once == 0 {
            complaints.push(Complaint::new("requests_at_once", "must be at least 1"));
        }
        complaints.extend(self.tokens.check().into_iter().map(|complaint| complaint.under("tokens")));
        complaints
    }
}

impl TokenSettings {
    fn check(&self) -> Vec<Complaint> {
        let mut complaints: Vec<Complaint> =
            check_keys(&self.keys).into_iter().map(|reason| Complaint::new("keys", reason)).collect();
        if self.keys_file.is_some() && !self.keys.is_empty() {
            complaints.push(Complaint::new("keys_file", "keys come from here or from `keys`, not from both"));
        }
        if self.lifetime.as_secs() == 0 {
            complaints.push(Complaint::new("lifetime", "must be at least 1s"));
        }
        complaints
    }
}

/// What is wrong with keys, wherever they are written.
pub(crate) fn check_keys(keys: &[SigningKey]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut kids = BTreeSet::new();
    for SigningKey { kid, secret } in keys {
        if secret.expose().len() < SHORTEST_SECRET {
            complaints.push(format!("the secret of `{kid}` is shorter than {SHORTEST_SECRET} bytes"));
        }
        if !kids.insert(kid) {
            complaints.push(format!("two keys have the kid `{kid}`"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_settings::{Settings as _, Sources, commented_toml, load};

    #[test]
    fn the_defaults_are_without_complaint() {
        assert_eq!(Config::default().check(), []);
    }

    #[test]
    fn a_target_that_cannot_be_called_is_named_with_the_reason() {
        let config = Config { order_service: "https://orders:443".to_owned(), ..Config::default() };
        let complaints = config.check();
        assert_eq!((complaints.len(), complaints[0].key.as_str()), (1, "order_service"));
        assert!(complaints[0].reason.contains("asks for TLS"), "{}", complaints[0].reason);
    }

    #[test]
    fn a_short_secret_is_refused_and_not_shown() {
        let keys = vec![SigningKey { kid: "a".to_owned(), secret: Secret::new("hunter2".to_owned()) }];
        let config =
            Config { tokens: TokenSettings { keys, ..TokenSettings::default() }, ..Config::default() };
        let complaints = config.check();
        assert_eq!(complaints.len(), 1);
        assert_eq!(complaints[0].key, "tokens.keys");
        assert!(!complaints[0].reason.contains("hunter2"));
    }

    #[test]
    fn every_setting_is_described_and_the_generated_file_loads() {
        let fields = Config::describe();
        assert!(fields.iter().all(|field| !field.doc.is_empty()));
        let text = commented_toml(&fields);
        let file = waypost_settings::File { name: "default.toml".to_owned(), text };
        let sources = Sources { file: Some(file), ..Sources::default() };
        assert!(load(&sources, Config::check).is_ok());
    }
}
