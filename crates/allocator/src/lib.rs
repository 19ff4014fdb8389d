//! The allocator of the binary, and giving back to the system what it keeps for later.
//!
//! That is jemalloc with the feature `jemalloc`, which what is given to others has, as it takes less CPU; mimalloc without it,
//! which a compiler of C alone builds.
//!
//! Both keep memory of each thread for that thread's next requests. After a load that is over, or a peak, it is resident for
//! nothing. [`give_back`] returns that of the calling thread and everything that no thread owns at once; every other
//! thread returns its own when it next calls [`on_park`], which a runtime does before a worker sleeps.
//!
//! A crate of its own, since `unsafe` is forbidden everywhere else: one function of C is called.

#![warn(missing_docs)]

#[cfg(not(feature = "jemalloc"))]
pub use mimalloc::MiMalloc as Allocator;
#[cfg(feature = "jemalloc")]
pub use tikv_jemallocator::Jemalloc as Allocator;

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

/// How often [`give_back`] was called.
static ASKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Up to which call this thread gave back what it kept.
    static GIVEN: Cell<u64> = const { Cell::new(0) };
}

/// Returns what the calling thread keeps to the system, and asks every other thread to do so when it is about to sleep.
///
/// It takes up to some milliseconds, and what is needed again has to be asked of the system: for times of rest.
pub fn give_back() {
    let asked = ASKED.fetch_add(1, Ordering::Relaxed) + 1;
    GIVEN.set(asked);
    collect();
}

/// To be called by a thread before it sleeps: returns what it keeps when [`give_back`] asked for it since the last time.
pub fn on_park() {
    let asked = ASKED.load(Ordering::Relaxed);
    // Also while the thread ends, when its own values are gone.
    let known = GIVEN.try_with(|given| given.replace(asked)).unwrap_or(asked);
    if known != asked {
        collect();
    }
}

#[cfg(not(feature = "jemalloc"))]
#[expect(unsafe_code, reason = "a function of C")]
fn collect() {
    // SAFETY: `mi_collect` takes no pointer and may be called by any thread at any time; it frees only what nobody holds.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(feature = "jemalloc")]
#[expect(unsafe_code, reason = "a function of C")]
fn collect() {
    use std::ptr::null_mut;

    // What the thread keeps goes to its arena; then the pages of all arenas (4096 stands for all) that nobody uses go back.
    for command in [c"thread.tcache.flush", c"arena.4096.purge"] {
        // SAFETY: the name ends in a zero, the command reads and writes nothing through the pointers that are null, and any
        // thread may give it at any time. It fails where a thread keeps nothing, which changes nothing.
        unsafe {
            tikv_jemalloc_sys::mallctl(command.as_ptr(), null_mut(), null_mut(), null_mut(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Allocator = Allocator;

    /// Bytes that are resident, by the kernel.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() * 1024
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_freed_is_no_longer_resident() {
        const SIZE: usize = 64 << 20;
        let before = resident();
        let blocks: Vec<Vec<u8>> =
            (0..SIZE / 4096).map(|number| vec![number.to_le_bytes()[0] | 1; 4096]).collect();
        let held = resident();
        assert!(held > before + SIZE as u64 / 2, "{before} {held}");
        drop(blocks);
        give_back();
        let after = resident();
        assert!(after < before + SIZE as u64 / 4, "{before} {held} {after}");
    }
}
