use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use tempfile::tempdir;
use waypost_test_servers::free_port;

use super::program::{PATIENCE, Program, ended, waypost};

#[test]
fn a_target_that_is_not_on_this_machine_is_refused() {
    let folder = tempdir().unwrap();
    let ended = ended(waypost(folder.path()).args(["load", "--target", "http://192.0.2.1:8080"]));
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("--allow-remote"), "{}", ended.err);
}

#[test]
fn a_target_where_nobody_listens_is_told_from_failures_of_the_system() {
    let folder = tempdir().unwrap();
    let closed = format!("127.0.0.1:{}", free_port());
    let ended = ended(waypost(folder.path()).args([
        "load",
        "--target",
        &format!("http://{closed}"),
        "--orders",
        "3",
    ]));
    assert_eq!(ended.code, 69, "{ended:?}");
    assert!(ended.err.contains("waypost up"), "{}", ended.err);
}

#[test]
fn a_connection_that_the_server_closes_while_it_is_idle_is_opened_again() {
    let folder = tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        // One answer a connection, closed without a word about it.
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}").unwrap();
            }
        }
    });
    let arguments = ["--orders", "5", "-n", "1", "--rate", "20"];
    let ended = ended(waypost(folder.path()).args(["load", "--target", &target]).args(arguments));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn a_request_whose_connection_breaks_before_the_answer_is_counted_as_lost() {
    let folder = tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // Read, and dropped without an answer.
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        }
    });
    let ended = ended(waypost(folder.path()).args(["load", "--target", &target, "--orders", "2", "-n", "1"]));
    assert_eq!(ended.code, 69, "{ended:?}");
    assert!(ended.out.contains("unexpected: 2 times client:connection_lost"), "{}", ended.out);
}

#[test]
fn an_answer_that_the_mix_does_not_explain_makes_the_run_fail() {
    let folder = tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let mut request = [0; 4096];
            while stream.read(&mut request).is_ok_and(|length| length > 0) {
                let body = r#"{"code":"overloaded"}"#;
                let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json";
                write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            }
        }
    });
    let ended = ended(waypost(folder.path()).args(["load", "--target", &target, "--orders", "4", "-n", "1"]));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("unexpected: 4 times overloaded"), "{}", ended.out);
}

#[test]
fn a_run_with_a_rate_ends_in_time_and_at_an_interrupt() {
    let folder = tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, arrivals) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            while stream.read(&mut request).is_ok_and(|length| length > 0) {
                stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}").unwrap();
                arrived.send(()).unwrap();
            }
        }
    });
    let load = |arguments: &[&str]| {
        let mut command = waypost(folder.path());
        command.args(["load", "--json", "--target", &target]).args(arguments);
        command
    };
    let report = |out: &str| serde_json::from_str::<serde_json::Value>(out).unwrap();

    // The second order would be due after the end.
    let in_time = ended(&mut load(&["--rate", "1", "--duration", "500ms"]));
    assert_eq!(report(&in_time.out)["requests"], 1, "{in_time:?}");
    arrivals.recv_timeout(PATIENCE).unwrap();

    let slow = Program::start(&mut load(&["--rate", "0.01", "--duration", "1h"]));
    arrivals.recv_timeout(PATIENCE).unwrap();
    slow.signal("INT");
    let interrupted = slow.end();
    assert_eq!(interrupted.code, 0, "{interrupted:?}");
    assert!(report(&interrupted.out)["seconds"].as_f64().unwrap() < 60.0, "{interrupted:?}");
}
