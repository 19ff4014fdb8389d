//! `waypost topics`: which topics and consumer groups a configuration uses, for whoever makes them or allows them.
//!
//! It asks no broker: what is there is said by the readiness of the process that uses it.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use waypost_api::events::ORDER_EVENTS_TOPIC;
use waypost_durable::consume::{retry_group, retry_topic};

use crate::cli::TopicsArgs;
use crate::console::say;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::roles;
use crate::settings::{BrokerKind, Environment, Profile, Settings, load};

/// What a broker has to have.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Names {
    topics: Vec<Topic>,
    groups: Vec<Group>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Topic {
    name: String,
    partitions: u32,
    /// `delete` or `compact`, in Kafka's words.
    cleanup_policy: &'static str,
    /// `null`: for ever.
    retention_ms: Option<u64>,
    about: &'static str,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Group {
    name: String,
    /// What it reads.
    topic: String,
}

/// Runs `waypost topics`.
pub(crate) fn topics(
    args: &TopicsArgs,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Exit, Failure> {
    let names = names(&load(Profile::Run, file, environment, args.settings.flags())?.settings);
    say(if args.json {
        serde_json::to_string_pretty(&names).or_exit(Exit::Internal, "writing the answer")?
    } else {
        text(&names)
    });
    Ok(Exit::Done)
}

fn names(settings: &Settings) -> Names {
    let prefix = match settings.broker.kind {
        BrokerKind::Embedded => "",
        BrokerKind::Kafka => settings.broker.kafka.prefix.as_str(),
    };
    let named = |name: &str| format!("{prefix}{name}");
    let millis = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    let topic = |roles::Topic { spec, about }| Topic {
        name: named(&spec.name),
        partitions: spec.partitions,
        cleanup_policy: "delete",
        retention_ms: spec.retention.age.map(millis),
        about,
    };
    let topics = roles::topics(&settings.broker).into_iter().map(topic);
    #[cfg(feature = "kafka")]
    let topics = topics.chain((settings.broker.kind == BrokerKind::Kafka).then(|| Topic {
        name: named(waypost_kafka::REPLAYS_TOPIC),
        partitions: 1,
        cleanup_policy: "compact",
        retention_ms: None,
        about: "which dead letters were published again",
    }));
    let topics = topics.collect();
    let group = &settings.notification.group;
    let mut groups = vec![Group { name: named(group), topic: named(ORDER_EVENTS_TOPIC) }];
    groups.extend((1..=settings.broker.retry.topics().count()).map(|number| Group {
        name: named(&retry_group(group, number)),
        topic: named(&retry_topic(ORDER_EVENTS_TOPIC, number)),
    }));
    Names { topics, groups }
}

fn text(Names { topics, groups }: &Names) -> String {
    let names = topics.iter().map(|topic| &topic.name).chain(groups.iter().map(|group| &group.name));
    let width = names.map(String::len).max().unwrap_or_default().max("topic".len());
    let mut lines = vec![format!("{:width$}  partitions  kept       what", "topic")];
    for Topic { name, partitions, cleanup_policy, retention_ms, about } in topics {
        let kept = match retention_ms {
            _ if *cleanup_policy == "compact" => "compacted".to_owned(),
            None => "for ever".to_owned(),
            Some(millis) => waypost_settings::Duration::from_millis(*millis).to_string(),
        };
        lines.push(format!("{name:width$}  {partitions:<10}  {kept:<9}  {about}"));
    }
    lines.push(String::new());
    lines.push(format!("{:width$}  reads", "group"));
    lines.extend(groups.iter().map(|Group { name, topic }| format!("{name:width$}  {topic}")));
    lines.join("\n")
}
