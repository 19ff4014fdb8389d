//! The project's own commands, for developers and CI: `cargo xtask help` lists them.
//!
//! Each command does one job and prints what it does. The rules they check live in this crate so that CI and a
//! developer's machine cannot differ.

mod advisories;
mod conventions;
mod dashboards;
mod deploy;
mod dist;
mod failures;
mod features;
mod layers;
mod licences;
mod modules;
mod mutations;
mod needs;
mod published;
mod run;
mod servers;
mod stack;
mod versions;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  test [cargo test arguments]   run every test of the workspace, with all that they need, servers included
                                (TEST_KAFKA_VERSION=3.9.1 takes another release of Kafka)
  stack up|run|status|down      PostgreSQL, Redis, Kafka and others on free ports for a developer: `cargo xtask stack help`
  needs                         find or install what the tests need; for a shell: eval \"$(cargo xtask needs)\"
  lint                          formatting, clippy with warnings as errors, documentation, layers, telemetry names,
                                features
  dashboards                    write the dashboards of Grafana
  deploy [readers]              give each file of deploy/ to the program that reads it, and a broken one to see it refused
  dist [--program <file>] [--to <folder>]
                                the release: a tarball with the binary, completions, manual pages, licences of all
                                dependencies and a bill of materials, and check sums; --program takes a binary that is built
  features                      build the kit with each of its features alone and with all of them
  api [--write]                 compare what the kit's crates offer with docs/kit/api, or write that
  package                       package the kit's crates offline, and check what is in them and which Rust they say they need
  advisories [--offline]        check all dependencies with cargo-deny: advisories, licences, bans, sources (deny.toml)
  layers                        check the allowed arrows between crates, and between the kit's modules, and the one-version rule
  mutations [names]             turn off what keeps orders safe, one rule at a time, and see whether a test notices
  conventions                   write the page of our own telemetry names and the checker's tables, and check the code
                                against them; --model <folder>: read the OpenTelemetry conventions from a checkout
  help                          print this text
";

#[expect(clippy::print_stderr, reason = "a command line tool reports to its user")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let outcome = match command.as_deref() {
        Some("test") => run::test(&rest),
        Some("needs") => run::needs(),
        Some("lint") => run::lint(),
        Some("advisories") => run::advisories(&rest),
        Some("layers") => run::layers(),
        Some("dashboards") => run::dashboards(),
        Some("deploy") => run::deploy(&rest),
        Some("dist") => run::dist(&rest),
        Some("features") => run::features(),
        Some("api") => run::api(&rest),
        Some("package") => run::package(),
        Some("stack") => stack::command(&rest),
        Some("mutations") => run::mutations(&rest),
        Some("conventions") => run::conventions(&rest),
        Some("help" | "--help" | "-h") | None => {
            run::say(HELP);
            Ok(())
        }
        Some(other) => Err(anyhow::anyhow!("unknown command `{other}`\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
