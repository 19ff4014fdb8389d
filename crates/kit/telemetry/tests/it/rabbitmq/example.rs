//! The example of the documentation.

#[path = "../../../examples/rabbitmq.rs"]
#[expect(dead_code, reason = "its `main` is for the command line")]
mod shown;

use super::*;

#[tokio::test]
async fn the_example_shows_an_order_from_its_sender_to_its_mail() {
    let traces = shown::traces(Queues::own().url()).await.unwrap();
    for line in [
        "send waypost-example:orders.{order}.placed",
        "process waypost-example:orders.{order}.placed:waypost-example-mails",
        "write-mail",
        "ack waypost-example",
    ] {
        assert!(traces.contains(line), "{line} in {traces}");
    }
}
