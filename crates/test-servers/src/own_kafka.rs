//! A Kafka that a test has for itself: to kill it, or to give it listeners that the shared one does not have.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{KAFKA_CLASS_PATH, child, variable};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A Kafka of one node, or of several. Dropped, it is killed and its data is gone.
#[derive(Debug)]
pub struct OwnKafka {
    folder: TempDir,
    class_path: String,
    nodes: Vec<Node>,
}

/// A process of it. The first one is the controller as well.
#[derive(Debug)]
struct Node {
    properties: PathBuf,
    log: PathBuf,
    /// Of the controller's listener (the first node's own), of the plain one, of those that were asked for.
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
        let text = configuration(&folder.path().join("data-1"), 1, &names, &ports, properties);
        let mut kafka = Self { folder, class_path: variable(KAFKA_CLASS_PATH), nodes: Vec::new() };
        kafka.prepare(&text, ports, users);
        kafka.start_again();
        kafka
    }

    /// Adds a broker to it, with a plain listener, and waits until it can be given partitions. Gives its number, for
    /// [`OwnKafka::kill_node`].
    pub fn add_broker(&mut self) -> usize {
        let controller = self.nodes[0].ports[0];
        let ports = vec![controller, free_ports(1)[0]];
        let number = self.nodes.len();
        let data = self.folder.path().join(format!("data-{}", number + 1));
        let text = configuration(&data, number + 1, &["CONTROLLER", "PLAINTEXT"], &ports, &[]);
        self.prepare(&text, ports, &[]);
        self.start_node(number);
        let end = Instant::now() + PATIENCE;
        while brokers(self.nodes[0].ports[1]).unwrap_or_default() <= number {
            assert!(Instant::now() < end, "Kafka does not know its new broker");
            thread::sleep(Duration::from_millis(20));
        }
        number
    }

    /// The address of the plain listener.
    pub fn address(&self) -> String {
        self.listener(0)
    }

    /// The address of a listener: 0 is the plain one, then those that were asked for.
    pub fn listener(&self, number: usize) -> String {
        let port =
            self.nodes[0].ports.get(number + 1).unwrap_or_else(|| panic!("Kafka has no listener {number}"));
        format!("127.0.0.1:{port}")
    }

    /// Ends all of it as a power cut does.
    pub fn kill(&mut self) {
        for number in 0..self.nodes.len() {
            self.kill_node(number);
        }
    }

    /// Ends a node as a power cut does; 0 is the first one, which is the controller.
    pub fn kill_node(&mut self, number: usize) {
        if let Some(mut child) = self.nodes[number].child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts it on its data and waits until it listens. It may take a while yet until it answers.
    pub fn start_again(&mut self) {
        for number in 0..self.nodes.len() {
            self.start_node(number);
        }
    }

    /// Starts a node on its data and waits until it listens.
    pub fn start_node(&mut self, number: usize) {
        let node = &self.nodes[number];
        let (log, address) = (node.log.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, node.ports[1])));
        let to_log = || {
            let file = fs::OpenOptions::new().create(true).append(true).open(&log);
            Stdio::from(file.unwrap_or_else(|error| panic!("{}: {error}", log.display())))
        };
        let mut command = self.java("kafka.Kafka");
        command.arg(&node.properties).stdin(Stdio::null()).stdout(to_log()).stderr(to_log());
        let child = command.spawn().unwrap_or_else(|error| panic!("starting java: {error}"));
        self.nodes[number].child = Some(child);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < end, "Kafka does not listen: {}", log());
            let child = self.nodes[number].child.as_mut();
            let ended = child.and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "Kafka ended: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes the folder of a node that is to be the next one.
    fn prepare(&mut self, configuration: &str, ports: Vec<u16>, users: &[&str]) {
        let number = self.nodes.len() + 1;
        let properties = self.folder.path().join(format!("server-{number}.properties"));
        fs::write(&properties, configuration)
            .unwrap_or_else(|error| panic!("Kafka's configuration: {error}"));
        let log = self.folder.path().join(format!("log-{number}"));
        let mut command = self.java("kafka.tools.StorageTool");
        // Any 22 characters that are 16 bytes in base64url: all nodes have the same.
        command.args(["format", "-t", "d2F5cG9zdC1vd24ta2Fma2E", "-c"]).arg(&properties);
        for user in users {
            command.args(["--add-scram", user]);
        }
        let output = command.output().unwrap_or_else(|error| panic!("starting java: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.nodes.push(Node { properties, log, ports, child: None });
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

/// The properties of a node. The first port is the controller's, which the first node has.
fn configuration(
    data: &Path,
    node: usize,
    names: &[&str],
    ports: &[u16],
    properties: &[(&str, String)],
) -> String {
    let addresses: Vec<String> =
        names.iter().zip(ports).map(|(name, port)| format!("{name}://127.0.0.1:{port}")).collect();
    let (roles, listeners) =
        if node == 1 { ("broker,controller", &addresses[..]) } else { ("broker", &addresses[1..]) };
    let protocol =
        |name: &&str| if *name == "CONTROLLER" { "PLAINTEXT".to_owned() } else { (*name).to_owned() };
    let protocols: Vec<String> = names.iter().map(|name| format!("{name}:{}", protocol(name))).collect();
    let mut text = format!("process.roles={roles}\nnode.id={node}\n");
    let mut set = |name: &str, value: &str| {
        writeln!(text, "{name}={value}").ok();
    };
    set("controller.quorum.voters", &format!("1@127.0.0.1:{}", ports[0]));
    set("controller.listener.names", "CONTROLLER");
    set("listeners", &listeners.join(","));
    set("advertised.listeners", &addresses[1..].join(","));
    set("listener.security.protocol.map", &protocols.join(","));
    set("inter.broker.listener.name", "PLAINTEXT");
    set("log.dirs", &data.display().to_string());
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

/// How many brokers a Metadata answer (version 1, about no topic) lists.
fn brokers(port: u16) -> io::Result<usize> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    // Size, key 3, version 1, correlation 7, a client of no name, no topics.
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0])?;
    // Size, correlation, length of the list of brokers.
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let [.., a, b, c, d] = head;
    Ok(u32::from_be_bytes([a, b, c, d]) as usize)
}

/// Ports that are free, all different.
fn free_ports(count: usize) -> Vec<u16> {
    std::iter::repeat_with(child::free_port).take(count).collect()
}
