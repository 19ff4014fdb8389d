//! The keys that sign tokens, and how they change while the gateway runs.
//!
//! Several gateways take the same keys from a file each. They do not read it at the same moment, so a key that has come to
//! the front signs only when it has been known for a while: by then the others know it, too, and no token is a stranger
//! anywhere.

use crate::{
    Error,
    config::{SigningKey, TokenSettings, check_keys},
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};
use waypost_service::{Check, Worker};
use waypost_settings::Secret;
use waypost_telemetry::Telemetry;

/// The keys in use.
pub(crate) struct Keys {
    ring: RwLock<Arc<[Arc<Key>]>>,
    file: Option<KeysFile>,
}

/// One key.
pub(super) struct Key {
    pub(super) kid: String,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    secret: Secret<String>,
    /// Since when this gateway has it, or since when its file was there when the gateway started.
    known_since: SystemTime,
}

struct KeysFile {
    path: PathBuf,
    every: Duration,
    delay: Duration,
    seen: Mutex<Seen>,
}

struct Seen {
    /// What the file held when it was last judged, whatever came of it.
    text: String,
    /// Why the file as it is now is not in use.
    trouble: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    keys: Vec<SigningKey>,
}

impl Keys {
    /// The keys of the file or of the configuration, or one that is made now.
    pub(super) fn open(settings: &TokenSettings) -> Result<Self, Error> {
        let Some(path) = &settings.keys_file else {
            let configured = settings.keys.iter().map(|key| Key::new(key, SystemTime::UNIX_EPOCH));
            let mut ring: Vec<Arc<Key>> = configured.map(Arc::new).collect();
            if ring.is_empty() {
                ring.push(Arc::new(Key::random()?));
            }
            return Ok(Self { ring: RwLock::new(ring.into()), file: None });
        };
        let unusable = |reason| Error::KeysFile { path: path.clone(), reason };
        let text = fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        let written = parse(&text).map_err(unusable)?;
        let since = fs::metadata(path).and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let ring = written.iter().map(|key| Arc::new(Key::new(key, since))).collect();
        let file = KeysFile {
            path: path.clone(),
            every: settings.keys_refresh_interval.get(),
            delay: settings.key_delay.get(),
            seen: Mutex::new(Seen { text, trouble: None }),
        };
        Ok(Self { ring: RwLock::new(ring), file: Some(file) })
    }

    /// The key to sign with: the first that has been known for long enough. While the whole file is new, as after a start in
    /// the midst of a rotation, the last one: new keys are put first, so the others know that one best.
    pub(super) fn signer(&self, now: SystemTime) -> Option<Arc<Key>> {
        let ring = self.ring();
        let delay = self.file.as_ref().map(|file| file.delay).unwrap_or_default();
        let is_settled =
            |key: &&Arc<Key>| now.duration_since(key.known_since).is_ok_and(|known| known >= delay);
        ring.iter().find(is_settled).or(ring.last()).cloned()
    }

    /// The key of a token.
    pub(super) fn named(&self, kid: &str) -> Option<Arc<Key>> {
        self.ring().iter().find(|key| key.kid == kid).cloned()
    }

    /// What looks at the file, and what says that it is of no use; nothing without a file.
    pub(crate) fn watching(self: &Arc<Self>, telemetry: &Telemetry) -> Option<(Worker, Check)> {
        let file = self.file.as_ref()?;
        let keys = Arc::clone(self);
        let worker = Worker::every("token-keys", file.every, telemetry, move || {
            let keys = Arc::clone(&keys);
            async move {
                let looked = tokio::task::spawn_blocking(move || keys.refresh()).await;
                looked.map_err(io::Error::other)
            }
        });
        let keys = Arc::clone(self);
        let check = Check::advisory("token-keys", move || {
            let trouble = keys.trouble();
            async move {
                match trouble {
                    None => Ok(()),
                    Some(trouble) => Err(format!("{trouble}; the keys that were read last are in use")),
                }
            }
        });
        Some((worker, check))
    }

    /// Takes the keys of the file if it has changed and all of it can be used. Blocks.
    fn refresh(&self) {
        self.refresh_at(SystemTime::now());
    }

    fn refresh_at(&self, now: SystemTime) {
        let Some(file) = &self.file else { return };
        let read = fs::read_to_string(&file.path);
        let mut seen = file.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let judged = match &read {
            Ok(text) if *text == seen.text && seen.trouble.is_none() => return,
            Ok(text) => parse(text),
            Err(error) => Err(error.to_string()),
        };
        if let Ok(text) = read {
            seen.text = text;
        }
        match judged {
            Ok(written) => {
                seen.trouble = None;
                drop(seen);
                self.take(&written, now);
            }
            Err(reason) => {
                let trouble = format!("{}: {reason}", file.path.display());
                if seen.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!(reason = trouble, "the token keys cannot be renewed; those in use stay");
                }
                seen.trouble = Some(trouble);
            }
        }
    }

    fn take(&self, written: &[SigningKey], now: SystemTime) {
        let before = self.ring();
        let known: BTreeMap<&str, &Arc<Key>> = before.iter().map(|key| (key.kid.as_str(), key)).collect();
        let key = |key: &SigningKey| match known.get(key.kid.as_str()) {
            Some(same) if same.secret.expose() == key.secret.expose() => Arc::clone(same),
            _ => Arc::new(Key::new(key, now)),
        };
        let ring: Arc<[Arc<Key>]> = written.iter().map(key).collect();
        let is_as_before = ring.len() == before.len()
            && ring.iter().zip(before.iter()).all(|(new, old)| Arc::ptr_eq(new, old));
        if is_as_before {
            return;
        }
        let kids: Vec<&str> = ring.iter().map(|key| key.kid.as_str()).collect();
        tracing::info!(kids = kids.join(","), "the token keys were renewed");
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }

    fn ring(&self) -> Arc<[Arc<Key>]> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn trouble(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        file.seen.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }
}

/// The keys of a file, or what is wrong with it, without a word of what it holds.
fn parse(text: &str) -> Result<Vec<SigningKey>, String> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map(|before| before.matches('\n').count() + 1);
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        // The error's own text would show the line.
        format!("{place}it is no list of [[keys]] with kid and secret ({})", error.message())
    })?;
    match check_keys(&written.keys).into_iter().next() {
        _ if written.keys.is_empty() => Err("it holds no key".to_owned()),
        Some(reason) => Err(reason),
        None => Ok(written.keys),
    }
}

impl Key {
    fn new(key: &SigningKey, known_since: SystemTime) -> Self {
        let secret = key.secret.expose().as_bytes();
        Self {
            kid: key.kid.clone(),
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            secret: key.secret.clone(),
            known_since,
        }
    }

    fn random() -> Result<Self, Error> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|source| Error::RandomKey { source })?;
        Ok(Self {
            kid: "start".to_owned(),
            encoding: EncodingKey::from_secret(&bytes),
            decoding: DecodingKey::from_secret(&bytes),
            secret: Secret::new(String::new()),
            known_since: SystemTime::UNIX_EPOCH,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    const DELAY: Duration = Duration::from_secs(30);

    struct Case {
        _folder: tempfile::TempDir,
        path: PathBuf,
        keys: Keys,
        start: SystemTime,
    }

    fn text(kids: &[&str]) -> String {
        kids.iter().fold(String::new(), |mut text, kid| {
            writeln!(text, "[[keys]]\nkid = \"{kid}\"\nsecret = \"{}\"", kid.repeat(40)).unwrap();
            text
        })
    }

    fn opened(kids: &[&str]) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        fs::write(&path, text(kids)).unwrap();
        let settings = TokenSettings {
            keys_file: Some(path.clone()),
            key_delay: DELAY.into(),
            ..TokenSettings::default()
        };
        let keys = Keys::open(&settings).unwrap();
        let start = fs::metadata(&path).unwrap().modified().unwrap();
        Case { _folder: folder, path, keys, start }
    }

    impl Case {
        fn write(&self, text: &str, at: SystemTime) {
            fs::write(&self.path, text).unwrap();
            self.keys.refresh_at(at);
        }

        fn signer(&self, at: SystemTime) -> String {
            self.keys.signer(at).unwrap().kid.clone()
        }

        fn knows(&self, kid: &str) -> bool {
            self.keys.named(kid).is_some()
        }
    }

    #[test]
    fn a_new_key_verifies_at_once_and_signs_when_others_know_it() {
        let case = opened(&["a"]);
        let change = case.start + DELAY * 2;
        assert_eq!(case.signer(change), "a");
        case.write(&text(&["b", "a"]), change);
        assert!(case.knows("a") && case.knows("b"));
        assert_eq!(case.signer(change + DELAY / 2), "a");
        assert_eq!(case.signer(change + DELAY), "b");
        case.write(&text(&["b"]), change + DELAY);
        assert!(!case.knows("a") && case.knows("b"));
    }

    #[test]
    fn a_gateway_that_starts_during_a_rotation_signs_as_the_others_do() {
        let case = opened(&["b", "a"]);
        assert_eq!(case.signer(case.start + DELAY / 2), "a");
        assert_eq!(case.signer(case.start + DELAY), "b");
    }

    #[test]
    fn a_bad_file_changes_nothing_and_gives_nothing_away() {
        let case = opened(&["a"]);
        let later = case.start + DELAY * 2;
        for (bad, reason) in [
            ("[[keys]]\nkid = \"b\"\nsecret = \"hunter2\"\n", "shorter than 32 bytes"),
            ("[[keys]]\nkid = \"b\"\nsecret = hunter2\n", "line 3: it is no list of [[keys]]"),
            ("", "no list of [[keys]]"),
            ("keys = []\n", "it holds no key"),
        ] {
            case.write(bad, later);
            let trouble = case.keys.trouble().unwrap();
            assert!(trouble.contains(reason) && !trouble.contains("hunter2"), "{trouble}");
            assert_eq!(case.signer(later), "a");
        }
        fs::remove_file(&case.path).unwrap();
        case.keys.refresh_at(later);
        assert!(case.knows("a") && case.keys.trouble().is_some());
        case.write(&text(&["a"]), later);
        assert_eq!(case.keys.trouble(), None);
    }

    #[test]
    fn another_secret_under_the_same_kid_is_another_key() {
        let case = opened(&["a"]);
        let change = case.start + DELAY * 2;
        let old = case.keys.named("a").unwrap();
        case.write(&text(&["a"]).replace("aaaa", "zzzz"), change);
        assert!(!Arc::ptr_eq(&old, &case.keys.named("a").unwrap()));
    }
}
