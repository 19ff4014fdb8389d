//! Chromium and its driver.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::packages::install;
use super::{Found, on_path, output};

/// A program, the variable that names it, what it is called, and the Debian package that has it.
struct Program {
    variable: &'static str,
    names: &'static [&'static str],
    package: &'static str,
}

const PROGRAMS: [Program; 2] = [
    Program {
        variable: "TEST_CHROMIUM",
        names: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
        package: "chromium",
    },
    Program { variable: "TEST_CHROMEDRIVER", names: &["chromedriver"], package: "chromium-driver" },
];

pub(super) fn find() -> Found {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|program| program.place().is_none()).map(|program| program.package).collect();
    if !missing.is_empty() {
        install(&missing).with_context(|| format!("{} not found", missing.join(" and ")))?;
    }
    let mut variables = Vec::new();
    for program in &PROGRAMS {
        let place = program
            .place()
            .with_context(|| format!("{} still has no {}", program.package, program.names[0]))?;
        // A package may leave a stand-in that only says where to get the real one.
        output(Command::new(&place).arg("--version"))?;
        variables.push((program.variable, place.into_os_string()));
    }
    Ok(variables)
}

impl Program {
    fn place(&self) -> Option<PathBuf> {
        let set = std::env::var_os(self.variable).filter(|value| !value.is_empty());
        set.map(PathBuf::from).or_else(|| on_path(self.names))
    }
}
