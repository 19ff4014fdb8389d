//! Buffers that frames are written in, used again once their frame has been sent.
//!
//! A frame is written where spans end and freed on the export thread, and it is as large as what allocators give back to
//! the system. Taken anew each time, its pages would be faulted in and cleared for every frame. All handles of the process
//! share what is kept. Bounded: what no longer fits is given back to the system.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Bytes at which a frame is handed over, however few items it has. Small enough that what is being written stays near
/// to the processor.
pub(super) const MAX_FRAME_BYTES: usize = 32 * 1024;
/// Of a buffer: a frame and the item that was too much for it.
const ROOM: usize = MAX_FRAME_BYTES + 4 * 1024;
/// Buffers that are kept.
const MAX_KEPT: usize = 32;

/// Those of the process.
pub(super) static BUFFERS: Buffers = Buffers(Mutex::new(Vec::new()));

#[derive(Debug)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// An empty buffer with room for a frame.
    pub(super) fn take(&self) -> Vec<u8> {
        let used = self.kept().pop();
        used.unwrap_or_else(|| Vec::with_capacity(ROOM))
    }

    /// What was written, to be sent. The buffer is used again when nobody reads it any more.
    pub(super) fn freeze(&'static self, buffer: Vec<u8>) -> Bytes {
        // What waits in a queue is counted by its length.
        if buffer.capacity() > 2 * buffer.len() {
            let bytes = Bytes::copy_from_slice(&buffer);
            self.give_back(buffer);
            return bytes;
        }
        Bytes::from_owner(Lent { buffer, buffers: self })
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() < ROOM || buffer.capacity() > 2 * ROOM {
            return;
        }
        buffer.clear();
        let mut kept = self.kept();
        if kept.len() < MAX_KEPT {
            kept.push(buffer);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    buffer: Vec<u8>,
    buffers: &'static Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.buffers.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers() -> &'static Buffers {
        Box::leak(Box::new(Buffers(Mutex::default())))
    }

    #[test]
    fn a_buffer_is_used_again_when_nobody_reads_it() {
        let buffers = buffers();
        let mut buffer = buffers.take();
        let begin = buffer.as_ptr();
        buffer.resize(ROOM, 7);
        let frozen = buffers.freeze(buffer);
        let copy = frozen.clone();
        drop(frozen);
        let other = buffers.take();
        assert_ne!(other.as_ptr(), begin);
        assert!(copy.iter().all(|byte| *byte == 7));
        drop(copy);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len()), (begin, 0));
    }

    #[test]
    fn little_is_copied_and_its_buffer_free_at_once() {
        let buffers = buffers();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"little");
        let frozen = buffers.freeze(buffer);
        assert_eq!((&*frozen, buffers.kept().len()), (&b"little"[..], 1));
    }

    #[test]
    fn neither_many_nor_large_buffers_are_kept() {
        let buffers = buffers();
        for _ in 0..MAX_KEPT + 5 {
            buffers.give_back(Vec::with_capacity(ROOM));
        }
        assert_eq!(buffers.kept().len(), MAX_KEPT);
        buffers.kept().clear();
        drop(buffers.freeze(vec![0; 3 * ROOM]));
        buffers.give_back(Vec::with_capacity(ROOM - 1));
        assert!(buffers.kept().is_empty());
    }
}
