//! Changes of users, as those hear of them who keep copies.

use tokio::sync::mpsc;
use waypost_api::UserId;
use waypost_durable::postgres::Heard;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This user.
    Of(UserId),
    /// Any user: what was said before may have been missed.
    Any,
}

/// The changes of users that have been committed, from when it was made.
#[derive(Debug)]
pub struct Changes(mpsc::Receiver<Heard>);

impl Changes {
    /// By what a schema says.
    pub(super) fn heard(heard: mpsc::Receiver<Heard>) -> Changes {
        Changes(heard)
    }

    /// The next one; `None` when the store is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Change> {
        Some(match self.0.recv().await? {
            // What is no id is about every user, as it is written there.
            Heard::Said(id) => id.parse().map_or(Change::Any, Change::Of),
            Heard::Gap => Change::Any,
        })
    }
}
