//! Kafka as the broker of a process.
//!
//! Kafka that is away stops nobody: orders are taken and wait in the outbox, and the topics are made once it answers. What
//! only a person can mend, a password or a certificate, ends the start.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use waypost_durable::Backoff;
use waypost_durable::broker::{Broker as _, TopicSpec};
use waypost_kafka::{Kafka, KafkaOptions, Mechanism, Problem, Sasl, Tls};
use waypost_service::Worker;
use waypost_telemetry::{Telemetry, with_context};

use super::broker::OpenBroker;
use super::topics::specs;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::settings::{Broker as Settings, KafkaMechanism};

/// How long the topics are waited for between two tries.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), max: Duration::from_secs(5) };

/// Sets Kafka up, and makes the topics if it answers.
pub(super) async fn open(settings: &Settings) -> Result<OpenBroker, Failure> {
    let kafka = Kafka::new(options(settings)?).or_exit(Exit::BadConfig, "setting Kafka up")?;
    let topics = specs(settings);
    let are_made = match kafka.check().await {
        Err(Problem::Refused(error)) => {
            return Err(Failure::new(Exit::BadConfig, anyhow::Error::new(error).context("asking Kafka")));
        }
        Err(Problem::Away(error)) => Err(error),
        Ok(()) => kafka.ensure_topics(topics.clone()).await,
    };
    if let Err(error) = &are_made {
        tracing::warn!(%error, "Kafka cannot be used yet; orders are taken, and their events wait until it can");
    }
    let (made_later, is_pending) = (kafka.clone(), are_made.is_err());
    let upkeep = move |telemetry: &Telemetry| {
        let context = telemetry.context();
        let make = Worker::new("kafka-topics", move |drain| async move {
            let drain = drain.started();
            let making = async {
                make(&made_later, topics).await;
                // A worker that ends before the drain counts as dead.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = with_context(context, making) => {}
                () = drain => {}
            }
        });
        if is_pending { vec![make] } else { Vec::new() }
    };
    Ok(OpenBroker { port: Arc::new(kafka.clone()), dead_letters: Arc::new(kafka), upkeep: Box::new(upkeep) })
}

/// Makes the topics, trying on until they are there.
async fn make(kafka: &Kafka, topics: Vec<TopicSpec>) {
    let mut failures = 0;
    while let Err(error) = kafka.ensure_topics(topics.clone()).await {
        failures += 1;
        tracing::debug!(%error, failures, "the topics are not there yet");
        tokio::time::sleep(BACKOFF.delay(failures)).await;
    }
    tracing::info!("Kafka answers, and the topics are there");
}

fn options(settings: &Settings) -> Result<KafkaOptions, Failure> {
    let kafka = &settings.kafka;
    let tls = kafka.tls.enabled.then(|| Tls {
        ca: kafka.tls.ca_file.clone(),
        certificate: kafka.tls.certificate_file.clone(),
        key: kafka.tls.key_file.clone(),
    });
    let mechanism = match kafka.sasl.mechanism {
        KafkaMechanism::None => None,
        KafkaMechanism::Plain => Some(Mechanism::Plain),
        KafkaMechanism::ScramSha256 => Some(Mechanism::ScramSha256),
        KafkaMechanism::ScramSha512 => Some(Mechanism::ScramSha512),
    };
    let sasl = match (mechanism, &kafka.sasl.password_file) {
        (Some(mechanism), Some(file)) => {
            Some(Sasl { mechanism, user: kafka.sasl.user.clone(), password: password(file)? })
        }
        _ => None,
    };
    Ok(KafkaOptions {
        client_id: kafka.client_id.clone(),
        prefix: kafka.prefix.clone(),
        tls,
        sasl,
        create_topics: kafka.create_topics,
        replication_factor: (kafka.replication_factor > 0).then_some(kafka.replication_factor),
        session_timeout: kafka.session_timeout.get(),
        lease: kafka.poll_timeout.get(),
        publish_timeout: kafka.publish_timeout.get(),
        request_timeout: kafka.request_timeout.get(),
        max_record: settings.record_size.as_usize(),
        ..KafkaOptions::new(kafka.brokers.split(',').map(str::trim))
    })
}

fn password(file: &Path) -> Result<String, Failure> {
    let attempted = format!("reading broker.kafka.sasl.password_file, {}", file.display());
    let text = fs::read_to_string(file).or_exit(Exit::BadConfig, attempted)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
