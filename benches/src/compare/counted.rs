//! What an order takes of what has no clock: syncs to the disk, instructions, allocations. A tool counts them, in runs of their own,
//! as a program under a tool is slow.
//!
//! Each run starts on an empty folder. The shorter one places some orders and ends; the longer one places the same and then
//! more. The difference belongs to those that it placed more: starting, warming up and ending are in both.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::callgrind::Profile;
use super::strace::{SYNCS, syncs};
use super::table::Run;
use super::way::Way;
use crate::process::{Load, Waypost};

/// How many orders a count takes.
#[derive(Clone, Copy)]
pub(super) struct Orders {
    /// In both runs.
    pub(super) first: u32,
    /// In the longer one, after them.
    pub(super) more: u32,
    pub(super) concurrency: u32,
}

/// Something that a tool counts.
pub(super) struct Count {
    pub(super) what: &'static str,
    tool: &'static str,
    arguments: fn(file: &Path) -> Vec<String>,
    read: fn(&str) -> anyhow::Result<Run>,
}

/// Only the system calls that are counted stop the program, so that the others take no longer than they do.
pub(super) const OF_SYNCS: Count = Count {
    what: "fsyncs",
    tool: "strace",
    arguments: |file| {
        let calls = format!("trace={}", SYNCS.join(","));
        let words = ["-f", "--seccomp-bpf", "-c", "-e", &calls, "-o"];
        words.into_iter().map(str::to_owned).chain([file.display().to_string()]).collect()
    },
    read: |summary| {
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^53 of them")]
        Ok(Run::from([("fsyncs an order".to_owned(), syncs(summary)? as f64)]))
    },
};

pub(super) const OF_INSTRUCTIONS: Count = Count {
    what: "instructions and allocations",
    tool: "valgrind",
    arguments: |file| {
        let file = format!("--callgrind-out-file={}", file.display());
        vec!["-q".to_owned(), "--tool=callgrind".to_owned(), file]
    },
    read: |file| {
        let profile = Profile::parse(file)?;
        let counts = [
            ("instructions an order, user space", Some(profile.instructions)),
            ("allocations an order", profile.allocations()),
            ("allocations of SQLite an order", profile.allocations_of_sqlite()),
        ];
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^53 of them")]
        let known = |(name, count): (&str, Option<u64>)| Some((name.to_owned(), count? as f64));
        Ok(counts.into_iter().filter_map(known).collect())
    },
};

impl Count {
    /// Whether its tool is there; the error says how to get it.
    pub(super) fn is_possible(&self) -> anyhow::Result<()> {
        let tool = self.tool;
        let asked = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.map(drop).with_context(|| format!("{tool} cannot be run here: install {tool}"))
    }

    /// By what, and of which orders.
    pub(super) fn how(&self, Orders { first, more, concurrency }: Orders) -> String {
        format!("{}, {} orders less {first} at concurrency {concurrency}", self.tool, first + more)
    }

    /// What an order takes.
    pub(super) fn an_order(
        &self,
        binary: &Path,
        way: &Way,
        load: Load<'_>,
        orders: Orders,
    ) -> anyhow::Result<Run> {
        let Orders { first, more, concurrency } = orders;
        let shorter = self.run(binary, way, load, &[first], concurrency)?;
        let longer = self.run(binary, way, load, &[first, more], concurrency)?;
        Ok(difference(&shorter, &longer, more))
    }

    /// What the whole of one run took.
    fn run(
        &self,
        binary: &Path,
        way: &Way,
        load: Load<'_>,
        parts: &[u32],
        concurrency: u32,
    ) -> anyhow::Result<Run> {
        let folder = tempfile::tempdir()?;
        let (counted, complaints) = (folder.path().join("counted"), folder.path().join("complaints"));
        let mut command = Command::new(self.tool);
        command.args((self.arguments)(&counted)).arg(binary).stderr(File::create(&complaints)?);
        let data = folder.path().join("data");
        let started = Waypost::by(command, &data, way.arguments(), way.environment());
        let waypost = started.with_context(|| {
            let said = fs::read_to_string(&complaints).unwrap_or_default();
            said.lines().next().map_or_else(|| format!("under {}", self.tool), str::to_owned)
        })?;
        place(&waypost, load, parts, concurrency).with_context(|| format!("under {}", self.tool))?;
        // What was counted is written when it has ended.
        drop(waypost);
        let written = fs::read(&counted).with_context(|| format!("{} wrote nothing", self.tool))?;
        (self.read)(&String::from_utf8_lossy(&written))
    }
}

/// Places the orders part by part, and waits after each until all that is done for them has ended.
fn place(waypost: &Waypost, load: Load<'_>, parts: &[u32], concurrency: u32) -> anyhow::Result<()> {
    let at_rest = waypost.cpu_at_rest()?;
    for orders in parts {
        let report = load.place(waypost.gateway, *orders, concurrency)?;
        // One that was given up, or answered before it was completed, is another kind of order.
        let completed = report["outcomes"]["completed"]["count"].as_u64();
        ensure!(completed == Some(u64::from(*orders)), "not all orders were completed: {report}");
        waypost.wait_until_at_rest(at_rest)?;
    }
    Ok(())
}

/// What each of the orders took that the longer run placed more.
fn difference(shorter: &Run, longer: &Run, orders: u32) -> Run {
    let an_order = |(name, count): (&String, &f64)| {
        let before = shorter.get(name).copied().unwrap_or_default();
        (name.clone(), (count - before) / f64::from(orders))
    };
    longer.iter().map(an_order).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_runs_took_belongs_to_no_order() {
        let run = |values: [(&str, f64); 2]| Run::from(values.map(|(name, value)| (name.to_owned(), value)));
        let shorter = run([("syncs", 120.0), ("instructions", 5e9)]);
        let longer = run([("syncs", 320.0), ("instructions", 9e9)]);
        assert_eq!(difference(&shorter, &longer, 400), run([("syncs", 0.5), ("instructions", 1e7)]));
    }

    #[test]
    fn a_count_whose_first_calls_come_late_is_counted_whole() {
        let longer = Run::from([("allocations".to_owned(), 800.0)]);
        let expected = Run::from([("allocations".to_owned(), 2.0)]);
        assert_eq!(difference(&Run::new(), &longer, 400), expected);
    }

    #[test]
    fn a_tool_that_is_missing_is_named_with_what_to_install() {
        let count = Count { tool: "a-tool-that-nobody-has", ..OF_SYNCS };
        let error = format!("{:#}", count.is_possible().unwrap_err());
        assert!(error.contains("install a-tool-that-nobody-has"), "{error}");
    }
}
