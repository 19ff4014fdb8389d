//! A whole shop for tests: the real binary on free ports with a private data folder, in one process or in one per role
//! with lossy proxies between them; a collector that keeps what it is sent, a client, a browser, and an audit of the rows.
//!
//! For the tests of the `waypost` crate. What they see is what a user sees: HTTP answers, rows on disk, spans as they
//! come over OTLP. Nothing is shared between two shops, and a shop that is dropped is gone.
//!
//! Left out: fakes of single services; the tests of each service crate have their own.
#![allow(clippy::missing_panics_doc, reason = "a test helper that cannot do its work fails the test")]

mod age;
mod age_server;
pub mod audit;
pub mod browser;
mod collector;
mod convert;
mod data;
mod disk;
mod fleet;
pub mod program;
pub mod proxy;
mod roles;
mod shop;
mod viewer;

pub use browser::{Browser, left_out};
pub use collector::{Behaviour, Collector};
pub use data::{Data, database};
pub use disk::{ForgetfulDisk, PowerCut};
pub use fleet::Fleet;
pub use roles::{Role, Roles};
pub use shop::{Shop, ShopBuilder};
pub use viewer::{Viewer, ViewerBuilder};
pub use waypost_test_client::{Answer, Client, Request};
pub use waypost_test_process::{PATIENCE, Process, Stopped};

use std::time::Duration;

/// Waits until `is_so` holds, asking every few milliseconds.
///
/// # Panics
/// When it does not hold within [`PATIENCE`].
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "timed out waiting for {what}");
}
