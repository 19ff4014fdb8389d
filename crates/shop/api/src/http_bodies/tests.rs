use serde::de::DeserializeOwned;
use utoipa::PartialSchema;

use super::*;

/// The example that a body's schema shows.
fn example<B: PartialSchema>() -> String {
    let schema = serde_json::to_value(B::schema()).unwrap();
    let examples = schema["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 1);
    examples[0].to_string()
}

/// Gives the example back as JSON after it was read as the body that it is an example of.
fn read_back<B: PartialSchema + DeserializeOwned + Serialize>() -> (serde_json::Value, serde_json::Value) {
    let example = example::<B>();
    let body: B = serde_json::from_str(&example).unwrap();
    (serde_json::from_str(&example).unwrap(), serde_json::to_value(body).unwrap())
}

#[test]
fn every_example_is_what_its_schema_says() {
    parse_create_order(example::<CreateOrderBody>().as_bytes()).unwrap();
    parse_login(example::<LoginBody>().as_bytes()).unwrap();
    for (example, body) in [
        read_back::<CreateOrderBody>(),
        read_back::<OrderBody>(),
        read_back::<UserBody>(),
        read_back::<ProductBody>(),
        read_back::<TokenBody>(),
        read_back::<HealthBody>(),
        read_back::<Problem>(),
    ] {
        assert_eq!(example, body);
    }
}

#[test]
fn a_token_is_not_shown_by_debug() {
    let token: TokenBody = serde_json::from_str(&example::<TokenBody>()).unwrap();
    assert!(!format!("{token:?}").contains("eyJ"));
}
