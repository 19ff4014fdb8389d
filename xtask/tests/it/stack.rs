//! The stack of servers, as a developer meets it.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// The program with a temporary folder of its own.
struct Xtask {
    folder: tempfile::TempDir,
}

impl Xtask {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL's user has to get in when these tests run as root.
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { folder }
    }

    /// Runs a command; returns whether it succeeded, and what it said on standard output and beside it.
    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).env("TMPDIR", self.folder.path());
        for set in ["TEST_POSTGRES_URL", "TEST_REDIS_URL"] {
            command.env_remove(set);
        }
        // They take the longest, and say nothing more about the keeper.
        command.env("TEST_KAFKA", "127.0.0.1:9092").env("TEST_RABBITMQ_URL", "amqp://127.0.0.1:5672");
        let output = command.env("TEST_MONGODB_URL", "mongodb://127.0.0.1:27017").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    fn processes(&self) -> Vec<String> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let commands = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
        let own = self.folder.path().to_string_lossy().into_owned();
        commands.filter(|command| command.contains(&own)).collect()
    }
}

#[test]
fn a_stack_goes_up_once_tells_a_crash_and_leaves_nothing() {
    let xtask = Xtask::new();
    let (is_down, _, said) = xtask.run(&["stack", "status"]);
    assert!(!is_down && said.contains("the stack is down"), "{said}");

    let (is_up, first, said) = xtask.run(&["stack", "up"]);
    assert!(is_up, "{first}{said}");
    assert!(said.contains("servers: Redis: TEST_REDIS_URL=redis://127.0.0.1:"), "{said}");
    let (is_up, second, said) = xtask.run(&["stack", "up"]);
    assert!(is_up && said.contains("is up already"), "{said}");
    assert_eq!(first, second, "the same servers");
    assert_eq!(xtask.run(&["stack", "status"]).1, first);
    let (_, echoed, _) =
        xtask.run(&["stack", "run", "sh", "-c", "echo export TEST_REDIS_URL=\\'$TEST_REDIS_URL\\'"]);
    assert!(first.contains(&echoed), "{first}{echoed}");

    // Redis ends by itself.
    let url = first.lines().find_map(|line| line.strip_prefix("export TEST_REDIS_URL='redis://")).unwrap();
    let mut stream = std::net::TcpStream::connect(url.trim_end_matches('\'')).unwrap();
    std::io::Write::write_all(&mut stream, b"SHUTDOWN NOSAVE\r\n").unwrap();
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    let begun = Instant::now();
    let said = loop {
        let (is_whole, _, said) = xtask.run(&["stack", "status"]);
        if !is_whole {
            break said;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{said}");
    };
    assert!(said.contains("stack: Redis ended: exit status: 0; its log: "), "{said}");

    let (is_down, _, said) = xtask.run(&["stack", "down"]);
    assert!(is_down, "{said}");
    assert_eq!(fs::read_dir(xtask.folder.path()).unwrap().count(), 0, "nothing is left");
    assert_eq!(xtask.processes(), Vec::<String>::new());
    let (is_down, _, said) = xtask.run(&["stack", "down"]);
    assert!(is_down && said.contains("was down already"), "{said}");
}

#[test]
fn a_command_without_a_stack_has_servers_of_its_own() {
    let xtask = Xtask::new();
    let (is_well, said, beside) =
        xtask.run(&["stack", "run", "sh", "-c", "echo $TEST_REDIS_URL $TEST_POSTGRES_URL"]);
    assert!(is_well, "{beside}");
    assert!(
        said.starts_with("redis://127.0.0.1:") && said.contains(" postgres://postgres@127.0.0.1:"),
        "{said}"
    );
    let (is_well, _, beside) = xtask.run(&["stack", "run", "sh", "-c", "exit 3"]);
    assert!(!is_well && beside.contains("`sh` failed: exit status: 3"), "{beside}");
    assert_eq!(fs::read_dir(xtask.folder.path()).unwrap().count(), 0, "nothing is left");
    assert_eq!(xtask.processes(), Vec::<String>::new());
}
