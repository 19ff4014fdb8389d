//! Pinned traces: copies that retention does not take, in the folder `pins` of the viewer's folder, a file each.
//!
//! Invariants:
//! - At most [`Bounds::traces`] and [`Bounds::bytes`]: for a trace that an alert pins, the oldest that an alert pinned makes
//!   room; what a person pinned is never taken.
//! - A file is whole or set aside.
//!
//! A trace that still grows is copied again for some minutes: an alert fires while its examples' last spans are on their way.

mod file;
mod store;

pub(crate) use store::PinnedStore;

use file::{Stored, load, write};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use waypost_trace_model::{Text, Trace, TraceId};
use waypost_trace_store::{ReadError, TraceStore, now};

/// How long a pinned trace is looked at again, in nanoseconds.
const GROWS: u64 = 3 * 60_000_000_000;
/// Bytes of the longest reason that is kept.
const MAX_REASON: usize = 500;

/// Who pinned a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) enum PinnedBy {
    /// An alert that began to fire.
    Alert,
    /// A person.
    Person,
}

/// A pinned trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pin {
    pub(crate) trace: TraceId,
    /// When it was pinned, in nanoseconds since 1970.
    pub(crate) created: u64,
    pub(crate) by: PinnedBy,
    pub(crate) reason: String,
    /// Of its root span, or of its earliest.
    pub(crate) service: Text,
    pub(crate) name: Text,
    /// When it began, in nanoseconds since 1970.
    pub(crate) start: u64,
    /// In nanoseconds.
    pub(crate) duration: u64,
    pub(crate) spans: u64,
    pub(crate) errors: u64,
    /// Of the copy.
    pub(crate) bytes: u64,
}

/// How much is pinned at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) traces: usize,
    pub(crate) bytes: u64,
}

/// Why a trace is not pinned.
#[derive(Clone, Debug)]
pub(crate) enum NoPin {
    /// It is not kept.
    NotKept,
    /// The bound is reached.
    Full(Bounds),
    /// The store cannot be read.
    Unread(ReadError),
    /// The copy cannot be written.
    Unwritten(Arc<io::Error>),
}

impl fmt::Display for NoPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPin::NotKept => f.write_str("it is not kept here"),
            NoPin::Full(Bounds { traces, bytes }) => write!(
                f,
                "as much is pinned as may be ({traces} traces, {} MiB); unpin another one, or raise viewer.alerts.pins and pin_size",
                bytes >> 20
            ),
            NoPin::Unread(error) => write!(f, "the store cannot be read: {error}"),
            NoPin::Unwritten(error) => write!(f, "the copy cannot be written: {error}"),
        }
    }
}

/// The pinned traces. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pins(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    /// `None`: copies are kept in memory.
    folder: Option<PathBuf>,
    /// Held while a pin is made or taken off.
    changing: Mutex<()>,
    pins: Mutex<BTreeMap<TraceId, Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    pin: Pin,
    /// Without a folder.
    copy: Option<Arc<Stored>>,
}

impl Pins {
    /// Those of a folder. Blocks on the disk.
    pub(crate) fn open(bounds: Bounds, folder: Option<&Path>) -> io::Result<Pins> {
        let folder = folder.map(|folder| folder.join("pins"));
        let mut pins = BTreeMap::new();
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)?;
            for pin in file::list(folder)? {
                pins.insert(pin.trace, Kept { pin, copy: None });
            }
        }
        let pins = Mutex::new(pins);
        Ok(Pins(Arc::new(Shared { bounds, folder, changing: Mutex::new(()), pins })))
    }

    /// Every pin, the latest first.
    pub(crate) fn list(&self) -> Vec<Pin> {
        let mut pins: Vec<Pin> = self.pins().values().map(|kept| kept.pin.clone()).collect();
        pins.sort_by_key(|pin| std::cmp::Reverse(pin.created));
        pins
    }

    /// How much may be pinned.
    pub(crate) fn bounds(&self) -> Bounds {
        self.0.bounds
    }

    pub(crate) fn get(&self, trace: TraceId) -> Option<Pin> {
        self.pins().get(&trace).map(|kept| kept.pin.clone())
    }

    /// Pins a trace as it is now. One that a person pins is the person's from then on. Blocks on the disk.
    pub(crate) fn add(
        &self,
        store: &dyn TraceStore,
        trace: TraceId,
        by: PinnedBy,
        mut reason: String,
    ) -> Result<Pin, NoPin> {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) =
            self.get(trace).filter(|known| known.by == PinnedBy::Person || by == PinnedBy::Alert)
        {
            return Ok(known);
        }
        while reason.len() > MAX_REASON {
            reason.pop();
        }
        let found = match store.traces(&[trace]).map_err(NoPin::Unread)?.pop() {
            Some(found) => Some(found),
            // The alert's copy may be all that is left.
            None => self.copy(trace),
        };
        let found = found.ok_or(NoPin::NotKept)?;
        let stored = Stored::of(&found);
        let pin = described(&found, &stored, by, reason);
        self.make_room(&pin)?;
        self.keep(pin.clone(), stored)?;
        Ok(pin)
    }

    /// Takes a pin off; false when there is none. Blocks on the disk.
    pub(crate) fn remove(&self, trace: TraceId) -> bool {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(trace)
    }

    /// Copies again what was pinned within the last minutes and has grown. Blocks on the disk.
    pub(crate) fn refresh(&self, store: &dyn TraceStore) {
        let begin = now().saturating_sub(GROWS);
        let young = self.list().into_iter().filter(|pin| pin.created >= begin);
        for pin in young {
            let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
            if self.get(pin.trace).is_none_or(|known| known != pin) {
                continue;
            }
            let summary = store.summaries(&[pin.trace]).unwrap_or_default().pop();
            if summary.is_none_or(|summary| summary.spans <= pin.spans) {
                continue;
            }
            let Some(grown) = store.traces(&[pin.trace]).unwrap_or_default().pop() else { continue };
            let stored = Stored::of(&grown);
            let grown = Pin { created: pin.created, ..described(&grown, &stored, pin.by, pin.reason) };
            if self.fits(&grown)
                && let Err(why) = self.keep(grown, stored)
            {
                tracing::warn!(trace = %pin.trace, %why, "a pinned trace was not copied again");
            }
        }
    }

    /// The copy of a pinned trace; `None` when there is none, or it is damaged, which is said. Blocks on the disk.
    fn copy(&self, trace: TraceId) -> Option<Trace> {
        let kept = self.pins().get(&trace).cloned()?;
        let stored = match (&kept.copy, &self.0.folder) {
            (Some(stored), _) => Some(Arc::clone(stored)),
            (None, Some(folder)) => load(folder, trace).map(Arc::new),
            (None, None) => None,
        };
        let Some(stored) = stored else {
            self.pins().remove(&trace);
            return None;
        };
        stored.trace(trace)
    }

    fn keep(&self, pin: Pin, stored: Stored) -> Result<(), NoPin> {
        let copy = match &self.0.folder {
            None => Some(Arc::new(stored)),
            Some(folder) => {
                write(folder, &pin, &stored).map_err(|error| NoPin::Unwritten(Arc::new(error)))?;
                None
            }
        };
        self.pins().insert(pin.trace, Kept { pin, copy });
        Ok(())
    }

    /// Takes off what alerts pinned, the oldest first, until there is room.
    fn make_room(&self, pin: &Pin) -> Result<(), NoPin> {
        let full = NoPin::Full(self.0.bounds);
        if pin.bytes > self.0.bounds.bytes || self.0.bounds.traces == 0 {
            return Err(full);
        }
        while !self.fits(pin) {
            let mut oldest_first = self.list().into_iter().rev();
            let oldest = oldest_first.find(|one| one.by == PinnedBy::Alert && one.trace != pin.trace);
            let Some(oldest) = oldest else { return Err(full) };
            tracing::info!(trace = %oldest.trace, "an alert's pinned trace makes room for another one");
            self.take(oldest.trace);
        }
        Ok(())
    }

    /// Whether there is room for it beside the others.
    fn fits(&self, pin: &Pin) -> bool {
        let pins = self.pins();
        let others = pins.values().filter(|other| other.pin.trace != pin.trace);
        let (count, bytes) =
            others.fold((0, 0), |(count, bytes), other| (count + 1, bytes + other.pin.bytes));
        count < self.0.bounds.traces && bytes + pin.bytes <= self.0.bounds.bytes
    }

    fn take(&self, trace: TraceId) -> bool {
        let is_there = self.pins().remove(&trace).is_some();
        if let Some(folder) = self.0.folder.as_ref().filter(|_| is_there)
            && let Err(error) = fs::remove_file(file::path(folder, trace))
        {
            tracing::warn!(%trace, %error, "the copy of a trace that was pinned cannot be removed");
        }
        is_there
    }

    fn pins(&self) -> MutexGuard<'_, BTreeMap<TraceId, Kept>> {
        self.0.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn described(trace: &Trace, stored: &Stored, by: PinnedBy, reason: String) -> Pin {
    let root = trace.spans.iter().find(|span| span.parent_span_id.is_none()).or_else(|| trace.spans.first());
    let start = trace.spans.iter().map(|span| span.start).min().unwrap_or_default();
    let end = trace.spans.iter().map(|span| span.end).max().unwrap_or_default();
    let errors = trace.spans.iter().filter(|span| span.status.code == waypost_trace_model::StatusCode::Error);
    Pin {
        trace: trace.id,
        created: now(),
        by,
        reason,
        service: root.map(|root| root.service().clone()).unwrap_or_default(),
        name: root.map(|root| root.name.clone()).unwrap_or_default(),
        start,
        duration: end.saturating_sub(start),
        spans: trace.spans.len() as u64,
        errors: errors.count() as u64,
        bytes: stored.len(),
    }
}
