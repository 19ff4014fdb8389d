//! Kafka: from Maven. One node that is broker and controller.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::java::{Java, Maven};
use super::process::{Failed, Process, Signal, User};
use super::{Program, Started, port};
use crate::needs::packages::made_once;
use crate::needs::{Variable, output};

/// The release that is taken unless `TEST_KAFKA_VERSION` names another, such as `3.9.1`.
const VERSION: &str = "4.3.1";

/// Names another release.
const VERSION_VARIABLE: &str = "TEST_KAFKA_VERSION";

/// What Maven fetches. Without a binding of slf4j the broker says nothing.
fn pom(version: &str) -> String {
    format!(
        r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>waypost</groupId>
  <artifactId>test-kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#
    )
}

/// The installed server.
struct Kafka {
    version: String,
    java: PathBuf,
    class_path: String,
}

pub(super) fn find(target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let (java, maven) = (Java::find()?, Maven::find()?);
    let version = wanted(std::env::var(VERSION_VARIABLE).ok())?;
    // Another release does not take the place of the usual one.
    let name = if version == VERSION { "kafka".to_owned() } else { format!("kafka-{version}") };
    let (folder, pom) = (target.join("test-servers").join(name), pom(&version));
    made_once(&folder, &pom, |folder| fetch(&maven, &pom, folder))?;
    Ok(Box::new(Kafka { version, java: java.program, class_path: class_path(&folder.join("lib"))? }))
}

/// The release that was asked for.
fn wanted(asked: Option<String>) -> anyhow::Result<String> {
    let version = asked.filter(|version| !version.is_empty()).unwrap_or_else(|| VERSION.to_owned());
    ensure!(
        version.chars().all(|c| c.is_ascii_digit() || c == '.'),
        "{VERSION_VARIABLE}={version} is no release of Kafka, such as {VERSION}"
    );
    Ok(version)
}

fn fetch(maven: &Maven, pom: &str, folder: &Path) -> anyhow::Result<String> {
    fs::write(folder.join("pom.xml"), pom)?;
    let to = format!("-DoutputDirectory={}", folder.join("lib").display());
    maven.run(folder, &["dependency:copy-dependencies", "-DincludeScope=runtime", &to])
}

fn class_path(folder: &Path) -> anyhow::Result<String> {
    let jars = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut jars: Vec<String> = jars.flatten().map(|jar| jar.path().to_string_lossy().into_owned()).collect();
    jars.sort();
    Ok(jars.join(":"))
}

impl Program for Kafka {
    fn description(&self) -> String {
        format!("{} on {}", self.version, self.java.display())
    }

    fn variables(&self) -> Vec<Variable> {
        vec![("TEST_KAFKA_CLASS_PATH", self.class_path.clone().into())]
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [port, controller] = port::free()?;
        let properties = folder.join("server.properties");
        fs::write(&properties, configuration(port, controller, folder)?)?;
        let mut format = self.command("kafka.tools.StorageTool");
        // Any 22 characters that are 16 bytes in base64url: the cluster has one member.
        format.args(["format", "-t", "d2F5cG9zdC10ZXN0cy0wMQ", "-c"]).arg(&properties);
        output(&mut format)?;

        let mut arguments = self.arguments("kafka.Kafka");
        arguments.push(properties.to_string_lossy().into_owned());
        let mut process =
            Process::start(User::Own, &self.java, arguments, Signal::Kill, &folder.join("log"))?;
        process.ready(|_| brokers(port).is_ok_and(|brokers| brokers > 0))?;
        Ok(Started::at(process, format!("127.0.0.1:{port}")))
    }
}

impl Kafka {
    fn arguments(&self, class: &str) -> Vec<String> {
        let options = ["-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        let log =
            ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"];
        options
            .into_iter()
            .chain(log)
            .chain(["-cp", &self.class_path, class])
            .map(ToOwned::to_owned)
            .collect()
    }

    fn command(&self, class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command.args(self.arguments(class));
        command
    }
}

fn configuration(port: u16, controller: u16, folder: &Path) -> Result<String, std::fmt::Error> {
    let mut text = String::from("process.roles=broker,controller\nnode.id=1\n");
    writeln!(text, "controller.quorum.voters=1@127.0.0.1:{controller}")?;
    writeln!(text, "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")?;
    writeln!(text, "advertised.listeners=PLAINTEXT://127.0.0.1:{port}")?;
    writeln!(text, "log.dirs={}", folder.join("data").display())?;
    text.push_str(
        "controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         share.coordinator.state.topic.num.partitions=1\n\
         group.initial.rebalance.delay.ms=0\n\
         auto.create.topics.enable=false\n\
         controlled.shutdown.enable=false\n",
    );
    // A broker that was killed waits at its next start until its old registration has run out.
    text.push_str("broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=500\n");
    Ok(text)
}

/// How many brokers a Metadata answer (version 1, about no topic) lists.
fn brokers(port: u16) -> io::Result<i32> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    // Size, key 3, version 1, correlation 7, a client of no name, no topics.
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0])?;
    // Size, correlation, length of the list of brokers.
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let [.., a, b, c, d] = head;
    Ok(i32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_is_the_release_that_was_asked_for() {
        assert_eq!(wanted(None).unwrap(), VERSION);
        assert_eq!(wanted(Some(String::new())).unwrap(), VERSION);
        let asked = wanted(Some("3.9.1".to_owned())).unwrap();
        assert!(pom(&asked).contains("<artifactId>kafka_2.13</artifactId><version>3.9.1</version>"));
        let error = wanted(Some("4</version>".to_owned())).unwrap_err();
        assert!(error.to_string().contains("TEST_KAFKA_VERSION=4</version> is no release"), "{error}");
    }
}
