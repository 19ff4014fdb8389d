//! CPU time, memory, threads, file descriptors and age of the process, from `/proc`.
//!
//! Names and units are those of the conventions for processes. Nothing is reported where there is no `/proc`.

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
    fn memory_is_in_bytes() {
        assert_eq!(bytes_in("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2_097_152));
    }
}
