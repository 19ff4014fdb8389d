//! A server of somebody else on free ports.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use waypost_testkit::program::command;
use waypost_testkit::{PATIENCE, Process, left_out};

/// A running server with a folder of its own. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Server {
    _process: Process,
    _folder: TempDir,
}

/// A program from this variable, else from the path or where a system keeps servers; `None` after saying so.
pub(crate) fn program(test: &str, name: &str) -> Option<PathBuf> {
    let variable = format!("TEST_{}", name.to_uppercase());
    let set = std::env::var_os(&variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = set.or_else(|| folders.map(|folder| folder.join(name)).find(|place| place.is_file()));
    if found.is_none() {
        left_out(
            test,
            &format!("no {name}, on the path or in {variable}; `cargo xtask needs` says how to have it"),
        );
    }
    found
}

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    let place = repository().join(path);
    std::fs::read_to_string(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()))
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// An address of loopback that nobody listens at. Somebody may take it before its server does; the server then says so.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The text with each of these in the place of what stands there. What does not stand there is a mistake: the file has changed.
pub(crate) fn with(text: &str, changes: &[(&str, String)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old:?} is not in the file any more");
        text.replace(old, new)
    })
}

impl Server {
    /// Starts it with its configuration in a file of its own folder: `{}` stands for the file, `{folder}` for the folder. Waits
    /// until it takes connections at this address.
    pub(crate) async fn start(
        program: &Path,
        arguments: &[&str],
        (name, configuration): (&str, &str),
        ready: SocketAddr,
    ) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display().to_string();
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, configuration.replace("{folder}", &here)).unwrap();
        let argument =
            |argument: &&str| argument.replace("{folder}", &here).replace("{}", &file.display().to_string());
        let mut command = command(program, folder.path());
        let process = Process::start(command.args(arguments.iter().map(argument))).unwrap();
        let connected = tokio::time::timeout(PATIENCE, async {
            while tokio::net::TcpStream::connect(ready).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(connected.await.is_ok(), "{} is not at {ready}:\n{}", program.display(), process.output());
        Server { _process: process, _folder: folder }
    }
}
