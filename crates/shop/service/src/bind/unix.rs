//! Binding a Unix-domain socket.
//!
//! A file stays behind when its process is killed, and the next one has to know that it may take its place. So whoever
//! listens holds a lock on a file beside the socket (`order.sock.lock`), which the system lets go of with the process, and
//! asks besides whether anybody answers at the socket, who may be a program without such a lock. Both files are removed
//! when the listener is dropped.
//!
//! Invariant: nobody can connect before the file has its mode, since it is bound first and listened at then.

use crate::{Secured, address::target_of};
use socket2::{Domain, SockAddr, Socket as SystemSocket, Type};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};
use waypost_telemetry::grpc::UnixSocket;

/// Bytes of a path that the system has room for, beside the zero at its end.
const MAX_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Its user and group may connect.
const MODE: u32 = 0o660;

/// Connections that wait to be accepted. A client whose connection finds no room is refused at once.
const BACKLOG: i32 = 1024;

/// A bound Unix-domain socket that nobody accepts from yet. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct UnixListener {
    pub(crate) inner: tokio::net::UnixListener,
    pub(crate) secured: Option<Secured>,
    pub(crate) socket: UnixSocket,
    pub(crate) file: SocketFile,
}

/// The file of a socket, as long as somebody listens there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Let go of after the file is removed.
    _lock: Lock,
}

/// The lock beside a socket. Its file is removed when it is dropped.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

/// Why a Unix-domain socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum UnixBindError {
    /// The system has no room for the path.
    #[error(
        "the path {path} has {length} bytes, and that of a Unix-domain socket has {MAX_PATH} at most; choose a shorter one"
    )]
    TooLong {
        /// The path.
        path: String,
        /// Its length.
        length: usize,
    },
    /// Somebody listens there.
    #[error("the socket {path} is taken by {holder}; stop that first, or choose another path")]
    Taken {
        /// The path.
        path: String,
        /// Who, as far as it is known.
        holder: String,
    },
    /// What is there was not made by a listener.
    #[error("{path} is there already and is no socket; choose another path")]
    NoSocket {
        /// The path.
        path: String,
    },
    /// The folder is not there.
    #[error("the folder of the socket {path} is not there")]
    NoFolder {
        /// The path.
        path: String,
    },
    /// The system has refused.
    #[error("cannot listen at the socket {path}")]
    Io {
        /// The path.
        path: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl UnixListener {
    /// Takes nobody who does not show a certificate; see [`Listener::secured`](super::Listener::secured).
    #[must_use]
    pub fn secured(self, secured: Secured) -> UnixListener {
        UnixListener { secured: Some(secured), ..self }
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// How a client of this machine calls it.
    pub fn target(&self) -> String {
        target_of(self.path())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // What cannot be removed is taken over by the next one.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked, so nobody else has it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds the socket at this path, in the place of one that a process has left behind which is no more. Must be called
/// inside a tokio runtime.
///
/// # Errors
/// When somebody listens there, something else is there, or the system has no room for the path.
pub fn bind_unix(path: impl Into<PathBuf>) -> Result<UnixListener, UnixBindError> {
    let path = path.into();
    let shown = || path.display().to_string();
    let length = path.as_os_str().len();
    if length > MAX_PATH {
        return Err(UnixBindError::TooLong { path: shown(), length });
    }
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => UnixBindError::NoFolder { path: shown() },
        _ => UnixBindError::Io { path: shown(), source },
    };
    let address = SockAddr::unix(&path).map_err(failed)?;
    let taken = |holder| UnixBindError::Taken { path: shown(), holder };
    let lock = match hold(&path).map_err(failed)? {
        Held::Ours(lock) => lock,
        Held::Anothers(holder) => return Err(taken(holder)),
    };
    match fs::symlink_metadata(&path) {
        Ok(there) if there.file_type().is_socket() => {
            if is_answered(&address).map_err(failed)? {
                return Err(taken("a process that is not known".to_owned()));
            }
            fs::remove_file(&path).map_err(failed)?;
        }
        Ok(_) => return Err(UnixBindError::NoSocket { path: shown() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let bound = SystemSocket::new(Domain::UNIX, Type::STREAM, None).and_then(|bound| {
        bound.set_nonblocking(true)?;
        bound.bind(&address)?;
        Ok(bound)
    });
    let bound = bound.map_err(failed)?;
    // From here on the file goes with whatever fails.
    let file = SocketFile { path: path.clone(), _lock: lock };
    let listening = || {
        fs::set_permissions(&path, Permissions::from_mode(MODE))?;
        bound.listen(BACKLOG)?;
        tokio::net::UnixListener::from_std(OwnedFd::from(bound).into())
    };
    let inner = listening().map_err(failed)?;
    Ok(UnixListener { inner, secured: None, socket: UnixSocket::new(&path), file })
}

enum Held {
    Ours(Lock),
    /// By whom, in words.
    Anothers(String),
}

/// Takes the lock beside a socket.
fn hold(path: &Path) -> io::Result<Held> {
    let mut lock_path = OsString::from(path);
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                lock.read_to_string(&mut holder)?;
                let holder = holder.trim().parse::<u32>().map(|pid| format!("process {pid}"));
                return Ok(Held::Anothers(holder.unwrap_or_else(|_| "another process".to_owned())));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever held it before may have removed its file after it was opened here; the lock of that file is nobody's.
        let is_there = match fs::metadata(&lock_path) {
            Ok(there) => there.ino() == lock.metadata()?.ino(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if is_there {
            lock.set_len(0)?;
            writeln!(lock, "{}", std::process::id())?;
            return Ok(Held::Ours(Lock { path: lock_path, _file: lock }));
        }
    }
}

/// Whether anybody accepts connections at the socket.
fn is_answered(address: &SockAddr) -> io::Result<bool> {
    let asking = SystemSocket::new(Domain::UNIX, Type::STREAM, None)?;
    // One that has no room for a connection is there all the same.
    asking.set_nonblocking(true)?;
    match asking.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        _ => Ok(true),
    }
}
