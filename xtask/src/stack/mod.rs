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
use crate::servers::{Folder, Servers, Set};
use keeper::State;
use place::Place;

/// Asks for what shows telemetry as well.
const OBSERVABILITY: &str = "--observability";

const HELP: &str = "\
cargo xtask stack <command>

  up [--observability]
                  start PostgreSQL, Redis, Memcached, Kafka, etcd, NATS, RabbitMQ and a MongoDB on free ports of 127.0.0.1 and print the settings to use; the
                  servers that are up already are left as they are. For a shell: eval \"$(cargo xtask stack up)\"
                  --observability: Zipkin, an OpenTelemetry Collector, Prometheus and Jaeger as well (they need Java, Go and some minutes
                  the first time)
  run [--observability] <command>
                  run a command with those settings, on the servers that are up, else on its own, which end with it
  status          print what is up, and what has ended
  down            end the servers and remove their data
";

/// Runs one of the commands of the stack.
pub(crate) fn command(arguments: &[String]) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = || Place::of(root);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["up"] => up(&place()?, Set::BackEnds),
        ["up", OBSERVABILITY] => up(&place()?, Set::WithObservability),
        ["run", OBSERVABILITY, program, arguments @ ..] => {
            run(&place()?, Set::WithObservability, program, arguments)
        }
        ["run", program, arguments @ ..] => run(&place()?, Set::BackEnds, program, arguments),
        ["status"] => status(&place()?),
        ["down"] => down(&place()?),
        // What `up` starts.
        ["keep"] => keeper::keep(&place()?, &target()?, Set::BackEnds),
        ["keep", OBSERVABILITY] => keeper::keep(&place()?, &target()?, Set::WithObservability),
        [] | ["help"] => {
            say(HELP);
            Ok(())
        }
        _ => bail!("unknown command `stack {}`\n\n{HELP}", arguments.join(" ")),
    }
}

fn up(place: &Place, set: Set) -> anyhow::Result<()> {
    let state = match keeper::ask(place, keeper::STATUS)? {
        Some(state) if set == Set::WithObservability && !state.shows_telemetry() => {
            bail!("the stack is up without what shows telemetry; `cargo xtask stack down` first")
        }
        Some(state) => {
            tell("stack: is up already\n");
            state
        }
        None => keeper::start(place, if set == Set::WithObservability { &[OBSERVABILITY] } else { &[] })?,
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

fn run(place: &Place, set: Set, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    if let Some(state) = keeper::ask(place, keeper::STATUS)? {
        tell("stack: on the servers that are up\n");
        return execute(program, arguments, &state.variables);
    }
    let folder = Folder::of_this_process()?;
    let servers = Servers::start(&target()?, folder.path(), set);
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
const SETTINGS: [(&str, &str); 5] = [
    (
        "TEST_REDIS_URL",
        "waypost: WAYPOST_CACHE__KIND=redis WAYPOST_CACHE__REDIS__URLS={} shares rates and copies there\n",
    ),
    (
        "TEST_ETCD_URL",
        "waypost: WAYPOST_DISCOVERY__ETCD__ENDPOINTS={} registers roles there, for targets such as etcd:///order\n",
    ),
    (
        "TEST_COLLECTOR_URL",
        "waypost: OTEL_EXPORTER_OTLP_ENDPOINT={} (or `up --export {}`) sends telemetry to the Collector\n",
    ),
    ("TEST_ZIPKIN_URL", "browser: {}/zipkin/ shows the traces\n"),
    ("TEST_PROMETHEUS_URL", "browser: {} shows the metrics\n"),
];

#[cfg(test)]
mod tests;
