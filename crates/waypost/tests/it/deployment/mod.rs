//! The files of `deploy/` that start Waypost, with the program that they start: their settings are accepted, and their
//! containers make a shop.

mod collector;
mod compose;
mod full;
mod kubernetes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{ended, waypost};

/// Where the program is in the image.
const PROGRAM: &str = "/usr/bin/waypost";

/// One container that runs Waypost, as a file describes it.
#[derive(Clone, Debug)]
struct Container {
    name: String,
    /// What follows the program's name.
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Container {
    /// Asks the program what is wrong with the settings.
    fn check(&self) -> Result<(), String> {
        let folder = tempdir().unwrap();
        let mut command = waypost(folder.path());
        command.args(["config", "check"]).envs(&self.environment);
        if self.arguments.first().is_some_and(|first| first == "up") {
            command.arg("--up");
        }
        let ended = ended(&mut command);
        if ended.code == 0 { Ok(()) } else { Err(format!("{}: {}", self.name, ended.err)) }
    }
}

/// A file below `deploy/`.
fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file)
}

fn read(file: &str) -> Value {
    let path = deploy(file);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The texts of a list.
fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The entries of a list, none if it is none.
fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
