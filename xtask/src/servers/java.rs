//! Java and Maven: on the path, else from Debian's packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::needs::packages::install;
use crate::needs::{on_path, output};

const OLDEST: u32 = 17;

/// A Java that is new enough.
pub(super) struct Java {
    pub(super) program: PathBuf,
}

/// What compiles.
pub(super) struct Jdk {
    compiler: PathBuf,
}

/// What fetches jars.
pub(super) struct Maven {
    program: PathBuf,
}

impl Java {
    pub(super) fn find() -> anyhow::Result<Self> {
        let program = found("java", "openjdk-17-jre-headless")?;
        let version = major(&output(Command::new(&program).args(["--version"]))?);
        ensure!(
            version.is_some_and(|version| version >= OLDEST),
            "{} is Java {}, {OLDEST} or newer is needed",
            program.display(),
            version.unwrap_or_default()
        );
        Ok(Self { program })
    }
}

impl Jdk {
    pub(super) fn find() -> anyhow::Result<Self> {
        Ok(Self { compiler: found("javac", "openjdk-17-jdk-headless")? })
    }

    /// Compiles in a folder.
    pub(super) fn compile(&self, folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        output(Command::new(&self.compiler).current_dir(folder).args(arguments))
    }
}

impl Maven {
    pub(super) fn find() -> anyhow::Result<Self> {
        Ok(Self { program: found("mvn", "maven")? })
    }

    /// Runs a goal with its options in a folder.
    pub(super) fn run(&self, folder: &Path, goal: &[&str]) -> anyhow::Result<String> {
        output(Command::new(&self.program).current_dir(folder).args(["-B", "-ntp", "-q"]).args(goal))
    }
}

fn found(program: &str, package: &str) -> anyhow::Result<PathBuf> {
    if on_path(&[program]).is_none() {
        install(&[package]).with_context(|| format!("{program} not found"))?;
    }
    on_path(&[program]).with_context(|| format!("there is still no {program}"))
}

/// "openjdk 17.0.16 2025-07-15" is 17.
fn major(about: &str) -> Option<u32> {
    let version = about.lines().find_map(|line| {
        line.split_whitespace().nth(1).filter(|_| line.starts_with("openjdk") || line.starts_with("java"))
    })?;
    version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_java_is_read_from_what_it_says() {
        assert_eq!(major("openjdk 17.0.16 2025-07-15\nOpenJDK Runtime Environment"), Some(17));
        assert_eq!(major("Picked up JAVA_TOOL_OPTIONS: -Xmx1g\njava 21 2023-09-19 LTS"), Some(21));
        assert_eq!(major("bash: java: command not found"), None);
    }
}
