//! Telling a receiver by mail: SMTP (RFC 5321), encrypted unless the server is on this machine.
//!
//! A connection of its own for each mail, as for webhooks. A mail is plain text with the sentence, the labels and the addresses
//! of example traces; its `Message-ID` is the notification's id, so that one that comes twice is seen to be one.
//!
//! A recipient that the server refuses for good (5xx) does not keep the mail from the others; one that it refuses for now (4xx)
//! does, and the mail is sent later to all.

use super::{
    delivery::Failure,
    mail_stream::LineByLine,
    receivers::{MailTls, ReceiverSettings},
    tls::secret,
};
use lettre::{
    Address, Message,
    message::{Mailbox, header},
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::{ClientId, Extension, MailParameter},
    },
};
use std::path::Path;
use tokio::net::TcpStream;
use waypost_trace_alerts::Notification;

/// Characters of the longest subject.
const MAX_SUBJECT: usize = 200;
/// Offered in this order; both send the password itself, which is why a connection to another machine is encrypted.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// Tells one receiver.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    settings: ReceiverSettings,
}

impl Mail {
    pub(crate) fn new(settings: ReceiverSettings) -> Self {
        Self { settings }
    }

    /// One attempt. Dropping the future ends the connection.
    pub(crate) async fn tell(&self, notification: &Notification, external_url: &str) -> Result<(), Failure> {
        let message = self.message(notification, external_url)?;
        let mut connection = self.connect().await?;
        if let Some(file) = &self.settings.password_file {
            let credentials = Credentials::new(self.settings.username.clone(), secret(file).await?);
            let proven = connection.auth(&MECHANISMS, &credentials).await;
            // A password may be mended, so that this is never final.
            proven.map_err(|error| Failure::later(format!("not signed in: {error}")))?;
        }
        self.send(&mut connection, &message).await?;
        // The server has the mail; whether it says goodbye does not matter.
        connection.quit().await.ok();
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let tls = self.settings.mail_tls();
        let host = self.settings.server.trim_matches(['[', ']']);
        let server = (host, self.settings.port.unwrap_or(tls.port()));
        let client = ClientId::default();
        let no_connection =
            |error: &dyn std::fmt::Display| Failure::later(format!("cannot connect: {error}"));
        if tls == MailTls::Starttls {
            let parameters = parameters(host, self.settings.ca_file.as_deref()).await?;
            let stream = TcpStream::connect(server).await.map_err(|error| no_connection(&error))?;
            let stream = Box::new(LineByLine::new(stream));
            let connected = AsyncSmtpConnection::connect_with_transport(stream, &client).await;
            let mut connection = connected.map_err(|error| no_connection(&error))?;
            let encrypted = connection.starttls(parameters, &client).await;
            encrypted.map_err(|error| Failure::later(format!("no TLS: {error}")))?;
            return Ok(connection);
        }
        let parameters = match tls {
            MailTls::Implicit => Some(parameters(host, self.settings.ca_file.as_deref()).await?),
            MailTls::None | MailTls::Starttls => None,
        };
        let connected = AsyncSmtpConnection::connect_tokio1(server, None, &client, parameters, None).await;
        connected.map_err(|error| no_connection(&error))
    }

    async fn send(&self, connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), Failure> {
        let envelope = message.envelope();
        let mut options = Vec::new();
        let addresses = || envelope.from().into_iter().chain(envelope.to());
        if addresses().any(|address| !address.to_string().is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Failure::never("the server takes no addresses with letters beyond ASCII"));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        connection
            .command(MailFrom::new(envelope.from().cloned(), options))
            .await
            .map_err(|error| failure(&error))?;
        let mut refused: Vec<(&Address, Error)> = Vec::new();
        for to in envelope.to() {
            match connection.command(Rcpt::new(to.clone(), Vec::new())).await {
                Ok(_) => {}
                Err(error) if error.is_permanent() => refused.push((to, error)),
                Err(error) => return Err(failure(&error)),
            }
        }
        if refused.len() == envelope.to().len() {
            let first = refused.into_iter().next().map(|(to, error)| format!("{to}: {error}"));
            return Err(Failure::never(first.unwrap_or_default()));
        }
        for (to, error) in &refused {
            let receiver = &self.settings.name;
            tracing::warn!(receiver, %to, %error, "a mail of an alert is not taken for this address");
        }
        connection.command(Data).await.map_err(|error| failure(&error))?;
        connection.message(&message.formatted()).await.map_err(|error| failure(&error))?;
        Ok(())
    }

    fn message(&self, notification: &Notification, external_url: &str) -> Result<Message, Failure> {
        let from = mailbox(&self.settings.from)?;
        let id = format!("<{}@{}>", notification.id, from.email.domain());
        let mut builder = Message::builder()
            .from(from)
            .subject(subject(&notification.headline()))
            .message_id(Some(id))
            .header(header::ContentType::TEXT_PLAIN)
            // RFC 3834: nothing that answers by itself answers this.
            .raw_header(header::HeaderValue::new(
                header::HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for to in &self.settings.to {
            builder = builder.to(mailbox(to)?);
        }
        let body = notification.text(external_url);
        builder.body(body).map_err(|error| Failure::never(format!("the mail cannot be written: {error}")))
    }
}

/// Names in a headline come from spans, which anybody may send: they stay on one line.
fn subject(headline: &str) -> String {
    headline.chars().map(|one| if one.is_control() { ' ' } else { one }).take(MAX_SUBJECT).collect()
}

fn mailbox(text: &str) -> Result<Mailbox, Failure> {
    text.parse().map_err(|_| Failure::never(format!("`{text}` is not an address")))
}

/// Whether this can stand as the sender or the receiver of a mail.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

/// What a server answered 5xx it does not take later either.
fn failure(error: &Error) -> Failure {
    Failure { reason: error.to_string(), is_final: error.is_permanent() }
}

/// `ca_file` holds the certificates of the authorities that are trusted instead of the system's; it is read for each mail.
async fn parameters(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, Failure> {
    let (host, file) = (host.to_owned(), ca_file.map(Path::to_owned));
    let made = tokio::task::spawn_blocking(move || {
        let mut builder = TlsParameters::builder(host);
        if let Some(file) = file {
            builder =
                builder.certificate_store(CertificateStore::None).add_root_certificate(certificates(&file)?);
        }
        builder.build_rustls().map_err(|error| Failure::later(format!("no TLS: {error}")))
    });
    made.await.map_err(|_| Failure::later("no TLS"))?
}

fn certificates(file: &Path) -> Result<Certificate, Failure> {
    let unread = |reason: String| Failure::later(format!("{} cannot be read: {reason}", file.display()));
    let text = std::fs::read(file).map_err(|error| unread(error.to_string()))?;
    Certificate::from_pem(&text).map_err(|error| unread(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::receivers::{ReceiverKind, ReceiverSettings},
        *,
    };
    use waypost_trace_alerts::Status;

    #[test]
    fn names_of_spans_cannot_add_lines_to_the_head_of_a_mail() {
        let mail = Mail::new(ReceiverSettings {
            from: "Waypost <waypost@example.org>".to_owned(),
            to: vec!["on-call@example.org".to_owned()],
            ..ReceiverSettings::new("mail", ReceiverKind::Mail)
        });
        let notification = Notification {
            id: "1-2".to_owned(),
            at: 0,
            status: Status::Firing,
            fingerprint: String::new(),
            labels: std::collections::BTreeMap::new(),
            rule: "rule".to_owned(),
            sentence: "shop a\r\nBcc: other@example.org\r\n\r\n: 5 % ü".to_owned(),
            summary: String::new(),
            runbook: String::new(),
            fired: 0,
            examples: Vec::new(),
        };
        let message = mail.message(&notification, "http://viewer").unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with(' '))
            .filter_map(|line| Some(line.split_once(':')?.0))
            .collect();
        assert!(!names.contains(&"Bcc"), "{head}");
        assert!(
            names.contains(&"Auto-Submitted") && head.contains("Message-ID: <1-2@example.org>"),
            "{head}"
        );
        assert_eq!(message.envelope().to().len(), 1);
    }
}
