//! Records that no client library would write, sent by Kafka's own protocol.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use waypost_durable::broker::Broker as _;

use crate::{eventually, options, suite, with_topics};

/// A broker may hear a moment later than others that it leads a partition of a new topic.
const NOT_YET_LEADER: i16 = 6;

/// A header as bytes: its name and its value.
type RawHeader<'a> = (&'a [u8], &'a [u8]);

/// A number in the zigzag form of a record's fields.
fn varint(number: usize) -> Vec<u8> {
    let mut left = number << 1;
    let mut bytes = Vec::new();
    while left >= 0x80 {
        bytes.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    bytes.push(u8::try_from(left).unwrap());
    bytes
}

/// Bytes behind their length.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [varint(bytes.len()), bytes.to_vec()].concat()
}

/// CRC-32C, as the batches of records have it.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

/// A batch of one record, in the form of version 2.
fn batch(key: &[u8], value: &[u8], headers: &[RawHeader<'_>]) -> Vec<u8> {
    let mut record = vec![0, 0, 0];
    record.extend([counted(key), counted(value), varint(headers.len())].concat());
    for (name, value) in headers {
        record.extend([counted(name), counted(value)].concat());
    }
    let mut body = Vec::new();
    // No compression, last offset 0, first and last time.
    body.extend([0; 6]);
    body.extend(1_790_000_000_123_i64.to_be_bytes().repeat(2));
    // No idempotent producer; one record.
    body.extend([0xff; 14]);
    body.extend(1_i32.to_be_bytes());
    body.extend(counted(&record));
    let mut batch = Vec::new();
    batch.extend([0; 8]);
    batch.extend(i32::try_from(9 + body.len()).unwrap().to_be_bytes());
    batch.extend([0xff, 0xff, 0xff, 0xff, 2]);
    batch.extend(crc32c(&body).to_be_bytes());
    batch.extend(body);
    batch
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// Produces a batch to partition 0 of a topic (Produce, version 3). Gives the broker's error; 0 is none.
fn produce(address: &str, topic: &str, batch: &[u8]) -> i16 {
    let mut request = Vec::new();
    request.extend([0, 0, 0, 3, 0, 0, 0, 7]);
    request.extend(text("raw"));
    // No transaction; all replicas, ten seconds; one topic.
    request.extend([0xff, 0xff, 0xff, 0xff]);
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(text(topic));
    request.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    request.extend(i32::try_from(batch.len()).unwrap().to_be_bytes());
    request.extend(batch);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut answer).unwrap();
    // Correlation, one topic and its name, one partition and its number; then the error.
    let error = 4 + 4 + 2 + topic.len() + 4 + 4;
    i16::from_be_bytes([answer[error], answer[error + 1]])
}

#[test]
fn the_check_sum_is_the_one_of_the_catalogue() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[tokio::test]
async fn a_header_whose_name_is_no_text_is_left_out_and_its_record_is_read() {
    let options = options();
    let broker = with_topics(options.clone()).await;
    let headers: [RawHeader<'_>; 3] =
        [(b"before", b"1"), (b"\xff\xfe no text", b"2"), ("größe".as_bytes(), b"\xff\x00")];
    let (topic, batch) = (format!("{}t", options.prefix), batch(b"key", b"value", &headers));
    eventually("it is taken", || async {
        let error = produce(&options.brokers[0], &topic, &batch);
        assert!([0, NOT_YET_LEADER].contains(&error), "error {error}");
        (error == 0).then_some(())
    })
    .await;
    // One behind it, so that it is seen that the topic goes on.
    suite::publish(&broker, vec![suite::record("t", "order-0", 1)]).await;
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    let mut taken = suite::take(&mut *consumer, 2).await.unwrap();
    consumer.close().await.unwrap();
    taken.sort_by_key(|delivery| delivery.offset);
    let record = &taken[0].record;
    assert_eq!((record.key.as_str(), record.payload.as_slice()), ("key", &b"value"[..]));
    let read = [("before".to_owned(), b"1".to_vec()), ("größe".to_owned(), b"\xff\x00".to_vec())];
    assert_eq!(record.headers, read);
    assert_eq!(record.id, "t/0/0", "it has no id, so its place is one");
    assert_eq!(taken[1].record, suite::record("t", "order-0", 1));
}
