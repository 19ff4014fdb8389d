//! The broker of a process: opened as the configuration says, with the topics that the roles use.
//!
//! The only place that knows which brokers there are; the roles and [`super::system`] see the port.

use std::sync::Arc;

use waypost_durable::broker::{Broker, EmbeddedBroker, EmbeddedBrokerOptions};
use waypost_durable::dead_letters::DeadLetters;
use waypost_durable::{Files, Sharing};
use waypost_service::Worker;
use waypost_telemetry::Telemetry;

use super::Role;
use super::build::exit_of;
use super::files::BROKER;
use super::topics::specs;
use crate::exit::{Exit, Failure};
use crate::settings::{Broker as Settings, BrokerKind};

/// An open broker and what belongs to it.
pub(super) struct OpenBroker {
    pub(super) port: Arc<dyn Broker>,
    /// What consumers could not handle.
    pub(super) dead_letters: Arc<dyn DeadLetters>,
    pub(super) upkeep: Upkeep,
}

/// What has to be done for it in the background, seen by the handle of one of the roles.
pub(super) type Upkeep = Box<dyn FnOnce(&Telemetry) -> Vec<Worker> + Send>;

impl OpenBroker {
    /// Opens the broker and makes the topics that are missing; `None` when none of the roles needs it.
    pub(super) async fn open(
        roles: &[Role],
        files: &Files,
        settings: &Settings,
    ) -> Result<Option<OpenBroker>, Failure> {
        if !roles.iter().any(|role| role.needs_broker()) {
            return Ok(None);
        }
        let opened = match settings.kind {
            BrokerKind::Embedded => {
                let opened = embedded(roles, files, settings)?;
                opened.port.ensure_topics(specs(settings)).await.map_err(|error| failure(error.into()))?;
                opened
            }
            #[cfg(feature = "kafka")]
            BrokerKind::Kafka => super::kafka::open(settings).await?,
            #[cfg(not(feature = "kafka"))]
            BrokerKind::Kafka => {
                // The check of the settings says so with what to do.
                return Err(Failure::message(Exit::BadConfig, "this program was built without Kafka"));
            }
        };
        Ok(Some(opened))
    }

    /// The work in the background, the closing included.
    pub(super) fn workers(self, telemetry: &Telemetry) -> Vec<Worker> {
        let mut workers = (self.upkeep)(telemetry);
        workers.push(Worker::closing("broker-connection", move || async move { self.port.close().await }));
        workers
    }
}

fn embedded(roles: &[Role], files: &Files, settings: &Settings) -> Result<OpenBroker, Failure> {
    // One process with both roles has it for itself; otherwise the other role's process uses the file too.
    let is_alone = Role::ALL.iter().filter(|role| role.needs_broker()).all(|role| roles.contains(role));
    let sharing = if is_alone && !settings.shared { Sharing::Exclusive } else { Sharing::Shared };
    let max_record = settings.record_size.as_usize();
    let options =
        EmbeddedBrokerOptions { sharing, max_record, ..EmbeddedBrokerOptions::new(files.database(BROKER)) };
    let broker = EmbeddedBroker::open(options).map_err(|error| failure(error.into()))?;

    let (retained, every) = (broker.clone(), settings.retention_interval.get());
    let upkeep = move |telemetry: &Telemetry| {
        let retain = Worker::every("broker-retention", every, telemetry, move || {
            let broker = retained.clone();
            async move { broker.delete_consumed().await.map(drop) }
        });
        vec![retain]
    };
    Ok(OpenBroker {
        port: Arc::new(broker.clone()),
        dead_letters: Arc::new(broker),
        upkeep: Box::new(upkeep),
    })
}

fn failure(error: anyhow::Error) -> Failure {
    let error = error.context("opening the broker");
    let exit: Exit = exit_of(&error);
    Failure::new(exit, error)
}
