//! A PostgreSQL that a test has for itself: to kill it, to give it little, to let it fail over to a standby.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::POSTGRES_BIN;
use crate::child::free_port;
use crate::postgres::execute;
use crate::small_disk::SmallDisk;

/// How long it may take to start or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server in a folder and on a port of its own. Dropped, it is ended and its data is gone.
#[derive(Debug)]
pub struct OwnPostgres {
    port: u16,
    data: PathBuf,
    settings: Vec<(String, String)>,
    child: Option<Child>,
    /// Of its data or its log, when that has a disk of its own.
    disk: Option<SmallDisk>,
    folder: TempDir,
}

/// What has a small disk of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Small {
    /// Tables and indexes; the write-ahead log is elsewhere.
    Data,
    /// The write-ahead log.
    Log,
}

/// What a server with TLS shows to its clients, and which authority signs theirs; PEM.
#[derive(Clone, Copy, Debug)]
pub struct Certificates<'a> {
    /// The authority of the clients.
    pub authority: &'a str,
    /// Its own certificate.
    pub certificate: &'a str,
    /// The key of that.
    pub key: &'a str,
}

impl OwnPostgres {
    /// One that speaks TLS. Its superuser may come as it likes; everybody else has to come over TLS, with a certificate that
    /// is made out to the user's name.
    pub fn secured(certificates: Certificates<'_>) -> Self {
        let mut server = Self::prepared(&[]);
        server.init(&[]);
        let Certificates { authority, certificate, key } = certificates;
        let files = [("ssl_ca_file", authority), ("ssl_cert_file", certificate), ("ssl_key_file", key)];
        for (setting, text) in files {
            let file = server.folder.path().join(setting);
            give(&file, text);
            server.settings.push((setting.to_owned(), file.display().to_string()));
        }
        server.settings.push(("ssl".to_owned(), "on".to_owned()));
        let rules = "host all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 cert\n";
        give(&server.data.join("pg_hba.conf"), rules);
        server.start_again();
        server
    }

    /// One with these settings beside those that every one has, such as `("max_connections", "20")`.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::prepared(settings);
        server.init(&[]);
        server.start_again();
        server
    }

    /// One whose data, or whose write-ahead log, is on a disk of so many mebibytes. Only root can make such a disk.
    pub fn on_small_disk(what: Small, mebibytes: u32, settings: &[(&str, &str)]) -> Self {
        let mut server = Self::prepared(settings);
        let place = server.folder.path().join("small");
        server.disk = Some(SmallDisk::mount(&place, mebibytes, NOBODY));
        let log = match what {
            Small::Data => {
                server.data = place.join("data");
                server.folder.path().join("log-of-writes")
            }
            Small::Log => place.join("log-of-writes"),
        };
        server.init(&["--wal-segsize=1", &format!("--waldir={}", log.display())]);
        server.start_again();
        server
    }

    /// Another one that follows this one, and that this one waits for at every commit from now on.
    #[must_use]
    pub fn standby(&mut self) -> Self {
        let mut standby = Self::prepared(&[]);
        standby.settings.clone_from(&self.settings);
        let from = format!("postgres://postgres@127.0.0.1:{}?application_name=standby", self.port);
        let mut copy = as_nobody("pg_basebackup");
        copy.arg("-D").arg(&standby.data).args(["-d", &from, "-R", "-X", "stream", "--checkpoint=fast"]);
        succeeded(copy.output(), "pg_basebackup");
        standby.start_again();
        self.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
        self.execute("SELECT pg_reload_conf()");
        let is_waited_for = "SELECT 1 / count(*) FROM pg_stat_replication WHERE application_name = 'standby' AND sync_state = 'sync'";
        wait("the standby to be waited for", || execute(&self.url(), is_waited_for.to_owned()).is_ok());
        standby
    }

    /// Lets a standby take over. Whoever is connected to it may write from now on.
    pub fn promote(&self) {
        // What it has of its primary says whom to wait for; nobody follows it.
        self.execute("ALTER SYSTEM SET synchronous_standby_names = ''");
        self.execute("SELECT pg_reload_conf()");
        self.execute("SELECT pg_promote()");
    }

    /// Starts it on the data that is there, and waits until it answers.
    pub fn start_again(&mut self) {
        let mut command = as_nobody("postgres");
        command.arg("-D").arg(&self.data);
        let own = [
            ("port", self.port.to_string()),
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("unix_socket_directories", String::new()),
            ("max_connections", "200".to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        for (name, value) in own.chain(self.settings.clone()) {
            command.args(["-c", &format!("{name}={value}")]);
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_file());
        let log = log.unwrap_or_else(|error| panic!("{}: {error}", self.log_file().display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("starting postgres: {error}")));
        let end = Instant::now() + PATIENCE;
        while execute(&self.url(), "SELECT 1".to_owned()).is_err() {
            assert!(Instant::now() < end, "PostgreSQL does not answer: {}", self.log());
            assert!(!self.has_ended(), "PostgreSQL ended: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// As a machine that loses its power: the server and all its processes, at once.
    pub fn kill(&mut self) {
        self.end();
        let port = self.port;
        wait("its port to be closed", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }

    /// Sends the server and all its processes a signal by name: after `STOP` it stands still, after `CONT` it goes on.
    pub fn signal(&self, signal: &str) {
        let all = self.processes();
        let _ = Command::new("kill").arg(format!("-{signal}")).args(all).stderr(Stdio::null()).status();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|ended| ended.is_some()))
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's URL.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs a statement over a connection of its own.
    pub fn execute(&self, sql: &str) {
        execute(&self.url(), sql.to_owned()).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// What it has said since its first start.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Its small disk.
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().unwrap_or_else(|| panic!("it has no small disk"))
    }

    fn prepared(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder for PostgreSQL: {error}"));
        // It does not run as root, and so must have its own.
        if is_root() {
            succeeded(Command::new("chown").arg(NOBODY).arg(folder.path()).output(), "chown");
        }
        let port = free_port();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let (data, settings) = (folder.path().join("data"), settings.iter().map(owned).collect());
        Self { port, data, settings, child: None, disk: None, folder }
    }

    fn init(&self, more: &[&str]) {
        let mut command = as_nobody("initdb");
        command.arg("-D").arg(&self.data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8"]);
        command.args(["--locale=C.UTF-8", "--no-sync", "--no-instructions"]).args(more);
        succeeded(command.output(), "initdb");
    }

    fn end(&mut self) {
        let mut all = self.processes();
        let Some(mut child) = self.child.take() else { return };
        // First it alone, so that it makes no more of them.
        child.kill().ok();
        child.wait().ok();
        all.pop();
        let _ = Command::new("kill").arg("-9").args(all).stderr(Stdio::null()).status();
    }

    /// The server, at the end, and those that it has made.
    fn processes(&self) -> Vec<String> {
        let Some(child) = &self.child else { return Vec::new() };
        let pid = child.id().to_string();
        let made = Command::new("pgrep").args(["-P", &pid]).output();
        let made = made.unwrap_or_else(|error| panic!("pgrep: {error}"));
        let made = String::from_utf8_lossy(&made.stdout).into_owned();
        made.split_whitespace().map(str::to_owned).chain([pid]).collect()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("messages")
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        // One that stands still hears nothing else.
        self.end();
    }
}

/// Who it runs as when the test is root, which it refuses to run as.
const NOBODY: &str = "nobody";

/// One of the server's programs for its clients, such as `pg_dump`.
pub fn client(program: &str) -> Command {
    Command::new(programs().join(program))
}

/// One of the server's programs, as somebody who is not root.
fn as_nobody(program: &str) -> Command {
    let program = programs().join(program);
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

/// Where the test run found them, `$PG_BIN`, or where Debian keeps the newest.
fn programs() -> PathBuf {
    let named = std::env::var_os(POSTGRES_BIN).or_else(|| std::env::var_os("PG_BIN"));
    if let Some(folder) = named {
        return folder.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let newest = folders.filter(|folder| folder.join("initdb").exists()).max();
    newest.unwrap_or_else(|| {
        panic!("set PG_BIN to the folder of PostgreSQL's programs, or install the package postgresql")
    })
}

/// Writes a file that the server may read, and nobody else.
fn give(file: &Path, text: &str) {
    let private = fs::Permissions::from_mode(0o600);
    let written = fs::write(file, text).and_then(|()| fs::set_permissions(file, private));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    if is_root() {
        succeeded(Command::new("chown").arg(NOBODY).arg(file).output(), "chown");
    }
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn succeeded(output: std::io::Result<Output>, what: &str) {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
