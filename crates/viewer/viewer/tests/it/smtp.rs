//! A small SMTP server: in TLS from the first byte, after `STARTTLS`, or without; for everybody or for one user; away or there.

use crate::tls::Identity;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};
use waypost_viewer::MailTls;

/// A mail that was taken, and how it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    pub(crate) is_encrypted: bool,
    /// `user` and `password`, as they were proven.
    pub(crate) user: Option<String>,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Head and body, the lines without their ends.
    pub(crate) lines: Vec<String>,
}

impl Mail {
    /// The value of a line of the head, continued lines joined.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let head = self.lines.iter().take_while(|line| !line.is_empty());
        let mut value: Option<String> = None;
        for line in head {
            match (&mut value, line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "))) {
                (None, Some(rest)) => value = Some(rest.to_owned()),
                (Some(so_far), _) if line.starts_with(' ') => so_far.push_str(line),
                (Some(_), _) => break,
                (None, None) => {}
            }
        }
        value
    }

    /// The body as one text, its quoted-printable ends of lines taken back.
    pub(crate) fn body(&self) -> String {
        let body = self.lines.iter().skip_while(|line| !line.is_empty()).skip(1);
        body.map(|line| line.strip_suffix('=').map_or(format!("{line}\n"), str::to_owned)).collect()
    }
}

/// How the server behaves.
#[derive(Clone)]
pub(crate) struct Manner {
    /// What is offered.
    pub(crate) tls: MailTls,
    /// `user:password`; mails are taken from nobody else.
    pub(crate) user: Option<&'static str>,
    /// What recipients are answered whose address contains a word.
    pub(crate) refusals: Vec<(&'static str, &'static str)>,
    /// What follows the answer to `STARTTLS` in clear, as from somebody on the path.
    pub(crate) injected: &'static str,
}

impl Manner {
    pub(crate) fn open(tls: MailTls) -> Self {
        Self { tls, user: None, refusals: Vec::new(), injected: "" }
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) identity: Identity,
    shared: Arc<Shared>,
}

struct Shared {
    manner: Manner,
    is_away: AtomicBool,
    mails: Mutex<Vec<Mail>>,
    /// Every command that came unencrypted, in order.
    in_clear: Mutex<Vec<String>>,
}

impl Server {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manner,
            is_away: AtomicBool::new(false),
            mails: Mutex::new(Vec::new()),
            in_clear: Mutex::new(Vec::new()),
        });
        let (identity, serving) = (Identity::new(), Arc::clone(&shared));
        let own = identity.clone();
        waypost_telemetry::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Who is away breaks off.
                if !serving.is_away.load(Ordering::SeqCst) {
                    waypost_telemetry::spawn(connection(stream, own.clone(), Arc::clone(&serving)));
                }
            }
        });
        Self { address, identity, shared }
    }

    pub(crate) fn goes_away(&self) {
        self.shared.is_away.store(true, Ordering::SeqCst);
    }

    pub(crate) fn comes_back(&self) {
        self.shared.is_away.store(false, Ordering::SeqCst);
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().unwrap().clone()
    }

    pub(crate) fn in_clear(&self) -> Vec<String> {
        self.shared.in_clear.lock().unwrap().clone()
    }
}

async fn connection(stream: tokio::net::TcpStream, identity: Identity, shared: Arc<Shared>) {
    match shared.manner.tls {
        MailTls::Implicit => {
            if let Ok(stream) = identity.acceptor.accept(stream).await {
                talk(stream, &shared, true, "220 ready").await;
            }
        }
        MailTls::None => {
            talk(stream, &shared, false, "220 ready").await;
        }
        MailTls::Starttls => {
            if let Some(stream) = talk(stream, &shared, false, "220 ready").await
                && let Ok(stream) = identity.acceptor.accept(stream).await
            {
                talk(stream, &shared, true, "").await;
            }
        }
    }
}

/// Up to the end of the connection, or to the command that begins TLS, when the stream is given back.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    shared: &Shared,
    is_encrypted: bool,
    greeting: &str,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    let (mut mail, mut user, mut is_data) = (Mail::default(), None, false);
    let mut reply = greeting.to_owned();
    loop {
        if !reply.is_empty() {
            stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end_matches(['\r', '\n']).to_owned();
        if is_data {
            is_data = line != ".";
            reply = String::new();
            if is_data {
                mail.lines.push(line.strip_prefix('.').unwrap_or(&line).to_owned());
            } else {
                mail.is_encrypted = is_encrypted;
                mail.user.clone_from(&user);
                shared.mails.lock().unwrap().push(std::mem::take(&mut mail));
                "250 kept".clone_into(&mut reply);
            }
            continue;
        }
        if !is_encrypted {
            shared.in_clear.lock().unwrap().push(line.clone());
        }
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let may_send = shared.manner.user.is_none() || user.is_some();
        reply = match word.as_str() {
            "EHLO" if shared.manner.tls == MailTls::Starttls && !is_encrypted => {
                "250-localhost\r\n250 STARTTLS".to_owned()
            }
            "EHLO" => "250-localhost\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN".to_owned(),
            "STARTTLS" if shared.manner.tls == MailTls::Starttls => {
                let answer = format!("220 go on\r\n{}", shared.manner.injected);
                stream.write_all(answer.as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
                return Some(stream.into_inner());
            }
            "AUTH" => {
                user = proven(&line).filter(|proven| Some(proven.as_str()) == shared.manner.user);
                if user.is_some() { "235 welcome" } else { "535 who are you" }.to_owned()
            }
            "MAIL" if !may_send => "530 who are you".to_owned(),
            "MAIL" => {
                mail.from = address(&line);
                "250 good".to_owned()
            }
            "RCPT" => {
                let to = address(&line);
                let refusal = shared.manner.refusals.iter().find(|(part, _)| to.contains(part));
                if refusal.is_none() {
                    mail.to.push(to);
                }
                refusal.map_or("250 good", |(_, answer)| answer).to_owned()
            }
            "DATA" => "354 go on".to_owned(),
            "QUIT" => "221 goodbye".to_owned(),
            _ => "500 what".to_owned(),
        };
        is_data = word == "DATA";
    }
}

/// What stands in angle brackets.
fn address(line: &str) -> String {
    let (_, rest) = line.split_once('<').unwrap();
    rest.split_once('>').unwrap().0.to_owned()
}

/// `user:password` of `AUTH PLAIN` with its first answer.
fn proven(line: &str) -> Option<String> {
    use base64::Engine as _;
    let answer = base64::engine::general_purpose::STANDARD.decode(line.strip_prefix("AUTH PLAIN ")?).ok()?;
    let text = String::from_utf8(answer).ok()?;
    let mut parts = text.split('\0').skip(1);
    Some(format!("{}:{}", parts.next()?, parts.next()?))
}
