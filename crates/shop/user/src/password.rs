//! Checking passwords: Argon2id on threads of its own, bounded, with the same work for a user that does not exist.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier as _;
use tokio::sync::Semaphore;

use crate::Error;

/// A hash of the same cost as a real one, which no password is checked against with success.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$RyPBjipwGPRnCeOiTA0Rbw$1wdB7XP7yaRZhpKXJBJSWVSBXM/hLz0KebXU2B0p7k8";

/// How long a login waits for its turn before it is told to come back.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Checks passwords, so many at once.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

impl Passwords {
    /// Checks at most this many at once; at least 1.
    pub fn new(at_once: usize) -> Passwords {
        Passwords { turns: Arc::new(Semaphore::new(at_once.max(1))) }
    }

    /// Whether the password is the one of the hash. Without a hash the same work is done, and the answer is no.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when no turn came within two seconds.
    ///
    /// Cancel safety: a check that has begun ends on its own and keeps its turn until then.
    pub async fn check(&self, password: String, hash: Option<String>) -> Result<bool, Error> {
        let turn = tokio::time::timeout(MAX_WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Error::Overloaded);
        };
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let matches = verify(&password, hash.as_deref().unwrap_or(NOBODY));
            matches && hash.is_some()
        });
        // The task ends early only when the runtime does.
        checked.await.map_err(|_| Error::Overloaded)
    }
}

/// Whether a password is the one of a PHC string. A string that is none matches nothing.
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    Argon2::default().verify_password(password.as_bytes(), hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_matches_no_password_not_even_its_own() {
        assert!(verify("nobody has this password", NOBODY));
        let passwords = Passwords::new(1);
        assert!(!passwords.check("nobody has this password".into(), None).await.unwrap());
    }

    #[test]
    fn a_broken_hash_matches_nothing() {
        assert!(!verify("", ""));
        assert!(!verify("waypost-demo", "$argon2id$broken"));
    }
}
