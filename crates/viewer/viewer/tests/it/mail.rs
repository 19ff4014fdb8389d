//! Alerts by mail, in conversations with a real socket: encrypted or not, refused, away and back.

use crate::{
    alerts::{quickly, send, state},
    smtp::{Manner, Server},
    viewer::{Viewer, in_time},
};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;
use waypost_viewer::{MailTls, ReceiverKind, ReceiverSettings};

fn by_mail(server: &Server, tls: MailTls, folder: &Path) -> ReceiverSettings {
    ReceiverSettings {
        server: "localhost".to_owned(),
        port: Some(server.address.port()),
        tls: Some(tls),
        from: "Waypost <viewer@example.org>".to_owned(),
        to: vec!["first@example.org".to_owned(), "Second <second@example.org>".to_owned()],
        ca_file: Some(server.identity.written_to(folder)),
        timeout: Duration::from_mins(1).into(),
        ..ReceiverSettings::new("mail", ReceiverKind::Mail)
    }
}

/// With the password of `viewer:open sesame`.
fn as_user(folder: &Path, receiver: ReceiverSettings) -> ReceiverSettings {
    let file = folder.join("password");
    fs::write(&file, "open sesame\n").unwrap();
    ReceiverSettings { username: "viewer".to_owned(), password_file: Some(file), ..receiver }
}

fn delivered(count: u64) -> impl Fn(&Value) -> bool {
    move |answer| answer["receivers"][0]["delivered"] == count
}

fn trouble(answer: &Value) -> Option<&str> {
    answer["receivers"][0]["trouble"].as_str()
}

#[tokio::test]
async fn an_alert_is_mailed_in_tls_with_its_sentence_and_traces() {
    let folder = TempDir::new().unwrap();
    let user = Some("viewer:open sesame");
    let server = Server::start(Manner { user, ..Manner::open(MailTls::Implicit) }).await;
    let receiver = as_user(folder.path(), by_mail(&server, MailTls::Implicit, folder.path()));
    let viewer = Viewer::configured(|config| {
        quickly(config, vec![receiver]);
        config.alerts.external_url = "https://viewer.example.org".to_owned();
    });
    send(&viewer, 1..31, true).await;
    viewer.api_until("/alerts", delivered(1)).await;
    in_time(viewer.close()).await;
    let mails = server.mails();
    let [mail] = &mails[..] else { panic!("{mails:?}") };
    assert_eq!((mail.is_encrypted, mail.user.as_deref()), (true, user));
    assert_eq!(
        (mail.from.as_str(), &mail.to[..]),
        ("viewer@example.org", &["first@example.org".to_owned(), "second@example.org".to_owned()][..])
    );
    let subject = mail.header("Subject").unwrap();
    assert_eq!(
        subject,
        "FIRING payments fail: till: 100 % errors in the last 1 hour (30 of 30); threshold 10 %"
    );
    assert!(mail.header("Message-ID").unwrap().ends_with("@example.org>"), "{mail:?}");
    assert_eq!(mail.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    let body = mail.body();
    for part in [
        "till: 100 % errors in the last 1 hour (30 of 30); threshold 10 %",
        "Cards are refused.",
        "severity: page",
        "Run-book: https://example.org/till",
        "Trace: https://viewer.example.org/trace/0000000000000000000000000000",
        "All alerts: https://viewer.example.org/alerts",
    ] {
        assert!(body.contains(part), "{part:?} is missing in {body}");
    }
}

#[tokio::test]
async fn starttls_comes_before_the_password_and_the_mail() {
    let folder = TempDir::new().unwrap();
    let user = Some("viewer:open sesame");
    let server = Server::start(Manner { user, ..Manner::open(MailTls::Starttls) }).await;
    let receiver = as_user(folder.path(), by_mail(&server, MailTls::Starttls, folder.path()));
    let viewer = Viewer::configured(|config| quickly(config, vec![receiver]));
    send(&viewer, 1..31, true).await;
    viewer.api_until("/alerts", delivered(1)).await;
    in_time(viewer.close()).await;
    let words: Vec<String> =
        server.in_clear().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(words, ["EHLO", "STARTTLS"]);
    assert!(server.mails()[0].is_encrypted);
    assert_eq!(server.mails()[0].user.as_deref(), user);
}

#[tokio::test]
async fn what_follows_the_answer_to_starttls_is_no_answer_in_tls() {
    let folder = TempDir::new().unwrap();
    // One answer more: with it every command but the last is answered before it is sent.
    let injected = "250 localhost\r\n";
    let server = Server::start(Manner { injected, ..Manner::open(MailTls::Starttls) }).await;
    let receiver = by_mail(&server, MailTls::Starttls, folder.path());
    let viewer = Viewer::configured(|config| quickly(config, vec![receiver]));
    send(&viewer, 1..31, true).await;
    let has_tried = |answer: &Value| trouble(answer).is_some() || answer["receivers"][0]["delivered"] != 0;
    let answer = viewer.api_until("/alerts", has_tried).await;
    assert!(trouble(&answer).is_some_and(|trouble| trouble.starts_with("no TLS: ")), "{answer}");
    in_time(viewer.close()).await;
    let commands = server.in_clear();
    assert!(commands.iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS"), "{commands:?}");
    assert_eq!(server.mails().len(), 0);
}

#[tokio::test]
async fn a_server_without_starttls_or_with_a_strange_certificate_is_sent_nothing() {
    let folder = TempDir::new().unwrap();
    // Whoever is on the path can take the offer of STARTTLS away.
    let stripped = Server::start(Manner::open(MailTls::None)).await;
    let receiver = as_user(folder.path(), by_mail(&stripped, MailTls::Starttls, folder.path()));
    let viewer = Viewer::configured(|config| quickly(config, vec![receiver]));
    send(&viewer, 1..31, true).await;
    let answer = viewer.api_until("/alerts", |answer| trouble(answer).is_some()).await;
    assert!(trouble(&answer).unwrap().starts_with("no TLS: "), "{answer}");
    assert_eq!(answer["receivers"][0]["waiting"], 1);
    in_time(viewer.close()).await;
    let commands = stripped.in_clear();
    assert!(commands.iter().all(|line| line.starts_with("EHLO") || line == "QUIT"), "{commands:?}");

    let (strange, other) = (Server::start(Manner::open(MailTls::Implicit)).await, TempDir::new().unwrap());
    let receiver = ReceiverSettings {
        ca_file: Some(stripped.identity.written_to(other.path())),
        ..by_mail(&strange, MailTls::Implicit, folder.path())
    };
    let viewer = Viewer::configured(|config| quickly(config, vec![receiver]));
    send(&viewer, 1..31, true).await;
    viewer.api_until("/alerts", |answer| trouble(answer).is_some()).await;
    in_time(viewer.close()).await;
    assert_eq!((stripped.mails().len(), strange.mails().len()), (0, 0));
}

#[tokio::test]
async fn a_mail_server_that_was_away_is_told_once_across_a_restart() {
    let (folder, mailing) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::start(Manner::open(MailTls::None)).await;
    server.goes_away();
    let open = || {
        let receiver = by_mail(&server, MailTls::None, mailing.path());
        Viewer::kept_and_configured(&folder, |config| quickly(config, vec![receiver]))
    };
    let has_failed = |answer: &Value| answer["receivers"][0]["failed"].as_u64().unwrap() > 0;
    let viewer = open();
    send(&viewer, 1..31, true).await;
    let before = viewer.api_until("/alerts", has_failed).await;
    assert_eq!((state(&before), before["receivers"][0]["waiting"].as_u64()), (Some("firing"), Some(1)));
    in_time(viewer.close()).await;

    let viewer = open();
    viewer.api_until("/alerts", has_failed).await;
    server.comes_back();
    viewer.api_until("/alerts", delivered(1)).await;
    in_time(viewer.close()).await;

    // It goes on to fire, and is resolved: one more mail.
    let viewer = open();
    send(&viewer, 100..1000, false).await;
    viewer.api_until("/alerts", delivered(1)).await;
    in_time(viewer.close()).await;
    let mails = server.mails();
    let subjects: Vec<String> = mails.iter().map(|mail| mail.header("Subject").unwrap()).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(
        subjects[0].starts_with("FIRING payments fail") && subjects[1].starts_with("RESOLVED payments fail"),
        "{subjects:?}"
    );
    assert_ne!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
    assert!(mails[1].body().contains("Resolved: "), "{mails:?}");
}

#[tokio::test]
async fn a_refused_address_does_not_keep_the_mail_from_the_others() {
    let folder = TempDir::new().unwrap();
    let refusals = vec![("first", "550 nobody of this name")];
    let server = Server::start(Manner { refusals, ..Manner::open(MailTls::None) }).await;
    let receiver = by_mail(&server, MailTls::None, folder.path());
    let viewer = Viewer::configured(|config| quickly(config, vec![receiver]));
    send(&viewer, 1..31, true).await;
    viewer.api_until("/alerts", delivered(1)).await;
    in_time(viewer.close()).await;
    assert_eq!(server.mails()[0].to, ["second@example.org"]);
}

#[tokio::test]
async fn a_mail_that_nobody_takes_is_given_up_and_one_that_waits_is_not() {
    let folder = TempDir::new().unwrap();
    let never = vec![("example.org", "550 nobody of this name")];
    let server = Server::start(Manner { refusals: never, ..Manner::open(MailTls::None) }).await;
    let receiver = by_mail(&server, MailTls::None, folder.path());
    let viewer = Viewer::configured(|config| quickly(config, vec![receiver]));
    send(&viewer, 1..31, true).await;
    let answer = viewer.api_until("/alerts", |answer| answer["receivers"][0]["refused"] == 1).await;
    assert_eq!(answer["receivers"][0]["waiting"], 0);
    assert!(trouble(&answer).unwrap().contains("nobody of this name"), "{answer}");
    in_time(viewer.close()).await;

    let later = vec![("second", "450 ask again later")];
    let server = Server::start(Manner { refusals: later, ..Manner::open(MailTls::None) }).await;
    let receiver = by_mail(&server, MailTls::None, folder.path());
    let viewer = Viewer::configured(|config| quickly(config, vec![receiver]));
    send(&viewer, 1..31, true).await;
    let answer = viewer.api_until("/alerts", |answer| trouble(answer).is_some()).await;
    assert_eq!((answer["receivers"][0]["waiting"].as_u64(), server.mails().len()), (Some(1), 0));
    in_time(viewer.close()).await;
}

#[tokio::test]
async fn a_receiver_of_other_severities_is_not_mailed() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(Manner::open(MailTls::None)).await;
    let wanted = by_mail(&server, MailTls::None, folder.path());
    let unwanted = ReceiverSettings {
        name: "tickets".to_owned(),
        severities: vec!["ticket".to_owned()],
        to: vec!["tickets@example.org".to_owned()],
        ..wanted.clone()
    };
    let wanted = ReceiverSettings { severities: vec!["page".to_owned()], ..wanted };
    let viewer = Viewer::configured(|config| quickly(config, vec![wanted, unwanted]));
    send(&viewer, 1..31, true).await;
    let answer = viewer.api_until("/alerts", delivered(1)).await;
    assert_eq!(
        (answer["receivers"][1]["waiting"].as_u64(), answer["receivers"][1]["delivered"].as_u64()),
        (Some(0), Some(0))
    );
    in_time(viewer.close()).await;
    assert_eq!(server.mails().len(), 1);
}
