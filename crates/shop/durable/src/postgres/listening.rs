//! What is said to a schema by NOTIFY.

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::mpsc;

use super::Database;
use crate::Backoff;

/// What was said and not yet taken; beyond that the server keeps it.
const QUEUE: usize = 64;

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A transaction that has committed said this.
    Said(String),
    /// From here on it is listened; what was said before may have been missed. The first thing that is heard, and what is
    /// heard after a connection was lost.
    Gap,
}

impl Database {
    /// Hears what is said on the channel `<schema>_<topic>`, over a connection beside the pool that is made anew whenever it
    /// is lost. Ends when the receiver is dropped, or the database closed.
    ///
    /// Must be called inside a tokio runtime.
    pub fn listen(&self, topic: &'static str) -> mpsc::Receiver<Heard> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        waypost_telemetry::spawn(listen(self.clone(), topic, sender));
        receiver
    }

    /// The channel of a topic. Shorter than the names of the server may be, as the schema is.
    pub(crate) fn channel(&self, topic: &str) -> String {
        format!("{}_{topic}", self.schema())
    }
}

async fn listen(database: Database, topic: &'static str, sender: mpsc::Sender<Heard>) {
    let (backoff, mut failures) = (Backoff::default(), 0);
    let listening = async {
        loop {
            if let Err(error) = hear(&database, topic, &sender, &mut failures).await {
                failures += 1;
                tracing::debug!(%error, topic, "the server cannot be listened to");
            }
            tokio::time::sleep(backoff.delay(failures)).await;
        }
    };
    tokio::select! {
        () = database.shared.closing.cancelled() => {}
        () = sender.closed() => {}
        () = listening => {}
    }
}

async fn hear(
    database: &Database,
    topic: &str,
    sender: &mpsc::Sender<Heard>,
    failures: &mut u32,
) -> Result<(), sqlx::Error> {
    // The listener of the driver wants a pool of the driver; this one holds its one connection.
    let options = database.shared.server.connect_options(database.name());
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(&database.channel(topic)).await?;
    *failures = 0;
    let mut heard = Some(Heard::Gap);
    // Nobody takes it: the receiver is gone, and so is this, soon.
    while let Some(what) = heard
        && sender.send(what).await.is_ok()
    {
        // `None`: the connection was lost.
        heard = listener.try_recv().await?.map(|said| Heard::Said(said.payload().to_owned()));
    }
    Ok(())
}
