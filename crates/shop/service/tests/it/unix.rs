//! Unix-domain sockets: who may connect, what is left behind, and what is refused.

use crate::support::{get_http2, in_time};
use axum::{Extension, Router, extract::ConnectInfo, routing::get};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::net::UnixStream;
use waypost_service::{Drain, Limits, UnixBindError, UnixListener, bind_unix, serve};
use waypost_telemetry::grpc::UnixSocket;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("order.sock");
    (folder, path)
}

fn files(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// What a killed process leaves: the files of a socket that nobody listens at.
fn leave_behind(path: &Path) {
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    fs::write(path.with_extension("sock.lock"), "4194304\n").unwrap();
}

/// Says what a request shows of the connection that it came over.
async fn seen(
    socket: Option<Extension<UnixSocket>>,
    address: Option<Extension<ConnectInfo<SocketAddr>>>,
) -> String {
    let socket = socket.map(|Extension(socket)| socket.path().to_owned());
    format!("{} {}", socket.unwrap_or_default(), address.is_some())
}

async fn ask(path: &Path) -> (u16, String) {
    let stream = UnixStream::connect(path).await.unwrap();
    let (mut sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    drop(waypost_telemetry::spawn(connection));
    in_time(get_http2(&mut sender, "/")).await.unwrap()
}

/// Serves until the drain, and gives what was answered to one request.
async fn served_once(listener: UnixListener) -> (u16, String) {
    let path = listener.path().to_owned();
    let (trigger, drain) = Drain::new();
    let router = Router::new().route("/", get(seen));
    let serving = waypost_telemetry::spawn(serve(listener, router, Limits::default(), drain));
    let answer = ask(&path).await;
    trigger.start();
    assert_eq!(in_time(serving).await.unwrap().connections, 1);
    answer
}

#[tokio::test]
async fn requests_know_the_socket_and_no_address() {
    let (folder, path) = folder();
    let listener = bind_unix(&path).unwrap();
    assert_eq!(listener.target(), format!("unix:{}", path.display()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(served_once(listener).await, (200, format!("{} false", path.display())));
    assert_eq!(files(&folder), [""; 0], "nothing is left behind");
}

#[tokio::test]
async fn what_a_killed_process_left_behind_is_taken_over() {
    let (folder, path) = folder();
    leave_behind(&path);
    assert_eq!(files(&folder).len(), 2);
    assert_eq!(served_once(bind_unix(&path).unwrap()).await.0, 200);
    assert_eq!(files(&folder), [""; 0]);
}

#[tokio::test]
async fn a_second_listener_is_refused_with_the_holder_and_harms_nobody() {
    let (_folder, path) = folder();
    let first = bind_unix(&path).unwrap();
    let error = bind_unix(&path).unwrap_err();
    assert!(matches!(error, UnixBindError::Taken { .. }), "{error}");
    let expected = format!("the socket {} is taken by process {}", path.display(), std::process::id());
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert_eq!(served_once(first).await.0, 200);
    drop(bind_unix(&path).unwrap());
}

#[tokio::test]
async fn the_socket_of_another_program_and_other_files_are_left_alone() {
    let (folder, path) = folder();
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = bind_unix(&path).unwrap_err();
    assert!(matches!(error, UnixBindError::Taken { .. }), "{error}");
    assert_eq!(files(&folder), ["order.sock"]);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(other);

    let file = folder.path().join("notes.txt");
    fs::write(&file, "kept").unwrap();
    let error = bind_unix(&file).unwrap_err();
    assert!(matches!(error, UnixBindError::NoSocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
}

#[tokio::test]
async fn a_path_that_cannot_be_is_refused_with_words() {
    let (folder, _) = folder();
    let folder = folder.path().display().to_string();
    let of_length = |length: usize| format!("{folder}/{}", "s".repeat(length - folder.len() - 1));
    drop(bind_unix(of_length(103)).unwrap());
    let error = bind_unix(of_length(108)).unwrap_err();
    assert!(matches!(error, UnixBindError::TooLong { length: 108, .. }), "{error}");
    assert!(error.to_string().contains("has 108 bytes"), "{error}");
    let error = bind_unix(format!("{folder}/nowhere/order.sock")).unwrap_err();
    assert!(matches!(error, UnixBindError::NoFolder { .. }), "{error}");
}
