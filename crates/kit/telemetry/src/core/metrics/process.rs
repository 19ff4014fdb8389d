//! CPU time, memory, threads, context switches, page faults, file descriptors and age of the process, from `/proc`.
//!
//! Names and units are those of the conventions for processes. Nothing is reported where there is no `/proc`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

/// Ticks a second of the times in `/proc`: fixed at 100 in what the Linux kernel shows to programs.
const TICKS: f64 = 100.0;

pub(super) fn observe(meter: &Meter) {
    meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s")
        .with_description("CPU time used by the process")
        .with_callback(|observer| {
            if let Some((user, system)) = read("/proc/self/stat").as_deref().and_then(cpu_seconds) {
                observer.observe(user, &[KeyValue::new("cpu.mode", "user")]);
                observer.observe(system, &[KeyValue::new("cpu.mode", "system")]);
            }
        })
        .build();
    level(meter, "process.memory.usage", "By", "Resident memory of the process", || bytes("VmRSS:"));
    level(meter, "process.memory.virtual", "By", "Virtual memory of the process", || bytes("VmSize:"));
    level(meter, "process.thread.count", "{thread}", "Threads of the process", || {
        field(&read("/proc/self/status")?, "Threads:")
    });
    meter
        .u64_observable_counter("process.context_switches")
        .with_unit("{context_switch}")
        .with_description("Times that a thread of the process gave up its processor, or lost it")
        .with_callback({
            let switches = Mutex::<Switches>::default();
            move |observer| {
                let kind = |kind| [KeyValue::new("process.context_switch.type", kind)];
                let Some(threads) = threads() else { return };
                let mut switches = switches.lock().unwrap_or_else(PoisonError::into_inner);
                let [voluntary, involuntary] = switches.with(threads);
                observer.observe(voluntary, &kind("voluntary"));
                observer.observe(involuntary, &kind("involuntary"));
            }
        })
        .build();
    meter
        .u64_observable_counter("process.paging.faults")
        .with_unit("{fault}")
        .with_description("Page faults of the process")
        .with_callback(|observer| {
            if let Some((minor, major)) = read("/proc/self/stat").as_deref().and_then(page_faults) {
                observer.observe(minor, &[KeyValue::new("system.paging.fault.type", "minor")]);
                observer.observe(major, &[KeyValue::new("system.paging.fault.type", "major")]);
            }
        })
        .build();
    let description = "Open file descriptors of the process";
    level(meter, "process.unix.file_descriptor.count", "{file_descriptor}", description, || {
        // The folder is open while it is read.
        i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)).ok()
    });
    meter
        .f64_observable_gauge("process.uptime")
        .with_unit("s")
        .with_description("Time since the start of the process")
        .with_callback(|observer| {
            let (stat, uptime) = (read("/proc/self/stat"), read("/proc/uptime"));
            if let Some(age) = stat.zip(uptime).and_then(|(stat, uptime)| age(&stat, &uptime)) {
                observer.observe(age, &[]);
            }
        })
        .build();
}

fn level(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    read: fn() -> Option<i64>,
) {
    let level = meter.i64_observable_up_down_counter(name).with_unit(unit).with_description(description);
    let observe = move |observer: &dyn opentelemetry::metrics::AsyncInstrument<i64>| {
        if let Some(value) = read() {
            observer.observe(value, &[]);
        }
    };
    level.with_callback(observe).build();
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The fields behind the program's name, which may hold spaces and brackets; the first is field 3 of `proc(5)`.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

/// User and system time.
fn cpu_seconds(stat: &str) -> Option<(f64, f64)> {
    let mut fields = fields(stat)?.skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user / TICKS, system / TICKS))
}

/// Seconds since the start of the process; both files count from the start of the system.
fn age(stat: &str, uptime: &str) -> Option<f64> {
    let started: f64 = fields(stat)?.nth(19)?.parse().ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some((now - started / TICKS).max(0.0))
}

/// Context switches of a process, voluntary and not. The kernel tells them for each thread, and a thread that has ended takes
/// its own away; what was last seen of it stays.
#[derive(Debug, Default)]
struct Switches {
    ended: [u64; 2],
    alive: HashMap<String, [u64; 2]>,
}

impl Switches {
    fn with(&mut self, threads: HashMap<String, [u64; 2]>) -> [u64; 2] {
        for (thread, last) in std::mem::replace(&mut self.alive, threads) {
            // A thread of the same number that counts less is another one.
            let is_alive = self.alive.get(&thread).is_some_and(|now| now[0] >= last[0] && now[1] >= last[1]);
            if !is_alive {
                self.ended = plus(self.ended, last);
            }
        }
        self.alive.values().fold(self.ended, |sum, thread| plus(sum, *thread))
    }
}

fn plus(one: [u64; 2], other: [u64; 2]) -> [u64; 2] {
    [one[0].saturating_add(other[0]), one[1].saturating_add(other[1])]
}

/// The threads that are alive.
fn threads() -> Option<HashMap<String, [u64; 2]>> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?.filter_map(Result::ok);
    let counted = tasks.filter_map(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let count = |name| u64::try_from(field(&status, name)?).ok();
        let switches = [count("voluntary_ctxt_switches:")?, count("nonvoluntary_ctxt_switches:")?];
        Some((task.file_name().to_string_lossy().into_owned(), switches))
    });
    Some(counted.collect())
}

/// Minor and major page faults.
fn page_faults(stat: &str) -> Option<(u64, u64)> {
    let mut fields = fields(stat)?.skip(7);
    Some((fields.next()?.parse().ok()?, fields.nth(1)?.parse().ok()?))
}

/// A field of the status that the kernel counts in KiB.
fn bytes(name: &str) -> Option<i64> {
    bytes_in(&read("/proc/self/status")?, name)
}

fn bytes_in(status: &str, name: &str) -> Option<i64> {
    Some(field(status, name)? * 1_024)
}

fn field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 250 75 0 0 20 0 4 0 100 1 2";

    #[test]
    fn a_program_name_with_brackets_does_not_shift_the_fields() {
        assert_eq!(cpu_seconds(STAT), Some((2.5, 0.75)));
    }

    #[test]
    fn the_age_is_counted_from_the_start_of_the_process() {
        assert_eq!(age(STAT, "31.50 60.00\n"), Some(30.5));
        // In some containers the two files do not tell of one system.
        assert_eq!(age(STAT, "0.50 0.10\n"), Some(0.0));
    }

    #[test]
    fn switches_of_threads_that_ended_stay() {
        let threads =
            |threads: &[(&str, [u64; 2])]| threads.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect();
        let mut switches = Switches::default();
        assert_eq!(switches.with(threads(&[("1", [5, 1]), ("2", [7, 0])])), [12, 1]);
        assert_eq!(switches.with(threads(&[("1", [6, 1])])), [13, 1]);
        // The number of a thread is used again.
        assert_eq!(switches.with(threads(&[("1", [6, 1]), ("2", [2, 2])])), [15, 3]);
        assert_eq!(switches.with(threads(&[("1", [6, 1]), ("2", [0, 0])])), [15, 3]);
    }

    #[test]
    fn page_faults_are_minor_and_major() {
        assert_eq!(page_faults(STAT), Some((900, 0)));
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(bytes_in("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2_097_152));
    }
}
