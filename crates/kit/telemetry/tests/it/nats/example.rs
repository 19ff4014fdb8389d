//! The example of the documentation.

#[path = "../../../examples/nats.rs"]
#[expect(dead_code, reason = "its `main` is for the command line")]
mod shown;

use super::*;

#[tokio::test]
async fn the_example_shows_an_order_and_a_question() {
    let own = Own::new();
    let traces = shown::traces(own.0.url()).await.unwrap();
    for line in [
        "send example.{order}.placed",
        "process example.*.placed",
        "write-mail",
        "ack example.*.placed",
        "request example.mails",
        "process example.mails",
        "send _INBOX.>",
    ] {
        assert!(traces.contains(line), "{line} in {traces}");
    }
}
