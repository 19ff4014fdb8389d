//! When the process was created: it tells a process from another that had its number before, and identifies it in the
//! conventions.
//!
//! From `/proc`; nothing where there is none.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// Ticks a second of the times in `/proc`: fixed at 100 in what the Linux kernel shows to programs.
const TICKS: u64 = 100;

/// Read once, as the clock may be set while the process runs and all handles of a process must say the same.
static CREATED: LazyLock<Option<String>> = LazyLock::new(|| {
    let read = |path| std::fs::read_to_string(path).ok();
    let created = created(&read("/proc/stat")?, &read("/proc/self/stat")?)?;
    Some(humantime::format_rfc3339_millis(created).to_string())
});

/// In ISO 8601 and UTC, to the hundredth of a second.
pub(super) fn time() -> Option<String> {
    CREATED.clone()
}

/// Boot time of the system and the ticks from then to the start of the process.
fn created(system: &str, process: &str) -> Option<SystemTime> {
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    // Counted from the end of the program's name, which may hold spaces and brackets.
    let (_, fields) = process.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let since_boot = Duration::from_millis(ticks.checked_mul(1_000 / TICKS)?);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(boot))?.checked_add(since_boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_boot_time_and_ticks() {
        let system = "cpu  1 2 3\nbtime 1700000000\nprocesses 9\n";
        let process = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 250 75 0 0 20 0 4 0 1234 2 3";
        let created = created(system, process).unwrap();
        assert_eq!(humantime::format_rfc3339_millis(created).to_string(), "2023-11-14T22:13:32.340Z");
    }

    #[test]
    fn it_is_before_now_and_always_the_same() {
        let first = time().unwrap();
        assert!(humantime::parse_rfc3339(&first).unwrap() <= SystemTime::now(), "{first}");
        assert_eq!(time().unwrap(), first);
    }
}
