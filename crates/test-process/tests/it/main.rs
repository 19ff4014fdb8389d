//! Children of a shell: what they say is there, how they end is known, and none is left behind.

use std::process::Command;

use waypost_test_process::Process;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn what_a_child_says_is_kept_by_stream_and_with_its_code() {
    let stopped = Process::run(&mut shell("echo one; echo two >&2; printf three; exit 7")).unwrap();
    assert_eq!((stopped.code, stopped.out.as_str(), stopped.err.as_str()), (7, "one\nthree\n", "two\n"));
    assert_eq!(stopped.output.lines().count(), 3);
}

#[test]
fn a_line_that_never_comes_is_an_error_with_what_was_said() {
    let mut child = Process::start(&mut shell("echo nothing of use; exit 3")).unwrap();
    let error = child.wait_for_line("the address", |line| line.strip_prefix("listening on ").map(str::len));
    let error = error.unwrap_err().to_string();
    for part in ["before the address", "nothing of use", "exit status: 3"] {
        assert!(error.contains(part), "{part:?} is missing in {error}");
    }
}

#[tokio::test]
async fn a_child_that_hangs_ends_by_a_signal_and_by_being_dropped() {
    // In the background of a shell these tests inherit that SIGINT is ignored, and so would the child.
    let hanging = "echo ready; exec env --default-signal=INT sleep 600";
    let mut child = Process::start(&mut shell(hanging)).unwrap();
    child.line("that it is ready", |line| (line == "ready").then_some(())).await.unwrap();
    let stopped = child.interrupt().await.unwrap();
    assert_eq!((stopped.code, stopped.out.as_str()), (-1, "ready\n"));

    let child = Process::start(&mut shell(hanging)).unwrap();
    let id = child.id();
    drop(child);
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists(), "{id} is still there");
}

#[test]
fn a_killed_child_has_said_what_it_had_written() {
    let mut child = Process::start(&mut shell("i=0; while :; do echo line $i; i=$((i+1)); done")).unwrap();
    child.wait_for_lines(50, "50 lines", |line| line.strip_prefix("line ").map(str::len)).unwrap();
    let stopped = child.kill_and_wait().unwrap();
    assert!(stopped.out.lines().count() >= 50);
    assert!(!stopped.status.success());
}
