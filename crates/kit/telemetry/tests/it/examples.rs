//! The examples show what their pages promise.

#[allow(dead_code, unreachable_pub, reason = "it has a `main` of its own")]
#[path = "../../examples/actix.rs"]
mod actix;
#[allow(dead_code, unreachable_pub, reason = "it has a `main` of its own")]
#[path = "../../examples/grpc_channels.rs"]
mod grpc_channels;
#[allow(dead_code, unreachable_pub, reason = "it has a `main` of its own")]
#[path = "../../examples/http.rs"]
mod http;
#[allow(dead_code, unreachable_pub, reason = "it has a `main` of its own")]
#[path = "../../examples/poem.rs"]
mod poem;
#[allow(dead_code, unreachable_pub, reason = "it has a `main` of its own")]
#[path = "../../examples/reqwest.rs"]
mod reqwest;

#[tokio::test]
async fn the_example_of_http_shows_its_options() {
    let shown = http::shown().await.unwrap();
    assert!(!shown.contains("/health") && !shown.contains("hidden"), "{shown}");
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("GET /rates SERVER gateway app.mobile=true"), "{shown}");
    assert!(lines[0].contains("http.response.body.size=3"), "{shown}");
    assert!(lines[1].starts_with("  GET /rates CLIENT gateway"), "{shown}");
    assert!(
        lines[1].contains("token=REDACTED") && lines[1].contains("http.response.status_code=404"),
        "{shown}"
    );
}

#[tokio::test]
async fn the_example_of_reqwest_shows_each_try() {
    let shown = reqwest::shown().await.unwrap();
    let expected = "capture INTERNAL payment
  POST /charges/{id}/capture CLIENT payment
refund INTERNAL payment
  POST /charges/{id}/refund CLIENT payment ERROR error.type=503
  POST /charges/{id}/refund CLIENT payment http.request.resend_count=1";
    assert_eq!(shown.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"), expected);
}

#[test]
fn the_examples_of_servers_show_one_request() {
    let shown = actix_web::rt::System::new().block_on(actix::shown());
    assert!(shown.starts_with("GET /orders/{id} SERVER shop"), "{shown}");
    assert!(shown.contains("\n  look-up INTERNAL shop"), "{shown}");
    let shown = tokio::runtime::Runtime::new().unwrap().block_on(poem::shown());
    assert!(shown.starts_with("GET /orders/:id SERVER shop"), "{shown}");
    assert!(shown.contains("\n  look-up INTERNAL shop"), "{shown}");
}

#[tokio::test]
async fn the_example_of_channels_shows_a_call_that_goes_on() {
    let shown = grpc_channels::shown().await.unwrap();
    let method = "grpc.health.v1.Health/Check CLIENT order";
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 3, "{shown}");
    assert!(lines[1].contains(method) && lines[1].contains("error.type=connection_refused"), "{shown}");
    assert!(lines[2].contains(method) && !lines[2].contains("ERROR"), "{shown}");
    assert!(shown.contains("server.address=stock"), "{shown}");
}
