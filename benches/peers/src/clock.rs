//! CPU time as the kernel accounts for it, and the CPU a process is kept on.

use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Where producers and services run.
pub(crate) const MEASURED: usize = 0;
/// Where receiver, load and director run.
pub(crate) const BESIDE: usize = 1;

/// CPU time of all threads of this process, user and system.
pub(crate) fn process_cpu() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// CPU time of this thread, user and system.
pub(crate) fn thread_cpu() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Keeps this thread, and the threads it will start, on one CPU. On a machine with a single CPU nothing is done.
pub(crate) fn pin(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    // A machine that lacks the CPU or forbids the call measures with more noise.
    let _ = sched_setaffinity(None, &cpus);
}
