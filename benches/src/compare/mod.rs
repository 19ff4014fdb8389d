//! This tree beside another commit: both are built, both take the same load in turn, and what differs is printed as ratios.
//!
//! A ratio is taken within a round, so that a machine that drifts hits both alike. The same program makes the load for both.
//!
//! Beside the timed runs there are runs in which a tool counts what an order takes ([`counted`]), and runs with a process per role
//! ([`roles`]). What cannot be had of them is said in a line below the table and is no failure.
//!
//! The short form is a check and has the timed runs alone: it fails when this tree takes more CPU an order than [`MAX_RATIO`] in every
//! one of its rounds. CPU and not time, and every round and not the median, so that a busy machine fails nobody.

mod build;
mod callgrind;
mod counted;
mod roles;
mod strace;
mod table;
mod way;

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::process::{Load, Waypost};
use crate::statistics::ratios;
use counted::{OF_INSTRUCTIONS, OF_SYNCS, Orders};
use table::{Both, Run, Table, values};
use way::{WAYS, Way};

/// CPU an order of this tree by that of the base, above which the short form fails.
const MAX_RATIO: f64 = 1.10;

const CPU: &str = "CPU ms an order";

/// A program under valgrind takes some fifty times as long, one thread at a time.
const UNDER_VALGRIND: Orders = Orders { first: 200, more: 400, concurrency: 8 };

/// Its counts differ by few percent, and its runs take long.
const ROUNDS_UNDER_VALGRIND: u32 = 3;

/// What is compared, and how long.
pub(crate) struct Comparison<'a> {
    /// A commit, a tag or a branch.
    pub(crate) base: &'a str,
    /// Its binary, where that is built already.
    pub(crate) base_binary: Option<&'a Path>,
    /// That of this tree, where it is built already and not beside this program.
    pub(crate) binary: Option<&'a Path>,
    pub(crate) rounds: u32,
    pub(crate) orders: u32,
    pub(crate) concurrency: u32,
    /// Whether it fails when this tree takes more CPU.
    pub(crate) is_check: bool,
}

pub(crate) fn measure(comparison: &Comparison<'_>) -> anyhow::Result<()> {
    let Comparison { base, rounds, orders, concurrency, is_check, .. } = *comparison;
    let [that, this] = build::both(comparison)?;
    let programs = Programs { base, both: [&that, &this] };
    let load = Load { program: &this };
    let mut slower = Vec::new();

    for way in &WAYS {
        let what = format!("{}: timed", way.name);
        let timed =
            programs.in_turn(&what, rounds, |binary| timed(binary, way, load, orders, concurrency))?;
        let mut table = Table::default();
        table.timed(&timed);
        if !is_check {
            programs.count(way, load, comparison, &mut table);
        }
        let name = way.name;
        let title = format!(
            "{name}: {rounds} rounds of {orders} orders at concurrency {concurrency}; median [smallest-largest]"
        );
        table.print(&title, base);
        let [before, now] = timed.each_ref().map(|runs| values(runs, CPU));
        if is_check && is_worse_in_every_round(&ratios(&now, &before)) {
            slower.push(way.name);
        }
    }
    if !slower.is_empty() {
        bail!(
            "in every round an order takes more than {MAX_RATIO:.2} of the CPU that it took in {base}: {}",
            slower.join(", ")
        );
    }
    Ok(())
}

/// The base's binary and this tree's.
struct Programs<'a> {
    base: &'a str,
    both: [&'a Path; 2],
}

impl Programs<'_> {
    /// Measures both in each round; the one that comes first is another one each time.
    fn in_turn(
        &self,
        what: &str,
        rounds: u32,
        measure: impl Fn(&Path) -> anyhow::Result<Run>,
    ) -> anyhow::Result<Both> {
        let [that, this] = self.both;
        let mut measured = Both::default();
        for round in 0..rounds {
            println!("{what}, round {} of {rounds}", round + 1);
            let [before, now] = &mut measured;
            let mut in_turn = [(before, that, self.base), (now, this, "this tree")];
            if round % 2 == 1 {
                in_turn.reverse();
            }
            for (into, binary, name) in in_turn {
                into.push(measure(binary).with_context(|| name.to_owned())?);
            }
        }
        Ok(measured)
    }

    /// Adds what is not timed to the table, and below it how it was had or why it was not.
    fn count(&self, way: &Way, load: Load<'_>, comparison: &Comparison<'_>, table: &mut Table) {
        let Comparison { rounds, orders, concurrency, .. } = *comparison;
        let by_role = self.in_turn(&format!("{}: {}", way.name, roles::WHAT), rounds, |binary| {
            roles::an_order(binary, way, load, orders, concurrency)
        });
        let how = format!("each role a process, with a file of its own, over TCP; {rounds} rounds");
        table.counted(roles::WHAT, &how, by_role);

        // What is in both runs is the warm-up of the timed ones.
        let as_timed = Orders { first: orders / 10, more: orders, concurrency };
        let few = rounds.min(ROUNDS_UNDER_VALGRIND);
        for (count, orders, rounds) in [(OF_SYNCS, as_timed, rounds), (OF_INSTRUCTIONS, UNDER_VALGRIND, few)]
        {
            let what = format!("{}: {}", way.name, count.what);
            let counted = count.is_possible().and_then(|()| {
                self.in_turn(&what, rounds, |binary| count.an_order(binary, way, load, orders))
            });
            table.counted(count.what, &format!("{}; {rounds} rounds", count.how(orders)), counted);
        }
    }
}

/// One run on an empty folder: warmed up by a tenth of the orders.
fn timed(binary: &Path, way: &Way, load: Load<'_>, orders: u32, concurrency: u32) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir()?;
    let waypost = Waypost::of(binary, &folder.path().join("data"), way.arguments(), way.environment())?;
    load.place(waypost.gateway, orders / 10, concurrency)?;
    waypost.wait_until_idle()?;
    let before = waypost.usage()?;
    let report = load.place(waypost.gateway, orders, concurrency)?;
    // The work behind the last answers belongs to its orders.
    waypost.wait_until_idle()?;
    let used = waypost.usage()?.since(&before);
    anyhow::ensure!(report["unexpected"] == 0, "unexpected answers: {report}");

    let count = f64::from(orders);
    let mut run = Run::new();
    run.insert("orders/s".to_owned(), report["completed_per_second"].as_f64().unwrap_or(f64::NAN));
    for quantile in ["p50_ms", "p99_ms"] {
        let latency = report["outcomes"]["completed"][quantile].as_f64().unwrap_or(f64::NAN);
        run.insert(quantile.replace("_ms", " ms"), latency);
    }
    run.insert(CPU.to_owned(), used.total() * 1000.0 / count);
    for (thread, cpu) in &used.cpu {
        run.insert(format!("CPU ms an order, threads `{thread}`"), cpu * 1000.0 / count);
    }
    run.insert("switches an order".to_owned(), used.switches / count);
    run.insert("KB to disk an order".to_owned(), used.written / 1000.0 / count);
    run.insert("resident MB after".to_owned(), waypost.memory_mb()?.0);
    Ok(run)
}

fn is_worse_in_every_round(ratios: &[f64]) -> bool {
    !ratios.is_empty() && ratios.iter().all(|ratio| *ratio > MAX_RATIO)
}

#[cfg(test)]
mod tests {
    use super::is_worse_in_every_round;

    #[test]
    fn one_round_that_is_not_worse_is_enough() {
        assert!(is_worse_in_every_round(&[1.11, 1.3, 1.2]));
        assert!(!is_worse_in_every_round(&[1.11, 1.09, 1.6]));
        assert!(!is_worse_in_every_round(&[]), "nothing was measured");
    }
}
