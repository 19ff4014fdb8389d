//! The example of the documentation.

#[path = "../../../examples/mongodb.rs"]
#[expect(dead_code, reason = "its `main` is for the command line")]
mod shown;

use super::*;

#[tokio::test]
async fn the_example_shows_the_commands_of_an_order() {
    let trace = shown::trace(Database::own().url()).await.unwrap();
    for line in ["place-order", "insert orders", "find orders", "{find: \\\"orders\\\""] {
        assert!(trace.contains(line), "{line} in {trace}");
    }
}
