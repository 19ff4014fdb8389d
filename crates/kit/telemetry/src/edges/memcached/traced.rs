//! What stands in the place of a client.

use std::borrow::BorrowMut;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;

use async_memcached::{AsMemcachedValue, AsciiProtocol as _, Client, Error, Status, Value};

use super::operation::Operation;
use super::{Memcached, shown};
use crate::core::spawn::with_context;

/// How each key of a pipeline fared.
type Stored<'a, K> = HashMap<&'a K, Result<(), Error>>;

/// A client whose operations are spans. Made by [`Memcached::wrap`].
///
/// Cancel safe as far as the client is: one whose operation is dropped before its answer is read closes its connection, and
/// [`is_closed`](Self::is_closed) says so. The operation may have been done.
pub struct Traced<C> {
    memcached: Memcached,
    client: C,
}

impl<C> Traced<C> {
    pub(super) fn new(memcached: Memcached, client: C) -> Self {
        Self { memcached, client }
    }

    /// The client inside, for the meta protocol and the dump of keys. What is sent over it has no span.
    pub fn inner_mut(&mut self) -> &mut C {
        &mut self.client
    }

    /// The client without spans.
    pub fn into_inner(self) -> C {
        self.client
    }
}

impl<C: BorrowMut<Client>> Traced<C> {
    /// The value of a key, if it is there: a hit or a miss.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        let operation = self.start("get", key.as_ref());
        let found = within(&operation, self.client().get(key)).await;
        if let Ok(found) = &found {
            operation.looked_up(found.is_some());
        }
        ended(operation, found)
    }

    /// The values of those keys that are there, each a hit or a miss, in one round trip.
    ///
    /// # Errors
    /// Those of the client; `Protocol(NotFound)` if none of them is there, which is no failure of the span.
    pub async fn get_multi<K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Value>, Error> {
        let keys: Vec<K> = keys.into_iter().collect();
        let operation = self.start_several("get", keys.iter());
        let asked = keys.len();
        let found = within(&operation, self.client().get_multi(keys)).await;
        match &found {
            Ok(found) => operation.found(found.len(), asked),
            // The client's word for none at all.
            Err(Error::Protocol(Status::NotFound)) => operation.found(0, asked),
            Err(_) => {}
        }
        ended(operation, found)
    }

    /// Keeps a value, for `ttl` seconds if it is said.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn set(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsMemcachedValue,
        ttl: Option<i64>,
        flags: Option<u32>,
    ) -> Result<(), Error> {
        let operation = self.start("set", key.as_ref());
        let stored = within(&operation, self.client().set(key, value, ttl, flags)).await;
        ended(operation, stored)
    }

    /// Keeps several values, in one pipeline and one span. That of a key may fail without those of others: the span has the
    /// first failure then.
    ///
    /// # Errors
    /// Those of the client, for all of them.
    pub async fn set_multi<'a, K, V>(
        &mut self,
        pairs: &'a [(K, V)],
        ttl: Option<i64>,
        flags: Option<u32>,
    ) -> Result<Stored<'a, K>, Error>
    where
        K: AsRef<[u8]> + Eq + Hash + fmt::Debug,
        V: AsMemcachedValue,
    {
        let operation = self.start_several("set", pairs.iter().map(|(key, _)| key));
        let stored = within(&operation, self.client().set_multi(pairs, ttl, flags)).await;
        piped(operation, stored)
    }

    /// Keeps a value if there is none. That there is one is no failure of the span.
    ///
    /// # Errors
    /// Those of the client; `Protocol(NotStored)` if there is one.
    pub async fn add(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsMemcachedValue,
        ttl: Option<i64>,
        flags: Option<u32>,
    ) -> Result<(), Error> {
        let operation = self.start("add", key.as_ref());
        let stored = within(&operation, self.client().add(key, value, ttl, flags)).await;
        ended(operation, stored)
    }

    /// As [`set_multi`](Self::set_multi), for keys that have no value.
    ///
    /// # Errors
    /// Those of the client, for all of them.
    pub async fn add_multi<'a, K, V>(
        &mut self,
        pairs: &'a [(K, V)],
        ttl: Option<i64>,
        flags: Option<u32>,
    ) -> Result<Stored<'a, K>, Error>
    where
        K: AsRef<[u8]> + Eq + Hash + fmt::Debug,
        V: AsMemcachedValue,
    {
        let operation = self.start_several("add", pairs.iter().map(|(key, _)| key));
        let stored = within(&operation, self.client().add_multi(pairs, ttl, flags)).await;
        piped(operation, stored)
    }

    /// Gives a value up. That there is none is no failure of the span.
    ///
    /// # Errors
    /// Those of the client; `Protocol(NotFound)` if there is none.
    pub async fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let operation = self.start("delete", key.as_ref());
        let deleted = within(&operation, self.client().delete(key)).await;
        ended(operation, deleted)
    }

    /// As [`delete`](Self::delete), without waiting for the answer.
    ///
    /// # Errors
    /// That it could not be sent.
    pub async fn delete_no_reply(&mut self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        let operation = self.start("delete", key.as_ref());
        let sent = within(&operation, self.client().delete_no_reply(key)).await;
        ended(operation, sent)
    }

    /// Gives several values up in one pipeline, without waiting for the answers.
    ///
    /// # Errors
    /// That it could not be sent.
    pub async fn delete_multi_no_reply<K: AsRef<[u8]>>(&mut self, keys: &[K]) -> Result<(), Error> {
        let operation = self.start_several("delete", keys.iter());
        let sent = within(&operation, self.client().delete_multi_no_reply(keys)).await;
        ended(operation, sent)
    }

    /// Adds to a number and returns the sum. That there is none is no failure of the span.
    ///
    /// # Errors
    /// Those of the client; `Protocol(NotFound)` if there is none.
    pub async fn increment(&mut self, key: impl AsRef<[u8]>, amount: u64) -> Result<u64, Error> {
        let operation = self.start("incr", key.as_ref());
        let sum = within(&operation, self.client().increment(key, amount)).await;
        ended(operation, sum)
    }

    /// As [`increment`](Self::increment), without waiting for the answer.
    ///
    /// # Errors
    /// That it could not be sent.
    pub async fn increment_no_reply(&mut self, key: impl AsRef<[u8]>, amount: u64) -> Result<(), Error> {
        let operation = self.start("incr", key.as_ref());
        let sent = within(&operation, self.client().increment_no_reply(key, amount)).await;
        ended(operation, sent)
    }

    /// Takes from a number and returns the rest, 0 at least. That there is none is no failure of the span.
    ///
    /// # Errors
    /// Those of the client; `Protocol(NotFound)` if there is none.
    pub async fn decrement(&mut self, key: impl AsRef<[u8]>, amount: u64) -> Result<u64, Error> {
        let operation = self.start("decr", key.as_ref());
        let rest = within(&operation, self.client().decrement(key, amount)).await;
        ended(operation, rest)
    }

    /// As [`decrement`](Self::decrement), without waiting for the answer.
    ///
    /// # Errors
    /// That it could not be sent.
    pub async fn decrement_no_reply(&mut self, key: impl AsRef<[u8]>, amount: u64) -> Result<(), Error> {
        let operation = self.start("decr", key.as_ref());
        let sent = within(&operation, self.client().decrement_no_reply(key, amount)).await;
        ended(operation, sent)
    }

    /// The version of the server.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn version(&mut self) -> Result<String, Error> {
        let operation = self.start_several("version", NO_KEYS.iter());
        let version = within(&operation, self.client().version()).await;
        ended(operation, version)
    }

    /// What the server says of itself.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn stats(&mut self) -> Result<HashMap<String, String>, Error> {
        let operation = self.start_several("stats", NO_KEYS.iter());
        let stats = within(&operation, self.client().stats()).await;
        ended(operation, stats.map(|stats| stats.into_iter().collect()))
    }

    /// Gives everything up that the server has.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn flush_all(&mut self) -> Result<(), Error> {
        let operation = self.start_several("flush_all", NO_KEYS.iter());
        let flushed = within(&operation, self.client().flush_all()).await;
        ended(operation, flushed)
    }

    /// Whether the connection cannot be used any more. As `Client::is_closed`.
    pub fn is_closed(&self) -> bool {
        self.client.borrow().is_closed()
    }

    fn client(&mut self) -> &mut Client {
        self.client.borrow_mut()
    }

    fn start(&self, name: &'static str, key: &[u8]) -> Operation {
        self.start_several(name, std::iter::once(key))
    }

    fn start_several<K: AsRef<[u8]>>(
        &self,
        name: &'static str,
        keys: impl ExactSizeIterator<Item = K>,
    ) -> Operation {
        let batch = Some(keys.len()).filter(|keys| *keys > 0);
        Operation::start(&self.memcached, name, shown::text(name, keys, self.memcached.shared.text), batch)
    }
}

/// Of an operation on the whole server.
const NO_KEYS: [&str; 0] = [];

async fn within<T>(operation: &Operation, work: impl Future<Output = T>) -> T {
    match operation.context() {
        Some(context) => with_context(context, work).await,
        None => work.await,
    }
}

fn ended<T>(operation: Operation, result: Result<T, Error>) -> Result<T, Error> {
    operation.end(result.as_ref().map(|_| ()));
    result
}

/// The end of a pipeline, of which a part may have failed.
fn piped<'a, K: Eq + Hash>(
    operation: Operation,
    result: Result<impl IntoIterator<Item = (&'a K, Result<(), Error>)>, Error>,
) -> Result<Stored<'a, K>, Error> {
    match result {
        Ok(each) => {
            let each: Stored<'a, K> = each.into_iter().collect();
            operation.end(each.values().find_map(|stored| stored.as_ref().err()).map_or(Ok(()), Err));
            Ok(each)
        }
        Err(error) => {
            operation.end(Err(&error));
            Err(error)
        }
    }
}

impl<C> fmt::Debug for Traced<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("memcached", &self.memcached).finish_non_exhaustive()
    }
}
