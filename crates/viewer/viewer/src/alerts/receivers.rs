//! Who is told of alerts, and how.

use super::mail::is_address;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, path::PathBuf};
use waypost_settings::Duration;

/// How a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverKind {
    /// By HTTP, in the form of Alertmanager's webhook.
    Webhook,
    /// By mail, sent to a server by SMTP.
    Mail,
    /// By a line of the viewer's log.
    Log,
}

impl ReceiverKind {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ReceiverKind::Webhook => "webhook",
            ReceiverKind::Mail => "mail",
            ReceiverKind::Log => "log",
        }
    }
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// From the first byte (RFC 8314).
    #[default]
    Implicit,
    /// From the command `STARTTLS` on (RFC 3207); a server that does not offer it is sent nothing.
    Starttls,
    /// Not at all: only for a server on this machine.
    None,
}

impl MailTls {
    /// The usual port.
    pub(super) fn port(self) -> u16 {
        match self {
            MailTls::Implicit => 465,
            MailTls::Starttls => 587,
            MailTls::None => 25,
        }
    }
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverSettings {
    /// Its name, unique among the receivers.
    pub name: String,
    /// How it is told.
    pub kind: ReceiverKind,
    /// It is told of alerts of these severities; empty: of all.
    #[serde(default)]
    pub severities: Vec<String>,
    /// Where the webhook is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// A file with the key that notifications are signed with. It is read for each, so that a new key is found there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// A file with a token that is sent as `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_file: Option<PathBuf>,
    /// The mail server's name or address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// Its port; by default 465, with STARTTLS 587, without TLS 25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How the connection to it is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<MailTls>,
    /// The sender of mails, such as `Waypost <waypost@example.org>`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// The addresses that mails are sent to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The user at the mail server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// A file with the user's password. It is read for each mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A file with the certificates (PEM) of the authorities that are trusted, instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Time for one attempt.
    #[serde(default = "ten_seconds")]
    pub timeout: Duration,
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// A key and what is wrong about it.
type Wrong = Vec<(&'static str, &'static str)>;

impl ReceiverSettings {
    /// A receiver of which nothing but its name and kind is said.
    pub fn new(name: &str, kind: ReceiverKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            severities: Vec::new(),
            url: String::new(),
            secret_file: None,
            bearer_file: None,
            server: String::new(),
            port: None,
            tls: None,
            from: String::new(),
            to: Vec::new(),
            username: String::new(),
            password_file: None,
            ca_file: None,
            timeout: ten_seconds(),
        }
    }

    /// The encryption of mails that is meant.
    pub(super) fn mail_tls(&self) -> MailTls {
        self.tls.unwrap_or_default()
    }

    pub(super) fn wrong(&self) -> Wrong {
        let mut wrong = match self.kind {
            ReceiverKind::Webhook => self.wrong_of_webhook(),
            ReceiverKind::Mail => self.wrong_of_mail(),
            ReceiverKind::Log => Vec::new(),
        };
        if self.timeout.get().is_zero() {
            wrong.push(("timeout", "must be more than nothing"));
        }
        wrong.extend(self.unused().map(|key| (key, "has no meaning for a receiver of this kind")));
        wrong
    }

    fn wrong_of_webhook(&self) -> Wrong {
        let url = self.url.parse::<http::Uri>().ok();
        let is_good = url.is_some_and(|url| {
            let has_scheme = matches!(url.scheme_str(), Some("http" | "https"));
            let authority = url.authority().map_or("", http::uri::Authority::as_str);
            has_scheme && !authority.is_empty() && !authority.contains('@')
        });
        let reason = "must be an address that begins with http:// or https://, without user and password: \
                      a token belongs in `bearer_file`";
        if is_good { Vec::new() } else { vec![("url", reason)] }
    }

    fn wrong_of_mail(&self) -> Wrong {
        let mut wrong = Wrong::new();
        if self.server.is_empty() || self.server.contains(['/', ' ']) {
            wrong.push(("server", "must be the mail server's name or address; the port is `port`"));
        } else if self.mail_tls() == MailTls::None && !is_loopback(&self.server) {
            wrong.push(("tls", "must not be `none` for a server that is not on this machine"));
        }
        if !is_address(&self.from) {
            wrong.push(("from", "must be an address, such as `Waypost <waypost@example.org>`"));
        }
        if self.to.is_empty() || !self.to.iter().all(|to| is_address(to)) {
            wrong.push(("to", "must be a list of addresses"));
        }
        if self.username.is_empty() != self.password_file.is_none() {
            wrong.push(("password_file", "and `username` must be given together"));
        }
        wrong
    }

    /// Keys that are given and that the kind does not know.
    fn unused(&self) -> impl Iterator<Item = &'static str> {
        let (is_webhook, is_mail) = (self.kind == ReceiverKind::Webhook, self.kind == ReceiverKind::Mail);
        let keys = [
            ("url", !self.url.is_empty(), is_webhook),
            ("secret_file", self.secret_file.is_some(), is_webhook),
            ("bearer_file", self.bearer_file.is_some(), is_webhook),
            ("server", !self.server.is_empty(), is_mail),
            ("port", self.port.is_some(), is_mail),
            ("tls", self.tls.is_some(), is_mail),
            ("from", !self.from.is_empty(), is_mail),
            ("to", !self.to.is_empty(), is_mail),
            ("username", !self.username.is_empty(), is_mail),
            ("password_file", self.password_file.is_some(), is_mail),
            ("ca_file", self.ca_file.is_some(), is_webhook || is_mail),
        ];
        keys.into_iter().filter(|(_, is_given, is_used)| *is_given && !is_used).map(|(key, ..)| key)
    }
}

fn is_loopback(server: &str) -> bool {
    server == "localhost" || server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_of_mails_that_makes_no_sense_is_named_by_its_keys() {
        let mail = || ReceiverSettings {
            server: "mail.example.org".to_owned(),
            from: "Waypost <waypost@example.org>".to_owned(),
            to: vec!["on-call@example.org".to_owned()],
            ..ReceiverSettings::new("mail", ReceiverKind::Mail)
        };
        let keys = |settings: ReceiverSettings| -> Vec<&str> {
            settings.wrong().into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(mail()), [""; 0]);
        let local = ReceiverSettings { server: "127.0.0.1".to_owned(), tls: Some(MailTls::None), ..mail() };
        assert_eq!(keys(local), [""; 0]);
        assert_eq!(keys(ReceiverSettings { tls: Some(MailTls::None), ..mail() }), ["tls"]);
        assert_eq!(keys(ReceiverSettings { server: String::new(), ..mail() }), ["server"]);
        assert_eq!(keys(ReceiverSettings { from: "waypost".to_owned(), ..mail() }), ["from"]);
        assert_eq!(keys(ReceiverSettings { to: Vec::new(), ..mail() }), ["to"]);
        assert_eq!(keys(ReceiverSettings { username: "waypost".to_owned(), ..mail() }), ["password_file"]);
        assert_eq!(keys(ReceiverSettings { url: "http://example.org".to_owned(), ..mail() }), ["url"]);
        let log = ReceiverSettings { kind: ReceiverKind::Log, ..mail() };
        assert_eq!(keys(log), ["server", "from", "to"]);
    }
}
