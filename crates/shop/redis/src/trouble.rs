//! What a failure of Redis means for whoever runs the system, in words.

use redis::{ErrorKind, RedisError};

use crate::config::Settings;

/// What was wrong, and which setting to look at. Never a password, and no key.
pub(crate) fn words(error: &RedisError, settings: &Settings) -> String {
    let user = if settings.username.is_empty() { "the default user" } else { settings.username.as_str() };
    let said = said(error);
    match (error.kind(), error.code()) {
        (_, Some("WRONGPASS")) => wrong_password(user, settings),
        (_, Some("NOAUTH")) if settings.password_file.is_none() => {
            "it asks for a password: set `password_file`, and `username` unless it is the default user's"
                .to_owned()
        }
        (_, Some("NOPERM")) => {
            format!("{user} may not do what is needed: {said}; see the rights in docs/operations.md")
        }
        (_, Some("OOM")) => {
            "it is full and evicts nothing: set `maxmemory-policy allkeys-lru` there".to_owned()
        }
        (ErrorKind::AuthenticationFailed, _) => match error.detail().unwrap_or_default() {
            detail if detail.contains("without any password") => {
                format!("{user} has no password there: {said}")
            }
            _ => wrong_password(user, settings),
        },
        (ErrorKind::MasterNameNotFoundBySentinel, _) => {
            format!("the sentinels know no master `{}`: look at `master`", settings.master)
        }
        (ErrorKind::ClusterConnectionNotFound, _) => format!("no node of the cluster answers: {said}"),
        _ if error.is_timeout() => "it does not answer in time".to_owned(),
        _ => said,
    }
}

fn wrong_password(user: &str, settings: &Settings) -> String {
    let file = settings.password_file.as_ref().map_or_else(
        || "`password_file` is not set".to_owned(),
        |file| format!("the password is the one in {}", file.display()),
    );
    format!("it refuses the password of {user}; {file}")
}

/// Everything along the sources, each once.
fn said(error: &RedisError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}
