//! What the tests use beside Rust: found, or installed where that is possible, and said.
//!
//! - Chromium and chromedriver: on the path, else from Debian's packages.
//! - Clients that no one here wrote (OpenTelemetry's SDKs for Python and JavaScript, Zipkin's clients, a Kafka client in
//!   Python): with `python3` and `node`, into `target/test-clients`.
//! - The servers that `deploy/` has files for (Nginx, HAProxy, Envoy, Prometheus): as `cargo xtask deploy` finds them.
//!
//! The servers that tests talk to are found by `servers`, in the same way.
//!
//! What is found goes to the tests in variables; what is not is left out of them, and both are printed. A variable that is
//! already set is taken as it is. They do not begin with `WAYPOST_`: those are settings of the program, which refuses
//! ones that it does not know.

mod browser;
mod clients;
pub(crate) mod packages;

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

use crate::deploy::tools;

/// A variable for the tests.
pub(crate) type Variable = (&'static str, OsString);

/// Either the variables that lead tests to something, or the reason why there is none.
type Found = Result<Vec<Variable>, anyhow::Error>;

/// Finds or installs everything, and says what became of it.
pub(crate) fn all(target: &Path) -> Vec<Variable> {
    let clients = target.join("test-clients");
    let needs: [(&str, Found); 3] = [
        ("Chromium", browser::find()),
        ("clients in Python", clients::python(&clients)),
        ("clients in JavaScript", clients::node(&clients)),
    ];
    let folder = target.join("deploy-tools");
    let servers = tools::SERVERS.iter().map(|(what, variable, tool)| {
        (*what, tools::find(tool, &folder).map(|place| vec![(*variable, place.into_os_string())]))
    });
    let mut variables = Vec::new();
    for (what, found) in needs.into_iter().chain(servers) {
        tell(&line(what, &found));
        variables.extend(found.unwrap_or_default());
    }
    variables
}

/// Says something beside the output: `eval "$(cargo xtask needs)"` reads only variables.
pub(crate) fn tell(text: &str) {
    // Nobody to tell when standard error is closed.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The assignments as a shell reads them.
pub(crate) fn exports<N: Display, V: AsRef<OsStr>>(variables: &[(N, V)]) -> String {
    let export = |(name, value): &(N, V)| {
        format!("export {name}='{}'\n", value.as_ref().to_string_lossy().replace('\'', r"'\''"))
    };
    variables.iter().map(export).collect::<Vec<_>>().concat()
}

fn line(what: &str, found: &Found) -> String {
    match found {
        Ok(variables) => {
            let places = variables.iter().map(|(name, value)| format!("{name}={}", value.display()));
            format!("needs: {what}: {}\n", places.collect::<Vec<_>>().join(" "))
        }
        Err(reason) => format!("needs: {what}: LEFT OUT, with the tests that use it: {reason:#}\n"),
    }
}

/// The first of these programs on the path.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let places = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.into_iter().find(|place| place.is_file())
}

/// Runs a program to its end; one that fails is an error with the last line that it said.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().with_context(|| format!("`{program}` could not be started"))?;
    if !status.success() {
        let said = String::from_utf8_lossy(if stderr.is_empty() { &stdout } else { &stderr });
        bail!("`{program}` failed ({status}): {}", reason(&said));
    }
    Ok(String::from_utf8_lossy(&stdout).trim().to_owned())
}

/// The line that says most of what a failing program said: the first that calls itself an error, else the last.
pub(crate) fn reason(said: &str) -> &str {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| ["ERROR:", "E:", "npm error"].iter().any(|mark| line.starts_with(mark));
    lines().find(is_error).or_else(|| lines().next_back()).unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_and_what_is_left_out_is_said_in_one_line() {
        let found: Found = Ok(vec![("TEST_A", "/a".into()), ("TEST_B", "/b".into())]);
        assert_eq!(line("Things", &found), "needs: Things: TEST_A=/a TEST_B=/b\n");
        let missing: Found = Err(anyhow::anyhow!("no network").context("installing failed"));
        assert_eq!(
            line("Things", &missing),
            "needs: Things: LEFT OUT, with the tests that use it: installing failed: no network\n"
        );
    }

    #[test]
    fn variables_are_written_as_a_shell_reads_them() {
        let variables = [("TEST_A", "/it's/a"), ("TEST_B", "/b c")];
        assert_eq!(exports(&variables), "export TEST_A='/it'\\''s/a'\nexport TEST_B='/b c'\n");
    }

    #[test]
    fn the_reason_of_a_failure_is_its_first_error_line() {
        assert_eq!(
            reason("Reading\nE: Unable to locate package chromium\nDone\n"),
            "E: Unable to locate package chromium"
        );
        assert_eq!(
            reason("npm error code ECONNREFUSED\nnpm error syscall connect\n"),
            "npm error code ECONNREFUSED"
        );
        assert_eq!(reason("one\ntwo\n\n"), "two");
        assert_eq!(reason(""), "it said nothing");
    }

    #[test]
    fn a_program_that_fails_or_is_missing_is_an_error_that_names_it() {
        let failed = output(Command::new("sh").args(["-c", "echo fine; echo 'ERROR: not so' >&2; exit 3"]));
        assert_eq!(failed.unwrap_err().to_string(), "`sh` failed (exit status: 3): ERROR: not so");
        let missing = output(&mut Command::new("no-such-program"));
        assert_eq!(missing.unwrap_err().to_string(), "`no-such-program` could not be started");
        assert_eq!(output(Command::new("sh").args(["-c", "echo ' yes '"])).unwrap(), "yes");
    }
}
