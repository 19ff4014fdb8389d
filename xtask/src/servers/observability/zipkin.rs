//! Zipkin: from Maven, on a Java that is there or comes from Debian's packages. It keeps what it gets in memory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::super::java::{Java, Maven};
use super::super::process::{Failed, Process, Signal, User};
use super::super::{Program, Started, port};
use crate::needs::packages::made_once;

pub(super) const VARIABLE: &str = "TEST_ZIPKIN_URL";

const VERSION: &str = "3.6.1";

/// The installed server.
struct Zipkin {
    java: Java,
    jar: PathBuf,
}

pub(super) fn find(target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let (java, maven) = (Java::find()?, Maven::find()?);
    let folder = target.join("test-servers").join("zipkin");
    made_once(&folder, VERSION, |folder| {
        let artifact = format!("-Dartifact=io.zipkin:zipkin-server:{VERSION}:jar:slim");
        let to = format!("-DoutputDirectory={}", folder.display());
        maven.run(folder, &["dependency:copy", &artifact, &to])
    })?;
    let jars = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let is_jar = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jar");
    let jar = jars.flatten().map(|entry| entry.path()).find(is_jar).context("Maven brought no jar")?;
    Ok(Box::new(Zipkin { java, jar }))
}

impl Program for Zipkin {
    fn description(&self) -> String {
        format!("{VERSION} on {}", self.java.program.display())
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [port] = port::free()?;
        let jar = self.jar.to_string_lossy();
        let listens = [
            "--armeria.ports[0].ip=127.0.0.1".to_owned(),
            format!("--armeria.ports[0].port={port}"),
            "--armeria.ports[0].protocols[0]=http".to_owned(),
        ];
        let mut arguments: Vec<&str> =
            vec!["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", &jar];
        arguments.extend(listens.iter().map(String::as_str));
        let mut process =
            Process::start(User::Own, &self.java.program, arguments, Signal::Kill, &folder.join("log"))?;
        process.ready(|_| port::answers_ok(port, "/health"))?;
        Ok(Started::at(process, format!("http://127.0.0.1:{port}")))
    }
}
