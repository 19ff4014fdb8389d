//! Errors of other crates, each behind the cargo feature of its name.
//!
//! `error.type` is from a small fixed set: codes and variants, never texts, names of columns or addresses.

#[cfg(feature = "bb8")]
mod bb8;
#[cfg(feature = "deadpool")]
mod deadpool;
#[cfg(feature = "diesel")]
mod diesel;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "rusqlite")]
mod rusqlite;
#[cfg(feature = "serde_json")]
mod serde_json;
#[cfg(feature = "sqlx")]
mod sqlx;
#[cfg(feature = "tokio-postgres")]
mod tokio_postgres;

#[cfg(feature = "tokio-postgres")]
pub(crate) use self::tokio_postgres::is_row_count;
