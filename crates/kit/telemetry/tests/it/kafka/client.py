"""Kafka through kafka-python: `read SERVER TOPIC` prints the first record, `write SERVER TOPIC TRACEPARENT` sends one."""

import json
import sys

from kafka import KafkaConsumer, KafkaProducer

TIMEOUT = 60


def read(server, topic):
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=server,
        auto_offset_reset="earliest",
        consumer_timeout_ms=TIMEOUT * 1000,
    )
    record = next(consumer)
    consumer.close()
    headers = {name: value.decode() for name, value in record.headers}
    return {"headers": headers, "key": record.key.decode(), "value": record.value.decode()}


def write(server, topic, traceparent):
    producer = KafkaProducer(bootstrap_servers=server)
    headers = [("traceparent", traceparent.encode()), ("baggage", b"tenant.id=acme"), ("note", b"\xff")]
    sent = producer.send(topic, key=b"order-1", value=b"placed", headers=headers).get(timeout=TIMEOUT)
    producer.close()
    return {"offset": sent.offset}


operation, *arguments = sys.argv[1:]
print(json.dumps({"read": read, "write": write}[operation](*arguments)))
