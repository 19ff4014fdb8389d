//! The provider as its clients meet it: the store's contract on both stores, the HTTP interface, the faults.

mod faults;
mod http;
mod store;
