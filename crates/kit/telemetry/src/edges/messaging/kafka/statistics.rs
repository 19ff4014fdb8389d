//! What librdkafka counts by itself, as metrics. The conventions have no names for it, so these are the kit's own.
//!
//! librdkafka tells everything at once, every few seconds; the last of it is kept and read when somebody asks.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use rdkafka::statistics::{Broker, Partition};

use crate::core::handle::Telemetry;

/// Brokers that librdkafka numbers below zero are addresses to begin with, or of its own making.
const FIRST_BROKER: i32 = 0;

/// A producer or consumer, as its metrics know it.
#[derive(Debug)]
pub(super) struct Client {
    /// `messaging.client.id`.
    pub(super) id: Arc<str>,
    /// `messaging.consumer.group.name`.
    pub(super) group: Option<Arc<str>>,
    pub(super) statistics: Statistics,
}

/// The last that was told.
#[derive(Default)]
pub(super) struct Statistics(Mutex<Option<rdkafka::Statistics>>);

impl Statistics {
    pub(super) fn observe(&self, statistics: &rdkafka::Statistics) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(statistics.clone());
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statistics").finish_non_exhaustive()
    }
}

impl Client {
    fn labels(&self, further: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
        let mut labels = vec![KeyValue::new("messaging.client.id", Arc::clone(&self.id))];
        labels.extend(further);
        labels
    }

    fn group_labels(&self, further: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
        let group = self.group.clone().map(|group| KeyValue::new("messaging.consumer.group.name", group));
        self.labels(group.into_iter().chain(further))
    }
}

/// One who tells a number of a client.
type Tell<T> = fn(&Client, &rdkafka::Statistics, &dyn AsyncInstrument<T>);

/// The client, shown by the handle until the last one who uses it is gone.
pub(super) fn observed(telemetry: &Telemetry, client: Client) -> Arc<Client> {
    let client = Arc::new(client);
    if telemetry.metrics().is_on() {
        of_producers(telemetry.meter(), &client);
        of_consumers(telemetry.meter(), &client);
        of_brokers(telemetry.meter(), &client);
    }
    client
}

fn of_producers(meter: &Meter, client: &Arc<Client>) {
    let messages = "Messages that wait in the producer's queue or for their answers.";
    level(
        meter,
        "waypost.kafka.producer.queue.messages",
        "{message}",
        messages,
        client,
        |client, told, observer| {
            if told.client_type == "producer" {
                observer.observe(told.msg_cnt, &client.labels([]));
            }
        },
    );
    let size = "Size of the messages that wait in the producer's queue or for their answers.";
    level(meter, "waypost.kafka.producer.queue.size", "By", size, client, |client, told, observer| {
        if told.client_type == "producer" {
            observer.observe(told.msg_size, &client.labels([]));
        }
    });
}

fn of_consumers(meter: &Meter, client: &Arc<Client>) {
    let lag = "Messages of a partition that the consumer's group has not committed yet.";
    level(meter, "waypost.kafka.consumer.lag", "{message}", lag, client, |client, told, observer| {
        each_partition(told, |topic, partition| {
            if let Ok(lag) = u64::try_from(partition.consumer_lag) {
                let labels = [
                    KeyValue::new("messaging.destination.name", topic.to_owned()),
                    KeyValue::new("messaging.destination.partition.id", partition.partition.to_string()),
                ];
                observer.observe(lag, &client.group_labels(labels));
            }
        });
    });
    let assigned = "Partitions that the consumer has.";
    level(
        meter,
        "waypost.kafka.consumer.partitions",
        "{partition}",
        assigned,
        client,
        |client, told, observer| {
            if let Some(group) = &told.cgrp {
                observer.observe(positive(group.assignment_size.into()), &client.group_labels([]));
            }
        },
    );
    let rebalances = "How often partitions were given to the consumer or taken from it.";
    count(
        meter,
        "waypost.kafka.consumer.rebalances",
        "{rebalance}",
        rebalances,
        client,
        |client, told, observer| {
            if let Some(group) = &told.cgrp {
                observer.observe(positive(group.rebalance_cnt), &client.group_labels([]));
            }
        },
    );
}

fn of_brokers(meter: &Meter, client: &Arc<Client>) {
    let io = "Bytes that went to the brokers and came from them.";
    count(meter, "waypost.kafka.io", "By", io, client, |client, told, observer| {
        for (direction, bytes) in [("transmit", told.tx_bytes), ("receive", told.rx_bytes)] {
            observer
                .observe(positive(bytes), &client.labels([KeyValue::new("network.io.direction", direction)]));
        }
    });
    let failures = "Requests to the brokers that failed or had no answer in time.";
    count(meter, "waypost.kafka.failures", "{request}", failures, client, |client, told, observer| {
        let sum = |read: fn(&Broker) -> u64| told.brokers.values().map(read).sum::<u64>();
        for (kind, failures) in [
            ("send", sum(|broker| broker.txerrs)),
            ("receive", sum(|broker| broker.rxerrs)),
            ("timeout", sum(|broker| broker.req_timeouts)),
        ] {
            observer.observe(failures, &client.labels([KeyValue::new("error.type", kind)]));
        }
    });
    let round_trip =
        "The 99th percentile of how long a broker took to answer, over the last interval of the statistics.";
    let told = Arc::downgrade(client);
    let observe = move |observer: &dyn AsyncInstrument<f64>| {
        with_last(&told, |client, told| {
            let brokers = told.brokers.values().filter(|broker| broker.nodeid >= FIRST_BROKER);
            for broker in brokers {
                let Some(window) = broker.rtt.as_ref().filter(|window| window.cnt > 0) else { continue };
                let seconds = std::time::Duration::from_micros(positive(window.p99)).as_secs_f64();
                observer.observe(seconds, &client.labels(address(&broker.nodename)));
            }
        });
    };
    let gauge = meter.f64_observable_gauge("waypost.kafka.broker.round_trip");
    gauge.with_unit("s").with_description(round_trip).with_callback(observe).build();
}

fn each_partition(told: &rdkafka::Statistics, mut with: impl FnMut(&str, &Partition)) {
    for topic in told.topics.values() {
        // One of them stands for what belongs to no partition.
        for partition in topic.partitions.values().filter(|partition| partition.partition >= 0) {
            with(&topic.topic, partition);
        }
    }
}

fn address(node: &str) -> Vec<KeyValue> {
    let (address, port) =
        node.rsplit_once(':').map_or((node, None), |(address, port)| (address, port.parse().ok()));
    let mut labels = vec![KeyValue::new("server.address", address.to_owned())];
    labels.extend(port.map(|port: i64| KeyValue::new("server.port", port)));
    labels
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn with_last(client: &Weak<Client>, with: impl FnOnce(&Client, &rdkafka::Statistics)) {
    let Some(client) = client.upgrade() else { return };
    if let Some(told) = &*client.statistics.0.lock().unwrap_or_else(PoisonError::into_inner) {
        with(&client, told);
    }
}

fn level(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    client: &Arc<Client>,
    tell: Tell<u64>,
) {
    let client = Arc::downgrade(client);
    let observe = move |observer: &dyn AsyncInstrument<u64>| {
        with_last(&client, |client, told| tell(client, told, observer));
    };
    meter
        .u64_observable_gauge(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(observe)
        .build();
}

fn count(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    client: &Arc<Client>,
    tell: Tell<u64>,
) {
    let client = Arc::downgrade(client);
    let observe = move |observer: &dyn AsyncInstrument<u64>| {
        with_last(&client, |client, told| tell(client, told, observer));
    };
    meter
        .u64_observable_counter(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(observe)
        .build();
}
