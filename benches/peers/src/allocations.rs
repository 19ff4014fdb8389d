//! Counts allocations, of this thread and of the process, while asked to.
//!
//! Built into every run and switched on only in passes whose times are not used; switched off it costs one relaxed
//! load an allocation. A reallocation counts as one, since it may move.
#![expect(
    unsafe_code,
    reason = "a global allocator cannot be written without it; every call goes to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[global_allocator]
static COUNTING: Counting = Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static PROCESS: AtomicU64 = AtomicU64::new(0);
thread_local! {
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    if IS_COUNTING.load(Ordering::Relaxed) {
        PROCESS.fetch_add(1, Ordering::Relaxed);
        // A thread that is ending has no counter any more.
        let _ = THREAD.try_with(|allocations| allocations.set(allocations.get() + 1));
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator, whose contract is the same; counting neither
// allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(old, layout) }
    }
}

/// Counts from now on.
pub(crate) fn start() {
    IS_COUNTING.store(true, Ordering::Relaxed);
}

/// Allocations of this thread since [`start`].
pub(crate) fn of_thread() -> u64 {
    THREAD.get()
}

/// Allocations of the process since [`start`].
pub(crate) fn of_process() -> u64 {
    PROCESS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_one_allocation_of_its_thread() {
        start();
        let before = of_thread();
        let boxed = std::hint::black_box(Box::new(1_u64));
        let counted = of_thread() - before;
        drop(boxed);
        assert_eq!(counted, 1);
        assert!(of_process() >= counted);
    }
}
