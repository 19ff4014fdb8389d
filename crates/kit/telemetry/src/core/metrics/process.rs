//! CPU time and memory of the process, from `/proc`.
//!
//! Nothing is reported where there is no `/proc`.

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
    meter
        .i64_observable_up_down_counter("process.memory.usage")
        .with_unit("By")
        .with_description("Resident memory of the process")
        .with_callback(|observer| {
            if let Some(bytes) = read("/proc/self/status").as_deref().and_then(resident_bytes) {
                observer.observe(bytes, &[]);
            }
        })
        .build();
    meter
        .i64_observable_up_down_counter("process.thread.count")
        .with_unit("{thread}")
        .with_description("Threads of the process")
        .with_callback(|observer| {
            if let Some(threads) = read("/proc/self/status").as_deref().and_then(|s| field(s, "Threads:")) {
                observer.observe(threads, &[]);
            }
        })
        .build();
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// User and system time. Counted from the end of the program's name, which may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<(f64, f64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user / TICKS, system / TICKS))
}

fn resident_bytes(status: &str) -> Option<i64> {
    Some(field(status, "VmRSS:")? * 1_024)
}

fn field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 250 75 0 0 20 0 4 0 100 1 2";
        assert_eq!(cpu_seconds(stat), Some((2.5, 0.75)));
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t  2048 kB\n"), Some(2_097_152));
    }
}
