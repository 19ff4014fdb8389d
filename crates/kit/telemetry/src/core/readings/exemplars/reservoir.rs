//! The exemplars of one set of attributes.

use std::sync::{Mutex, PoisonError};

use super::Exemplar;

/// One place for each bucket; counters have one bucket.
#[derive(Debug)]
pub(super) struct Reservoir(Box<[Mutex<Option<Exemplar>>]>);

impl Reservoir {
    pub(super) fn new(buckets: usize) -> Self {
        Self((0..buckets).map(|_| Mutex::default()).collect())
    }

    /// Takes the place of what the bucket kept; not if somebody is at it.
    pub(super) fn put(&self, bucket: usize, exemplar: Exemplar) {
        if let Some(Ok(mut place)) = self.0.get(bucket).map(Mutex::try_lock) {
            *place = Some(exemplar);
        }
    }

    /// What is kept, with the places of the buckets.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, Exemplar)> {
        let places = self.0.iter().map(|place| *place.lock().unwrap_or_else(PoisonError::into_inner));
        places.enumerate().filter_map(|(bucket, exemplar)| Some((bucket, exemplar?)))
    }
}
