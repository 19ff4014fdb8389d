//! Reader threads: each has its own read-only connection and takes the next query that waits.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::Shared;
use super::job::Message;
use crate::Error;

/// Starts a thread per connection, all of one kind. They end when the database is closed or its last handle is dropped.
pub(super) fn start(
    kind: &'static str,
    connections: Vec<Connection>,
    queue: mpsc::Receiver<Message>,
    shared: &Shared,
) -> io::Result<Vec<JoinHandle<()>>> {
    let queue = Arc::new(Mutex::new(queue));
    connections
        .into_iter()
        .enumerate()
        .map(|(number, connection)| {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name(format!("{}-{kind}-{number}", shared.name))
                .spawn(move || run(&connection, &queue))
        })
        .collect()
}

fn run(connection: &Connection, queue: &Mutex<mpsc::Receiver<Message>>) {
    loop {
        // The lock is held while this thread waits and given up before it works, so another one waits next.
        let message = {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let message = queue.blocking_recv();
            if matches!(message, Some(Message::Close(_))) {
                queue.close();
            }
            message
        };
        match message {
            None => return,
            Some(Message::Close(_)) => {}
            Some(Message::Run(mut job)) => {
                // One transaction, so that all statements of a query see the same state.
                let begun = run_statement(connection, "BEGIN DEFERRED");
                if begun.is_ok() {
                    job.run(connection);
                    if !connection.is_autocommit() {
                        // Nothing was written; the error of a failed end would tell the caller nothing.
                        let _ = run_statement(connection, "ROLLBACK");
                    }
                }
                job.settle(begun.map(|()| 0));
            }
        }
    }
}

fn run_statement(connection: &Connection, sql: &'static str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute(())?;
    Ok(())
}
