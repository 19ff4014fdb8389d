//! `cargo xtask stack`: the servers that the tests use, for a developer.
//!
//! `up` starts a process in the background, the keeper, which owns the servers until `down`. The others ask it over a socket
//! in its folder. There is one for each checkout and user.
//!
//! What is to be read by a shell goes to standard output: `eval "$(cargo xtask stack up)"`. Everything else goes beside it.

mod keeper;
mod place;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::needs::{exports, tell};
use crate::run::{say, target};
use crate::servers::{Folder, Servers};
use keeper::State;
use place::Place;

const HELP: &str = "\
cargo xtask stack <command>

  up              start PostgreSQL, Redis, Kafka and etcd on free ports of 127.0.0.1 and print the settings to use; the servers that
                  are up already are left as they are. For a shell: eval \"$(cargo xtask stack up)\"
  run <command>   run a command with those settings, on the servers that are up, else on its own, which end with it
  status          print what is up, and what has ended
  down            end the servers and remove their data
";

/// Runs one of the commands of the stack.
pub(crate) fn command(arguments: &[String]) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = || Place::of(root);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["up"] => up(&place()?),
        ["run", program, arguments @ ..] => run(&place()?, program, arguments),
        ["status"] => status(&place()?),
        ["down"] => down(&place()?),
        // What `up` starts.
        ["keep"] => keeper::keep(&place()?, &target()?),
        [] | ["help"] => {
            say(HELP);
            Ok(())
        }
        _ => bail!("unknown command `stack {}`\n\n{HELP}", arguments.join(" ")),
    }
}

fn up(place: &Place) -> anyhow::Result<()> {
    let state = match keeper::ask(place, keeper::STATUS)? {
        Some(state) => {
            tell("stack: is up already\n");
            state
        }
        None => keeper::start(place)?,
    };
    print(&state);
    if state.ended.is_empty() {
        Ok(())
    } else {
        bail!("not every server is up; `cargo xtask stack down` ends the others")
    }
}

fn status(place: &Place) -> anyhow::Result<()> {
    let Some(state) = keeper::ask(place, keeper::STATUS)? else {
        bail!("the stack is down; `cargo xtask stack up` starts it");
    };
    print(&state);
    if state.ended.is_empty() {
        Ok(())
    } else {
        bail!("not every server is up; `stack down` and `stack up` start them anew")
    }
}

fn down(place: &Place) -> anyhow::Result<()> {
    match keeper::ask(place, keeper::DOWN)? {
        Some(_) => tell("stack: is down\n"),
        None => tell("stack: was down already\n"),
    }
    place.clear()
}

fn run(place: &Place, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    if let Some(state) = keeper::ask(place, keeper::STATUS)? {
        tell("stack: on the servers that are up\n");
        return execute(program, arguments, &state.variables);
    }
    let folder = Folder::of_this_process()?;
    let servers = Servers::start(&target()?, folder.path());
    servers.watch();
    let outcome = execute(program, arguments, servers.variables());
    servers.stop();
    outcome
}

fn execute<N: AsRef<std::ffi::OsStr>, V: AsRef<std::ffi::OsStr>>(
    program: &str,
    arguments: &[&str],
    variables: &[(N, V)],
) -> anyhow::Result<()> {
    let variables = variables.iter().map(|(name, value)| (name, value));
    let status = Command::new(program).args(arguments).envs(variables).status();
    let status = status.with_context(|| format!("`{program}` could not be started"))?;
    if !status.success() {
        bail!("`{program}` failed: {status}");
    }
    Ok(())
}

fn print(state: &State) {
    for line in &state.ended {
        tell(&format!("stack: {line}\n"));
    }
    say(&exports(&state.variables));
    for (variable, settings) in SETTINGS {
        if let Some((_, value)) = state.variables.iter().find(|(name, _)| name == variable) {
            tell(&settings.replace("{}", value));
        }
    }
}

/// What makes `waypost` use a server, by the variable that leads tests to it.
const SETTINGS: [(&str, &str); 2] = [
    (
        "TEST_REDIS_URL",
        "waypost: WAYPOST_CACHE__KIND=redis WAYPOST_CACHE__REDIS__URLS={} shares rates and copies there\n",
    ),
    (
        "TEST_ETCD_URL",
        "waypost: WAYPOST_DISCOVERY__ETCD__ENDPOINTS={} registers roles there, for targets such as etcd:///order\n",
    ),
];

#[cfg(test)]
mod tests;
