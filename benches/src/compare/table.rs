//! What was measured of both, as one table: medians with their spread, and ratios.

use std::collections::BTreeMap;

use crate::statistics::{ratios, spread};

/// What is measured of one run, by name.
pub(super) type Run = BTreeMap<String, f64>;

/// The runs of the base and those of this tree, round by round.
pub(super) type Both = [Vec<Run>; 2];

/// Below this in every run, a thread did next to nothing.
const NOTHING: f64 = 0.005;

/// From here on digits behind the point say nothing.
const MANY: f64 = 1000.0;

/// One table.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<String>,
    notes: Vec<String>,
}

impl Table {
    /// Adds what was timed, without what one of them does not have, such as a thread, or neither uses.
    pub(super) fn timed(&mut self, both: &Both) {
        for name in names(both) {
            let [before, now] = both.each_ref().map(|runs| values(runs, name));
            let is_nothing = now.iter().chain(&before).all(|value| *value < NOTHING);
            if before.len() == now.len() && !is_nothing {
                self.rows.push(row(name, &before, &now));
            }
        }
    }

    /// Adds what was counted, also where it could be counted in one of them only, and says how; or why it was not.
    pub(super) fn counted(&mut self, what: &str, how: &str, counted: anyhow::Result<Both>) {
        match counted {
            Ok(both) => {
                for name in names(&both) {
                    let [before, now] = both.each_ref().map(|runs| values(runs, name));
                    self.rows.push(row(name, &before, &now));
                }
                self.notes.push(format!("- {what}: {how}"));
            }
            Err(error) => {
                // What a program said may be many lines.
                let why = format!("{error:#}");
                let why: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
                self.notes.push(format!("- {what}: not counted, {}", why.join("; ")));
            }
        }
    }

    pub(super) fn print(&self, title: &str, base: &str) {
        println!("\n{title}\n");
        println!("| | {base} | this tree | ratio, by round |");
        println!("|---|---|---|---|");
        self.rows.iter().for_each(|row| println!("{row}"));
        if !self.notes.is_empty() {
            println!();
        }
        self.notes.iter().for_each(|note| println!("{note}"));
    }
}

/// The values of that name, by round.
pub(super) fn values(runs: &[Run], name: &str) -> Vec<f64> {
    runs.iter().filter_map(|run| run.get(name).copied()).collect()
}

/// Every name, those of this tree first.
fn names([that, this]: &Both) -> Vec<&String> {
    let mut names: Vec<&String> = Vec::new();
    for name in this.iter().chain(that).flat_map(Run::keys) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn row(name: &str, before: &[f64], now: &[f64]) -> String {
    let digits = if before.iter().chain(now).any(|value| *value >= MANY) { 0 } else { 2 };
    let said = |values: &[f64]| match values {
        [] => "not counted".to_owned(),
        values => spread(values, digits),
    };
    let ratios = ratios(now, before);
    let ratio = if ratios.is_empty() { String::new() } else { spread(&ratios, 2) };
    format!("| {name} | {} | {} | {ratio} |", said(before), said(now))
}

#[cfg(test)]
mod tests {
    use super::{Both, Run, Table};

    fn both(that: &[(&str, f64)], this: &[(&str, f64)]) -> Both {
        let run = |values: &[(&str, f64)]| -> Vec<Run> {
            vec![values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()]
        };
        [run(that), run(this)]
    }

    #[test]
    fn a_count_of_one_of_them_only_has_no_ratio() {
        let mut table = Table::default();
        let counted = both(&[("fsyncs", 4.0)], &[("fsyncs", 2.0), ("allocations", 1234.5)]);
        table.counted("fsyncs", "strace", Ok(counted));
        assert_eq!(
            table.rows,
            [
                "| allocations | not counted | 1234 [1234-1234] |  |",
                "| fsyncs | 4.00 [4.00-4.00] | 2.00 [2.00-2.00] | 0.50 [0.50-0.50] |"
            ]
        );
    }

    #[test]
    fn what_was_not_counted_is_said_in_one_line() {
        let mut table = Table::default();
        table.counted("fsyncs", "strace", Err(anyhow::anyhow!("install strace\nand more")));
        assert!(table.rows.is_empty(), "{:?}", table.rows);
        assert_eq!(table.notes, ["- fsyncs: not counted, install strace; and more"]);
    }

    #[test]
    fn a_thread_of_one_of_them_or_without_work_is_left_out() {
        let mut table = Table::default();
        table.timed(&both(&[("a", 1.0), ("idle", 0.001)], &[("b", 1.0), ("idle", 0.001)]));
        assert!(table.rows.is_empty(), "{:?}", table.rows);
    }
}
