//! Topics: made when they are missing, brought to the retention that is wanted, or only looked for.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataPartition;
use waypost_durable::Error;
use waypost_durable::broker::{Retention, TopicSpec};

use crate::broker::{Inner, closed};
use crate::trouble::{Events, missing_topic, unavailable};

/// A topic's settings in Kafka.
type Settings = Vec<(&'static str, String)>;

/// A topic to be made.
pub(crate) struct Wanted {
    /// Its name in Kafka.
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) settings: Settings,
}

pub(crate) async fn ensure(inner: &Arc<Inner>, topics: Vec<TopicSpec>) -> Result<(), Error> {
    inner.open()?;
    inner.topics().extend(topics.iter().map(|topic| topic.name.clone()));
    let wanted: Vec<Wanted> = topics.iter().map(|topic| wanted(inner, topic)).collect();
    if !inner.options.create_topics {
        let names: Vec<String> = wanted.into_iter().map(|topic| topic.name).collect();
        return inner
            .blocking(move |inner| names.iter().try_for_each(|name| must_exist(inner, name)))
            .await?;
    }
    let existing = create(inner, &wanted).await?;
    retain(inner, existing).await
}

fn wanted(inner: &Inner, topic: &TopicSpec) -> Wanted {
    let mut settings = retention(topic.retention);
    settings.push(("cleanup.policy", "delete".to_owned()));
    settings.push(("max.message.bytes", inner.options.max_message().to_string()));
    let partitions = i32::try_from(topic.partitions.max(1)).unwrap_or(i32::MAX);
    Wanted { name: inner.name(&topic.name), partitions, settings }
}

fn retention(retention: Retention) -> Settings {
    let age = retention.age.map_or_else(|| "-1".to_owned(), |age| age.as_millis().to_string());
    let bytes = retention.bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
    vec![("retention.ms", age), ("retention.bytes", bytes)]
}

fn must_exist(inner: &Inner, name: &str) -> Result<(), Error> {
    match inner.partitions(name)? {
        Some(_) => Ok(()),
        None => Err(unavailable(missing_topic(name))),
    }
}

fn must_be_led(inner: &Inner, name: &str) -> Result<(), Error> {
    must_exist(inner, name)?;
    let is_led = |partition: &MetadataPartition| partition.leader() >= 0 && partition.error().is_none();
    let metadata = inner.metadata(name, inner.options.request_timeout)?;
    match metadata.topics().first() {
        Some(topic) if topic.partitions().iter().all(is_led) => Ok(()),
        _ => Err(unavailable(format!("topic {name} has a partition without a leader"))),
    }
}

/// Makes the topics that are missing and waits until they can be used; returns those that there were.
pub(crate) async fn create(inner: &Arc<Inner>, wanted: &[Wanted]) -> Result<Vec<(String, Settings)>, Error> {
    let (mut existing, mut missing) = (Vec::new(), Vec::new());
    for topic in wanted {
        let name = topic.name.clone();
        match inner.blocking(move |inner| inner.partitions(&name)).await?? {
            Some(_) => existing.push((topic.name.clone(), topic.settings.clone())),
            None => missing.push(topic),
        }
    }
    if missing.is_empty() {
        return Ok(existing);
    }
    let replication = inner.options.replication_factor.map_or(-1, i32::from);
    let new: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|topic| {
            let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication));
            topic.settings.iter().fold(new, |new, (key, value)| new.set(key, value))
        })
        .collect();
    let admin = Admin::new(inner)?;
    let created = admin.client()?.create_topics(&new, &admin.options).await;
    for result in created.map_err(|error| inner.trouble.error("making topics", &error))? {
        match result {
            // Somebody else was first.
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let reason = inner.trouble.explain(code);
                return Err(unavailable(format!("topic {topic} cannot be made: {reason}")));
            }
        }
    }
    for topic in missing {
        exists(inner, &topic.name).await?;
    }
    Ok(existing)
}

/// Waits until a topic that was made is known to the brokers.
async fn exists(inner: &Arc<Inner>, name: &str) -> Result<(), Error> {
    const PAUSE: Duration = Duration::from_millis(20);
    let give_up = tokio::time::Instant::now() + inner.options.request_timeout;
    loop {
        let asked = name.to_owned();
        match inner.blocking(move |inner| must_be_led(inner, &asked)).await? {
            Err(error) if tokio::time::Instant::now() >= give_up => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Gives topics the retention that is wanted, where they have another.
async fn retain(inner: &Arc<Inner>, topics: Vec<(String, Settings)>) -> Result<(), Error> {
    if topics.is_empty() {
        return Ok(());
    }
    let admin = Admin::new(inner)?;
    for (topic, wanted) in topics {
        let fails = |error: &KafkaError| {
            inner.trouble.error(&format!("reading the settings of topic {topic}"), error)
        };
        let specifier = ResourceSpecifier::Topic(&topic);
        let described = admin.client()?.describe_configs([&specifier], &admin.options).await;
        let Some(described) = described.map_err(|error| fails(&error))?.pop() else { continue };
        let described = described.map_err(|code| fails(&KafkaError::AdminOp(code)))?;
        let is_retention = |(name, _): &&(&'static str, String)| name.starts_with("retention.");
        let differs = |(name, value): &(&'static str, String)| {
            described.get(name).is_none_or(|entry| entry.value.as_ref() != Some(value))
        };
        let wanted: Settings = wanted.iter().filter(is_retention).cloned().collect();
        if !wanted.iter().any(differs) {
            continue;
        }
        // The request replaces all of a topic's own settings, so those that it has are told again.
        let is_own = |entry: &&rdkafka::admin::ConfigEntry| {
            entry.source == ConfigSource::DynamicTopic && !wanted.iter().any(|(name, _)| *name == entry.name)
        };
        let kept = described.entries.iter().filter(is_own);
        let kept = kept.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
        let changed = wanted.iter().map(|(name, value)| (*name, value.as_str()));
        let alter = kept
            .chain(changed)
            .fold(AlterConfig::new(specifier), |alter, (name, value)| alter.set(name, value));
        let fails = |error: &KafkaError| {
            inner.trouble.error(&format!("changing the retention of topic {topic}"), error)
        };
        let altered =
            admin.client()?.alter_configs([&alter], &admin.options).await.map_err(|error| fails(&error))?;
        for result in altered {
            result.map_err(|(_, code)| fails(&KafkaError::AdminOp(code)))?;
        }
        tracing::info!(topic, ?wanted, "the retention of a topic was changed");
    }
    Ok(())
}

/// A connection for what an administrator does. It is ended beside the runtime, because that takes a moment.
struct Admin {
    client: Option<AdminClient<Events>>,
    options: AdminOptions,
}

impl Admin {
    fn new(inner: &Inner) -> Result<Self, Error> {
        let context = Events { trouble: Arc::clone(&inner.trouble) };
        let client = AdminClient::from_config_and_context(&inner.options.client(), context);
        let client = client.map_err(|error| inner.trouble.error("asking for topics", &error))?;
        let timeout = Some(inner.options.request_timeout);
        let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
        Ok(Self { client: Some(client), options })
    }

    fn client(&self) -> Result<&AdminClient<Events>, Error> {
        self.client.as_ref().ok_or_else(closed)
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        let client = self.client.take();
        std::thread::spawn(move || drop(client));
    }
}
