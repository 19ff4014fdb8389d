//! A PostgreSQL server of a test's own, which it may kill.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use waypost_testkit::until;

/// A server in a private folder on a port of its own. It is ended with its folder when this is dropped.
pub(super) struct OwnServer {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl OwnServer {
    pub(super) async fn start() -> OwnServer {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        // The server does not run as root, and so must have its own.
        if is_root() {
            let given = Command::new("chown").arg("nobody").arg(folder.path()).status().unwrap();
            assert!(given.success());
        }
        let data = folder.path().join("data");
        let options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
        let made = as_nobody("initdb").arg("-D").arg(&data).args(options).stdout(Stdio::null()).status();
        assert!(made.unwrap().success());
        let mut server = OwnServer { folder, port, child: None };
        server.start_again().await;
        server
    }

    /// Starts it on the data that is there, and waits until it answers.
    pub(super) async fn start_again(&mut self) {
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", self.folder.path().display()),
            "max_connections=200".to_owned(),
        ];
        let mut command = as_nobody("postgres");
        command.arg("-D").arg(self.folder.path().join("data"));
        for setting in settings {
            command.args(["-c", &setting]);
        }
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let url = Arc::new(self.url());
        until("the server to answer", async || {
            let url = Arc::clone(&url);
            tokio::task::spawn_blocking(move || try_execute(&url, "SELECT 1").is_ok()).await.unwrap()
        })
        .await;
    }

    /// As a machine that loses its power: the server and all its processes, at once.
    pub(super) async fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id();
        let of_server = Command::new("pgrep").args(["-P", &pid.to_string()]).output().unwrap();
        let children = String::from_utf8(of_server.stdout).unwrap();
        let all = std::iter::once(pid.to_string()).chain(children.split_whitespace().map(str::to_owned));
        let _ = Command::new("kill").arg("-9").args(all).stderr(Stdio::null()).status();
        child.wait().unwrap();
        let port = self.port;
        until("its port to be closed", async || std::net::TcpStream::connect(("127.0.0.1", port)).is_err())
            .await;
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
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

/// `$PG_BIN`, or where Debian keeps the newest.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("PG_BIN") {
        return folder.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let newest = folders.filter(|folder| folder.join("initdb").exists()).max();
    newest.unwrap_or_else(|| {
        panic!("set PG_BIN to the folder of PostgreSQL's programs, or install the package postgresql")
    })
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Runs statements by psql's protocol, over a connection of their own.
pub(super) fn execute(url: &str, sql: &str) {
    try_execute(url, sql).unwrap();
}

fn try_execute(url: &str, sql: &str) -> Result<(), String> {
    let server = waypost_durable::postgres::testing::server(url);
    waypost_durable::postgres::testing::try_execute(&server, "test", sql.to_owned())
}
