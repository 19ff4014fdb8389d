//! Lists of attributes that are used again: the list of a span's builder is empty once the span has begun.

use std::cell::RefCell;

use opentelemetry::KeyValue;

/// Lists that a thread keeps.
const MAX_KEPT: usize = 16;
/// Lists with room for more are given back to the system.
const MAX_KEPT_ROOM: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<Vec<KeyValue>>> = const { RefCell::new(Vec::new()) };
}

/// An empty list with room.
pub(crate) fn take() -> Vec<KeyValue> {
    let kept = KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
    kept.unwrap_or_else(|| Vec::with_capacity(8))
}

/// Empties a list and keeps it for a later span of this thread.
pub(crate) fn give_back(mut list: Vec<KeyValue>) {
    if list.capacity() == 0 || list.capacity() > MAX_KEPT_ROOM {
        return;
    }
    // Outside the borrow below: what is dropped may be anything.
    list.clear();
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < MAX_KEPT {
            kept.push(list);
        }
    });
}
