//! A Kafka that a test has for itself: to kill it, or to give it listeners that the shared one does not have.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{KAFKA_CLASS_PATH, variable};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A Kafka of one node. Dropped, it is killed and its data is gone.
#[derive(Debug)]
pub struct OwnKafka {
    folder: TempDir,
    properties: PathBuf,
    class_path: String,
    ports: Vec<u16>,
    child: Option<Child>,
}

impl OwnKafka {
    /// One with the plain listener alone.
    pub fn start() -> Self {
        Self::with_listeners(&[], &[], &[])
    }

    /// One with more listeners, each a name that is its security protocol as well, such as `SSL`; with more properties; and
    /// with users of SCRAM, as `kafka-storage.sh --add-scram` takes them.
    pub fn with_listeners(listeners: &[&str], properties: &[(&str, String)], users: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder for Kafka: {error}"));
        let mut names = vec!["CONTROLLER", "PLAINTEXT"];
        names.extend(listeners);
        let ports = free_ports(names.len());
        let text = configuration(folder.path(), &names, &ports, properties);
        let file = folder.path().join("server.properties");
        fs::write(&file, text).unwrap_or_else(|error| panic!("Kafka's configuration: {error}"));
        let mut kafka =
            Self { folder, properties: file, class_path: variable(KAFKA_CLASS_PATH), ports, child: None };
        kafka.format(users);
        kafka.start_again();
        kafka
    }

    /// The address of the plain listener.
    pub fn address(&self) -> String {
        self.listener(0)
    }

    /// The address of a listener: 0 is the plain one, then those that were asked for.
    pub fn listener(&self, number: usize) -> String {
        let port = self.ports.get(number + 1).unwrap_or_else(|| panic!("Kafka has no listener {number}"));
        format!("127.0.0.1:{port}")
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts it on its data and waits until it listens. It may take a while yet until it answers.
    pub fn start_again(&mut self) {
        let log = self.folder.path().join("log");
        let to_log = || {
            let file = fs::OpenOptions::new().create(true).append(true).open(&log);
            Stdio::from(file.unwrap_or_else(|error| panic!("{}: {error}", log.display())))
        };
        let mut command = self.java("kafka.Kafka");
        command.arg(&self.properties).stdin(Stdio::null()).stdout(to_log()).stderr(to_log());
        let child = command.spawn().unwrap_or_else(|error| panic!("starting java: {error}"));
        self.child = Some(child);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[1]));
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < end, "Kafka does not listen: {}", log());
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "Kafka ended: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn format(&self, users: &[&str]) {
        let mut command = self.java("kafka.tools.StorageTool");
        // Any 22 characters that are 16 bytes in base64url: the cluster has one member.
        command.args(["format", "-t", "d2F5cG9zdC1vd24ta2Fma2E", "-c"]).arg(&self.properties);
        for user in users {
            command.args(["--add-scram", user]);
        }
        let output = command.output().unwrap_or_else(|error| panic!("starting java: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").args(["-cp", &self.class_path, class]);
        command
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configuration(folder: &Path, names: &[&str], ports: &[u16], properties: &[(&str, String)]) -> String {
    let addresses: Vec<String> =
        names.iter().zip(ports).map(|(name, port)| format!("{name}://127.0.0.1:{port}")).collect();
    let protocol =
        |name: &&str| if *name == "CONTROLLER" { "PLAINTEXT".to_owned() } else { (*name).to_owned() };
    let protocols: Vec<String> = names.iter().map(|name| format!("{name}:{}", protocol(name))).collect();
    let mut text = String::from("process.roles=broker,controller\nnode.id=1\n");
    let mut set = |name: &str, value: &str| {
        writeln!(text, "{name}={value}").ok();
    };
    set("controller.quorum.voters", &format!("1@127.0.0.1:{}", ports[0]));
    set("controller.listener.names", "CONTROLLER");
    set("listeners", &addresses.join(","));
    set("advertised.listeners", &addresses[1..].join(","));
    set("listener.security.protocol.map", &protocols.join(","));
    set("inter.broker.listener.name", "PLAINTEXT");
    set("log.dirs", &folder.join("data").display().to_string());
    for (name, value) in [
        ("offsets.topic.replication.factor", "1"),
        ("offsets.topic.num.partitions", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("transaction.state.log.num.partitions", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("auto.create.topics.enable", "false"),
        ("controlled.shutdown.enable", "false"),
        // A broker that was killed waits at its next start until its old registration has run out.
        ("broker.session.timeout.ms", "2000"),
        ("broker.heartbeat.interval.ms", "500"),
    ] {
        set(name, value);
    }
    for (name, value) in properties {
        set(name, value);
    }
    text
}

/// Ports that are free now, all different.
fn free_ports(count: usize) -> Vec<u16> {
    let bind = |_| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| Ok((listener.local_addr()?.port(), listener)))
    };
    let bound: Result<Vec<_>, _> = (0..count).map(bind).collect();
    let bound = bound.unwrap_or_else(|error| panic!("no free port: {error}"));
    bound.into_iter().map(|(port, _)| port).collect()
}
