//! The summary that `strace -c` writes: how often each system call was made.

use anyhow::{Context as _, bail};

/// Calls that wait until data is on the disk.
pub(super) const SYNCS: [&str; 4] = ["fsync", "fdatasync", "sync_file_range", "msync"];

/// All of [`SYNCS`] in a summary. There is none where there was no call.
pub(super) fn syncs(summary: &str) -> anyhow::Result<u64> {
    let mut sum = 0;
    let mut has_total = summary.trim().is_empty();
    for line in summary.lines() {
        // Share, seconds, microseconds a call, calls, errors where there were any, name.
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(name) = words.last().filter(|_| words.len() >= 5) else { continue };
        has_total |= *name == "total";
        if SYNCS.contains(name) {
            let calls = words.get(3).and_then(|calls| calls.parse::<u64>().ok());
            sum += calls.with_context(|| format!("no count of calls: {line}"))?;
        }
    }
    if !has_total {
        bail!("strace wrote no summary");
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::syncs;

    /// Of strace 6.1 and a program that synced 40 times, and twice what was not open.
    const SUMMARY: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 72.19    0.000727          24        30           fsync
 27.81    0.000280          23        12         2 fdatasync
------ ----------- ----------- --------- --------- ----------------
100.00    0.001007          23        42         2 total
";

    #[test]
    fn syncs_of_every_kind_are_added() {
        assert_eq!(syncs(SUMMARY).unwrap(), 30 + 12);
    }

    #[test]
    fn a_program_without_a_sync_has_no_summary() {
        assert_eq!(syncs("").unwrap(), 0);
    }

    #[test]
    fn what_is_no_summary_is_not_taken_for_none() {
        let cut = SUMMARY.lines().take(3).collect::<Vec<_>>().join("\n");
        assert!(syncs(&cut).is_err());
    }
}
