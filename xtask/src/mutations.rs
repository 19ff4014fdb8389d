//! `cargo xtask mutations`: turns off, one at a time, what keeps orders safe, and asks whether a test notices.
//!
//! For whoever doubts a guarantee, or changes its test. Each [`Mutation`] replaces one text in one source file, builds the
//! tests that answer for it, runs them and puts the file back; the same tests have passed on the code as it stands before. A
//! run of it takes a build for each mutation, so CI runs it not; CI's tests do check that every text still stands where a
//! mutation expects it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::needs::Variable;
use crate::run::say;

/// One rule that is turned off.
struct Mutation {
    name: &'static str,
    file: &'static str,
    /// Stands in the file exactly once.
    text: &'static str,
    instead: &'static str,
    /// Arguments of `cargo test`: what has to fail.
    tests: &'static [&'static str],
}

const MUTATIONS: [Mutation; 15] = [
    Mutation {
        name: "open-step",
        file: "crates/shop/durable/src/saga/runner.rs",
        text: "self.runner.shape.fact(name, end, is_open)",
        instead: "self.runner.shape.fact(name, end, is_open && false)",
        tests: &["-p", "waypost-durable", "--lib", "saga"],
    },
    Mutation {
        name: "who-may-call-what",
        file: "crates/shop/service/src/callers.rs",
        text: "if peer.is_one_of(allowed) {",
        instead: "if peer.is_one_of(allowed) || true {",
        tests: &["-p", "waypost", "--test", "it", "a_role_calls_what_the_table_of_the_service_names"],
    },
    Mutation {
        name: "names-of-roles",
        file: "crates/shop/identity/src/material.rs",
        text: "if is_any(&self.names, &read.names) {",
        instead: "if is_any(&self.names, &read.names) || true {",
        tests: &["-p", "waypost-identity", "--test", "it", "a_server_is_the_role_that_was_called_or_nobody"],
    },
    Mutation {
        name: "refund-of-the-unwanted",
        file: "crates/shop/payment/src/logic.rs",
        text: "(PaymentState::Captured, _) => self.give_back(&payment).await.map(Some),",
        instead: "(PaymentState::Captured, _) => Ok(Some(payment)),",
        tests: &[
            "-p",
            "waypost-payment",
            "--test",
            "it",
            "a_payment_that_was_taken_is_given_back_by_its_void",
        ],
    },
    Mutation {
        name: "definite-decisions-of-the-provider",
        file: "crates/shop/payment/src/provider/answer.rs",
        text: "StatusCode::CONFLICT => ProviderError::StillRunning,",
        instead: "StatusCode::CONFLICT => ProviderError::Refused { status, code },",
        tests: &["-p", "waypost-payment", "--lib", "provider"],
    },
    Mutation {
        name: "replay-first",
        file: "crates/shop/gateway/src/replay.rs",
        text: "Err(error) => upstream.order_by_key(by_key).await?.map(Found::Order).ok_or(error),",
        instead: "Err(error) => Err(error),",
        tests: &["-p", "waypost-gateway", "--test", "it", "a_replay_needs_no_user_who_may_order"],
    },
    Mutation {
        name: "life-of-a-key",
        file: "crates/shop/order/src/store/sqlite.rs",
        text: "AND (order_id IS NULL OR ended_at <= ?1) LIMIT ?2)",
        instead: "LIMIT ?2)",
        tests: &["-p", "waypost-order", "--test", "it", "a_key_is_kept_while_its_order_runs_and_a_day_after"],
    },
    Mutation {
        name: "retention-of-the-broker",
        file: "crates/waypost/src/roles/broker.rs",
        text: "vec![retain]",
        instead: "vec![retain].split_off(1)",
        tests: &["-p", "waypost", "--test", "it", "records_that_every_group_has_read_leave_the_broker"],
    },
    Mutation {
        name: "stop-before-waiting",
        file: "crates/shop/service/src/process.rs",
        text: "self.roles.iter().for_each(|role| role.tasks.stop());",
        instead: "",
        tests: &[
            "-p",
            "waypost-service",
            "--test",
            "it",
            "tasks_are_told_to_stop_before_a_request_is_waited_for",
        ],
    },
    Mutation {
        name: "fence",
        file: "crates/shop/durable/src/epoch.rs",
        text: "self < seen",
        instead: "self < seen && false",
        tests: &[
            "-p",
            "waypost-inventory",
            "-p",
            "waypost-payment",
            "--test",
            "it",
            "a_runner_that_was_replaced",
        ],
    },
    Mutation {
        name: "fence-between-processes",
        file: "crates/shop/durable/src/epoch.rs",
        text: "self < seen",
        instead: "self < seen && false",
        tests: &["-p", "waypost", "--test", "faults", "late_calls_of_a_replaced_runner_are_refused"],
    },
    Mutation {
        name: "sync-before-answer",
        file: "crates/shop/durable/src/database/files.rs",
        text: r#""synchronous", "FULL""#,
        instead: r#""synchronous", "OFF""#,
        tests: &["-p", "waypost", "--test", "crash", "nothing_acknowledged_is_lost_when_the_power_fails"],
    },
    Mutation {
        name: "wait-for-what-is-away",
        file: "crates/shop/durable/src/consume/mod.rs",
        text: "matches!(self, Failure::Retry(error) if is_elsewhere(error.class()))",
        instead: "matches!(self, Failure::Retry(error) if is_elsewhere(error.class()) && false)",
        tests: &["-p", "waypost-durable", "--test", "it", "a_record_waits_for_what_its_handler_needs"],
    },
    Mutation {
        name: "fail-over",
        file: "crates/shop/resilience/src/grpc/balance.rs",
        text: "if not_sent.is_none() {",
        instead: "if not_sent.is_none() || true {",
        tests: &["-p", "waypost-resilience", "--test", "it", "a_call_that_cannot_be_sent_goes_on_to_another"],
    },
    Mutation {
        name: "word-of-a-replica",
        file: "crates/shop/resilience/src/grpc/replica.rs",
        text: "matches!(kept.get(), Standing::Serving | Standing::Unknown) && !kept.was_lost_just_now()",
        instead: "!kept.was_lost_just_now()",
        tests: &["-p", "waypost-resilience", "--test", "it", "a_replica_that_asks_for_no_calls_gets_none"],
    },
];

/// Runs the mutations of these names, or all of them.
pub(crate) fn run(root: &Path, names: &[String], servers: &[Variable]) -> anyhow::Result<()> {
    let unknown = names.iter().find(|name| MUTATIONS.iter().all(|mutation| mutation.name != **name));
    if let Some(unknown) = unknown {
        let known = MUTATIONS.map(|mutation| mutation.name).join(", ");
        bail!("there is no mutation `{unknown}`; known are {known}");
    }
    let chosen = || MUTATIONS.iter().filter(|mutation| names.is_empty() || is_named(names, mutation));
    // All of them before the first mutation, so that what they share is built once.
    for mutation in chosen() {
        ensure!(
            test(mutation.tests, servers)?,
            "the tests of {} fail without the mutation too",
            mutation.name
        );
    }
    let mut unnoticed = Vec::new();
    for mutation in chosen() {
        let is_noticed = mutation.is_noticed(root, servers)?;
        say(&format!("{}: {}\n", mutation.name, if is_noticed { "noticed" } else { "NOT NOTICED" }));
        if !is_noticed {
            unnoticed.push(mutation.name);
        }
    }
    ensure!(unnoticed.is_empty(), "no test noticed: {}", unnoticed.join(", "));
    Ok(())
}

fn is_named(names: &[String], mutation: &Mutation) -> bool {
    names.iter().any(|name| name == mutation.name)
}

impl Mutation {
    fn is_noticed(&self, root: &Path, servers: &[Variable]) -> anyhow::Result<bool> {
        let path = root.join(self.file);
        let original = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", self.file))?;
        let mutated = self.apply(&original)?;
        let _restored = Restored { path: path.clone(), original };
        fs::write(&path, mutated).with_context(|| format!("{} cannot be written", self.file))?;
        let no_run = [self.tests, &["--no-run"]].concat();
        ensure!(test(&no_run, servers)?, "with the mutation {} the tests do not build", self.name);
        Ok(!test(self.tests, servers)?)
    }

    fn apply(&self, source: &str) -> anyhow::Result<String> {
        let found = source.matches(self.text).count();
        ensure!(
            found == 1,
            "{} has the text of the mutation {} {found} times and not once: `{}`",
            self.file,
            self.name,
            self.text
        );
        Ok(source.replacen(self.text, self.instead, 1))
    }
}

/// Puts a file back, whatever happens in between.
struct Restored {
    path: PathBuf,
    original: String,
}

impl Drop for Restored {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.original) {
            say(&format!("{} could not be put back, do it with git: {error}\n", self.path.display()));
        }
    }
}

fn test(arguments: &[&str], servers: &[Variable]) -> anyhow::Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.arg("test").args(arguments).envs(servers.iter().map(|(name, value)| (name, value)));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.status().context("cargo could not be started")?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_changes_what_stands_in_the_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for mutation in &MUTATIONS {
            let source = fs::read_to_string(root.join(mutation.file)).unwrap();
            let mutated = mutation.apply(&source).unwrap();
            assert_ne!(source, mutated, "{}", mutation.name);
        }
    }

    /// Of no test `cargo test` says that it succeeds, and the mutation would seem to go unnoticed.
    #[test]
    fn every_mutation_names_tests_that_there_are() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let sources = sources(&root.join("crates"));
        for mutation in &MUTATIONS {
            let filter = mutation.tests.last().unwrap();
            assert!(sources.iter().any(|source| source.contains(filter)), "{}: {filter}", mutation.name);
        }
    }

    fn sources(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let read = |path: PathBuf| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(extension) if extension == "rs" => vec![fs::read_to_string(path).unwrap()],
            _ => Vec::new(),
        };
        entries.flat_map(read).collect()
    }
}
