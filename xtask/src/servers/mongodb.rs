//! A server of MongoDB's wire protocol, from Maven: MongoDB itself is in no registry. mongo-java-server keeps everything in
//! memory; it knows neither users nor transactions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::java::{Java, Jdk, Maven};
use super::process::{Failed, Process, Signal, User};
use super::{Program, Started, port};
use crate::needs::Variable;
use crate::needs::packages::made_once;

/// The release that is taken.
const VERSION: &str = "1.47.0";

/// What Maven fetches.
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>waypost</groupId>
  <artifactId>test-mongodb</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>de.bwaldvogel</groupId><artifactId>mongo-java-server</artifactId><version>1.47.0</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#;

/// It says that it is older than current drivers take; what those need of a newer one, it has.
const SERVER: &str = r#"import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

public class Server {
    public static void main(String[] arguments) {
        MongoVersion version = new MongoVersion() {
            public List<Integer> getVersionArray() {
                return List.of(5, 0, 0);
            }

            public int getWireVersion() {
                return 13;
            }
        };
        new MongoServer(new MemoryBackend().version(version)).bind("127.0.0.1", Integer.parseInt(arguments[0]));
    }
}
"#;

/// The installed server.
struct MongoDb {
    java: PathBuf,
    class_path: String,
}

pub(super) fn find(target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let (java, jdk, maven) = (Java::find()?, Jdk::find()?, Maven::find()?);
    let folder = target.join("test-servers/mongodb");
    made_once(&folder, &format!("{POM}{SERVER}"), |folder| make(&jdk, &maven, folder))?;
    Ok(Box::new(MongoDb {
        java: java.program,
        class_path: format!("{}/*:{}", folder.join("lib").display(), folder.display()),
    }))
}

fn make(jdk: &Jdk, maven: &Maven, folder: &Path) -> anyhow::Result<String> {
    fs::write(folder.join("pom.xml"), POM)?;
    let lib = folder.join("lib");
    let to = format!("-DoutputDirectory={}", lib.display());
    maven.run(folder, &["dependency:copy-dependencies", "-DincludeScope=runtime", &to])?;
    fs::write(folder.join("Server.java"), SERVER)?;
    let class_path = format!("{}/*", lib.display());
    jdk.compile(folder, &["-cp", &class_path, "Server.java"]).context("compiling its start")
}

impl Program for MongoDb {
    fn description(&self) -> String {
        format!("mongo-java-server {VERSION} on {}", self.java.display())
    }

    fn variables(&self) -> Vec<Variable> {
        vec![("TEST_MONGODB_CLASS_PATH", self.class_path.clone().into())]
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [port] = port::free()?;
        let port_text = port.to_string();
        let options = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &self.class_path];
        let arguments = options.into_iter().chain(["Server", &port_text]);
        let log = folder.join("log");
        let mut process = Process::start(User::Own, &self.java, arguments, Signal::Kill, &log)?;
        // It listens only when it answers.
        process.ready(|_| std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).is_ok())?;
        Ok(Started::at(process, format!("mongodb://127.0.0.1:{port}")))
    }
}
