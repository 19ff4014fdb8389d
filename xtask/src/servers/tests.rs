use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::anyhow;

use super::process::{Signal, User};
use super::*;
use crate::needs::on_path;

/// A stand-in for a server: the shell, and a script.
struct Script {
    text: &'static str,
}

impl Program for Script {
    fn description(&self) -> String {
        "a script".to_owned()
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let ready = folder.join("ready");
        let script = self.text.replace("READY", &ready.to_string_lossy());
        let shell = on_path(&["sh"]).unwrap();
        let arguments = ["-c", &script];
        let mut process = Process::start(User::Own, &shell, arguments, Signal::Kill, &folder.join("log"))?;
        process.ready(|_| ready.exists())?;
        Ok(Started::at(process, "nowhere".to_owned()))
    }
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("server");
    (scratch, folder)
}

fn is_alive(process: u32) -> bool {
    // A zombie is still listed, and has no memory.
    fs::read_to_string(format!("/proc/{process}/statm")).is_ok_and(|memory| !memory.starts_with("0 "))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_server_that_ends_before_it_answers_is_told_with_its_last_words() {
    let (_scratch, folder) = scratch();
    let failed = start(&Script { text: "echo one; echo 'no such option' >&2; exit 3" }, &folder);
    let reason = failed.err().unwrap();
    assert_eq!(format!("{reason:#}"), "it did not start: exit status: 3; its log: one | no such option");
}

#[test]
fn a_port_that_somebody_else_took_is_another_try() {
    let (scratch, folder) = scratch();
    let text = "n=$(cat ../tries 2>/dev/null || echo 0); n=$((n+1)); echo $n > ../tries; \
                [ $n -lt 3 ] && { echo 'Address already in use'; exit 1; }; touch READY; exec sleep 600";
    // The script runs where this test does, so it is told the folder.
    let text: &'static str =
        Box::leak(text.replace("../tries", &scratch.path().join("tries").to_string_lossy()).into_boxed_str());
    let mut started = start(&Script { text }, &folder).unwrap();
    assert!(started.process.ended().is_none());
    assert_eq!(fs::read_to_string(scratch.path().join("tries")).unwrap().trim(), "3");
}

#[test]
fn a_server_that_ends_later_is_told_once() {
    let (_scratch, folder) = scratch();
    let started = start(&Script { text: "touch READY; exec sleep 600" }, &folder).unwrap();
    let id = started.process.id();
    let running = Running { name: "Script", process: started.process, is_told: false };
    let servers = Servers { running: Arc::new(Mutex::new(vec![running])), variables: Vec::new() };
    servers.watch();
    assert_eq!(servers.ended(), Vec::<String>::new());
    assert!(Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap().success());
    wait_until("its end is told", || lock(&servers.running).iter().all(|server| server.is_told));
    assert_eq!(servers.ended(), ["Script ended: signal: 9 (SIGKILL); its log: empty"]);
    servers.stop();
}

#[test]
fn a_server_ends_with_its_owner() {
    let (_scratch, folder) = scratch();
    let mut started = start(&Script { text: "touch READY; exec sleep 600" }, &folder).unwrap();
    let id = started.process.id();
    assert!(started.process.ended().is_none() && is_alive(id));
    drop(started);
    assert!(!is_alive(id));
}

/// The owner is killed, and cannot end anything itself: the kernel does.
#[test]
fn a_server_ends_with_an_owner_that_is_killed() {
    let (_scratch, folder) = scratch();
    fs::create_dir(&folder).unwrap();
    // This thread would be the owner, so another process has to be: a shell that starts what this program would.
    let command = User::Own.command(Path::new("/bin/sleep"), Signal::Kill).unwrap();
    let words: Vec<String> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let note = folder.join("child");
    let script = format!("{} 600 & echo $! > {}; wait", words.join(" "), note.display());
    let mut owner = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
    let child = || fs::read_to_string(&note).ok()?.trim().parse::<u32>().ok();
    wait_until("the child is there", || child().is_some());
    let child = child().unwrap();
    // What the kernel shows of it is the program itself once the signal has been asked for.
    let is_sleep =
        || fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.trim() == "sleep");
    wait_until("the child is the program", is_sleep);
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("the child has ended", || !is_alive(child));
}

#[test]
fn a_real_redis_answers_and_leaves_nothing() {
    let (scratch, folder) = scratch();
    let program = match redis::find(scratch.path()) {
        Ok(program) => program,
        Err(reason) => panic!("this test needs Redis: {reason:#}"),
    };
    let started = start(program.as_ref(), &folder).unwrap();
    assert!(started.address.starts_with("redis://127.0.0.1:"), "{}", started.address);
    let id = started.process.id();
    drop(started);
    assert!(!is_alive(id));
}

#[test]
fn a_real_postgres_answers_and_takes_its_own_children_along() {
    let (scratch, folder) = scratch();
    // Another user has to get in, when this test runs as root.
    fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = match postgres::find(scratch.path()) {
        Ok(program) => program,
        Err(reason) => panic!("this test needs PostgreSQL: {reason:#}"),
    };
    let started = start(program.as_ref(), &folder).unwrap();
    let id = started.process.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let children: Vec<u32> = children.split_whitespace().map(|child| child.parse().unwrap()).collect();
    assert!(!children.is_empty());
    drop(started);
    wait_until("its children have ended", || children.iter().all(|child| !is_alive(*child)));
}

#[test]
fn a_server_that_cannot_be_had_is_left_out() {
    let failed = Failed::from(anyhow!("no network"));
    assert!(!failed.is_in_use);
    assert_eq!(failed.reason.to_string(), "no network");
}
