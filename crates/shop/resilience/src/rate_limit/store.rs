//! Where the buckets are kept: a table with a bound, and one bucket for whatever does not fit.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use governor::{
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

/// A bucket is the moment at which it will be full again.
#[derive(Debug)]
pub(super) struct BoundedStore {
    max_keys: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    buckets: HashMap<Box<str>, Nanos>,
    overflow: Option<Nanos>,
}

impl BoundedStore {
    pub(super) fn new(max_keys: usize) -> Self {
        Self { max_keys, table: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // The table is whole between any two statements, so a panic elsewhere does not spoil it.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for BoundedStore {
    type Key = Box<str>;

    fn measure_and_replace<T, F, E>(&self, key: &Box<str>, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut table = self.lock();
        if let Some(bucket) = table.buckets.get_mut(key) {
            let (outcome, full_at) = measure(Some(*bucket))?;
            *bucket = full_at;
            return Ok(outcome);
        }
        if table.buckets.len() < self.max_keys {
            let (outcome, full_at) = measure(None)?;
            table.buckets.insert(key.clone(), full_at);
            return Ok(outcome);
        }
        let (outcome, full_at) = measure(table.overflow)?;
        table.overflow = Some(full_at);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<Box<str>> for BoundedStore {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut table = self.lock();
        table.buckets.retain(|_, full_at| *full_at > drop_below);
    }

    fn shrink_to_fit(&self) {
        self.lock().buckets.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.lock().buckets.len()
    }

    fn is_empty(&self) -> bool {
        self.lock().buckets.is_empty()
    }
}
