//! Kafka does what the port promises: the same promises as every broker.

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod on_kafka {
            $(#[tokio::test]
            async fn $promise() {
                crate::suite::$promise(&crate::kafka().await, "order-events").await.unwrap();
            })*
        }
    };
}

contract![
    a_record_comes_back_as_it_was_published,
    a_record_goes_to_the_partition_of_its_key,
    a_topic_that_exists_keeps_its_partitions,
    a_missing_topic_is_a_reason_to_try_again,
    offsets_are_dense_and_keys_keep_their_order,
    every_group_gets_every_record,
    what_is_committed_does_not_come_again,
    a_waiting_consumer_is_woken_by_a_record,
    a_paused_partition_hands_out_nothing,
    a_poll_returns_at_most_what_is_asked_for,
    consumers_of_a_group_share_its_partitions,
    a_revoked_partition_goes_with_the_next_poll,
    a_silent_consumer_loses_its_partitions,
];

/// Retry topics are kept by the consume loop over every broker.
mod with_retry_topics {
    use std::sync::Arc;

    use waypost_durable::broker::Broker as _;
    use waypost_kafka::Kafka;

    async fn kafka() -> Arc<Kafka> {
        let broker = crate::kafka().await;
        broker.ensure_topics(crate::retries::topics()).await.unwrap();
        Arc::new(broker)
    }

    crate::retries::on_a_broker!(kafka);
}
