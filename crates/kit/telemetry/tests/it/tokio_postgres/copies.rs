//! COPY in and out.

use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt as _;

use super::*;

#[tokio::test]
async fn a_copy_is_one_span_from_its_beginning_to_its_end() {
    let (telemetry, client, _own) = orders(|postgres| postgres).await;
    let work = async {
        let mut sink = pin!(client.copy_in::<_, Bytes>("COPY orders FROM STDIN").await.unwrap());
        sink.send(Bytes::from_static(b"7\thunter2\n8\thunter2\n")).await.unwrap();
        assert_eq!(telemetry.finished_spans().len(), 0, "it is not over yet");
        assert_eq!(sink.finish().await.unwrap(), 2);
        let out = client.copy_out("COPY orders (id) TO STDOUT").await.unwrap();
        out.try_fold(Vec::new(), async |mut all, piece| {
            all.extend(piece);
            Ok(all)
        })
        .await
        .unwrap()
    };
    let out = with_context(telemetry.context(), span("unit").observe(work)).await;
    assert_eq!(String::from_utf8(out).unwrap(), "1\n2\n7\n8\n");
    let seen: Vec<_> = telemetry
        .finished_spans()
        .iter()
        .map(|span| (span.name().to_owned(), outcome(span), attribute(span, "db.query.text")))
        .collect();
    // What stands in it without quotes may be a value.
    let copy = || ("COPY".to_owned(), "ok".to_owned(), Some("COPY ?".to_owned()));
    let expected = [copy(), copy(), ("unit".to_owned(), "ok".to_owned(), None)];
    assert_eq!(seen, expected);
    assert!(!exported(&telemetry).contains(SECRET));
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn a_copy_that_is_refused_or_given_up_says_so() {
    let (telemetry, client, _own) = orders(|postgres| postgres).await;
    {
        let mut sink = pin!(client.copy_in::<_, Bytes>("COPY orders FROM STDIN").await.unwrap());
        sink.send(Bytes::from_static(b"1\ttwice\n")).await.unwrap();
        sink.finish().await.unwrap_err();
    }
    drop(client.copy_in::<_, Bytes>("COPY orders FROM STDIN").await.unwrap());
    drop(client.copy_out("COPY orders TO STDOUT").await.unwrap());
    assert!(client.copy_in::<_, Bytes>("COPY nothing FROM STDIN").await.is_err());
    let seen: Vec<_> = telemetry.finished_spans().iter().map(outcome).collect();
    assert_eq!(seen, ["23505", "cancelled", "cancelled", "42P01"]);
}
