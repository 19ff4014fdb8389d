//! Packs what goes to the journal.
//!
//! A context of the compressor is large, and made and cleared anew for each request it takes as long as the compression itself. One is
//! kept; whoever finds it in use makes one for itself.

use crate::store::journal::{Kind, Row};
use crate::{clock, recent::Payload};
use bytes::Bytes;
use std::{
    fmt, io,
    sync::{Mutex, PoisonError},
};
use zstd::bulk::Compressor;

/// Level 1: the journal is written once and soon deleted.
const LEVEL: i32 = 1;

/// The context that is kept, while nobody uses it.
#[derive(Default)]
pub(crate) struct Packer(Mutex<Option<Compressor<'static>>>);

impl Packer {
    /// A row of the spans and one of the log records, as far as there are any.
    pub(crate) fn pack(&self, payload: &Payload) -> io::Result<Vec<Row>> {
        let arrival = clock::now();
        let both = [(Kind::Spans, &payload.spans), (Kind::Logs, &payload.logs)];
        let mut compressor = match self.kept().take() {
            Some(compressor) => compressor,
            None => Compressor::new(LEVEL)?,
        };
        let row = |(kind, bytes): (Kind, &Bytes)| {
            let payload = compressor.compress(bytes)?;
            Ok(Row { kind, arrival, length: bytes.len(), payload })
        };
        let rows = both.into_iter().filter(|(_, bytes)| !bytes.is_empty()).map(row).collect();
        *self.kept() = Some(compressor);
        rows
    }

    /// Gives the memory of the context back.
    pub(crate) fn rest(&self) {
        *self.kept() = None;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Compressor<'static>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}
