//! A viewer that listens beyond this machine asks for its token on every door; the link that it prints opens the page.

use std::net::{Ipv4Addr, SocketAddr};

use http::Method;
use serde_json::json;
use tonic::Code;
use waypost_testkit::{Answer, Client, Shop, Viewer, until};

use crate::otlp::{export, request, service, span};
use crate::{BINARY, shop};

/// Paths that read, each on its listener.
const READS: [(&str, &str); 14] = [
    ("viewer", "/"),
    ("viewer", "/assets/app.js"),
    ("viewer", "/no/such/page"),
    ("viewer", "/api/v1/status"),
    ("viewer", "/api/v1/search"),
    ("viewer", "/api/v1/tail"),
    ("viewer", "/api/v1/traces/1"),
    ("viewer", "/api/v1/traces/1/otlp"),
    ("viewer", "/api/services"),
    ("viewer", "/api/traces/1"),
    ("viewer", "/api/v3/services"),
    ("viewer", "/zipkin/api/v2/services"),
    ("zipkin", "/api/v2/services"),
    ("zipkin", "/api/v2/trace/1"),
];

/// A viewer that anybody could reach.
async fn open_to_all(data: &tempfile::TempDir, settings: &[(&str, &str)]) -> Viewer {
    let begun = Viewer::of(BINARY, data.path()).listen_on(Ipv4Addr::UNSPECIFIED);
    settings.iter().fold(begun, |begun, (key, value)| begun.set(key, value)).start().await.unwrap()
}

/// The link that it printed.
async fn link(viewer: &mut Viewer) -> String {
    let found = |line: &str| line.strip_prefix("Traces are shown at ").map(str::to_owned);
    viewer.process().line("the link", found).await.unwrap()
}

/// The path of a link, as a request writes it, and the token in it.
fn parts(link: &str, address: SocketAddr) -> (String, String) {
    let path = link.strip_prefix(&format!("http://127.0.0.1:{}", address.port())).unwrap();
    (path.to_owned(), path.split_once("token=").unwrap().1.to_owned())
}

fn spans(trace: u128) -> [serde_json::Value; 1] {
    [service("sender", &[span(trace, 1, 0, "step", 1, 1_000, 1_000)])]
}

/// Sends by every door that takes spans, and returns the status of each; gRPC's as its code.
async fn intakes(viewer: &Viewer, token: Option<&str>) -> (u16, Option<Code>, u16) {
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let headers: &[(&str, &str)] = if token.is_some() { &[("authorization", &bearer)] } else { &[] };
    let otlp = viewer.client("otlp-http").post("/v1/traces", headers, &request(&spans(1))).await.unwrap();
    let mut grpc = viewer.address("otlp-grpc");
    grpc.set_ip(Ipv4Addr::LOCALHOST.into());
    let refused = export(grpc, &spans(2), token).await.err().map(|status| status.code());
    let zipkin = r#"[{"traceId":"3","id":"1"}]"#;
    let zipkin = viewer.client("zipkin").post("/api/v2/spans", headers, zipkin).await.unwrap();
    (otlp.status.as_u16(), refused, zipkin.status.as_u16())
}

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    client.send(Method::GET, path, headers, None).await.unwrap()
}

#[tokio::test]
async fn the_printed_link_opens_the_page_for_a_browser_that_keeps_cookies() {
    let data = tempfile::tempdir().unwrap();
    let mut viewer = open_to_all(&data, &[]).await;
    assert!(viewer.address("viewer").ip().is_unspecified());
    let (path, token) = parts(&link(&mut viewer).await, viewer.address("viewer"));
    let ui = viewer.client("viewer");
    let browser = ("accept", "text/html");
    let form = get(&ui, "/trace/1", &[browser]).await;
    assert_eq!(form.status, 401);
    assert!(String::from_utf8_lossy(&form.bytes).contains("<form"));

    let answer = get(&ui, &path, &[browser]).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (303, &"/".parse().unwrap()));
    let cookie = answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert!(!cookie.contains(&token), "the token stays out of the cookie");
    for path in ["/", "/trace/1", "/assets/app.js", "/api/v1/status", "/api/services"] {
        assert_eq!(get(&ui, path, &[browser, ("cookie", &cookie)]).await.status, 200, "{path}");
    }
    // It is this process's: another start makes another token and another cookie.
    assert!(viewer.stop().await.unwrap().status.success());
    let mut viewer = open_to_all(&data, &[]).await;
    assert_ne!(parts(&link(&mut viewer).await, viewer.address("viewer")).1, token);
    assert_eq!(get(&viewer.client("viewer"), "/api/v1/status", &[("cookie", &cookie)]).await.status, 401);
}

#[tokio::test]
async fn beyond_this_machine_no_door_answers_without_the_token() {
    let data = tempfile::tempdir().unwrap();
    let token = "one's own: 100 % & more";
    let mut viewer = open_to_all(&data, &[("viewer.token", token)]).await;
    let (path, written) = parts(&link(&mut viewer).await, viewer.address("viewer"));
    assert_eq!(written, "one%27s+own%3A+100+%25+%26+more");
    assert_eq!(get(&viewer.client("viewer"), &path, &[("accept", "text/html")]).await.status, 303);
    for (listener, path) in READS {
        let answer = viewer.client(listener).get(path).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.json["type"]),
            (401, &json!("urn:waypost:viewer:unauthorized")),
            "{path}"
        );
    }
    assert_eq!(intakes(&viewer, None).await, (401, Some(Code::Unauthenticated), 401));
    let ui = viewer.client("viewer");
    assert_eq!(ui.post("/api/v1/traces", &[], &request(&spans(4))).await.unwrap().status, 401);

    assert_eq!(intakes(&viewer, Some(token)).await, (200, None, 202));
    let bearer = format!("Bearer {token}");
    for (listener, path) in READS {
        if path != "/api/v1/tail" {
            let answer = get(&viewer.client(listener), path, &[("authorization", &bearer)]).await;
            assert_eq!(answer.status, if path.starts_with("/no/") { 404 } else { 200 }, "{path}");
        }
    }
    let found = get(&ui, "/api/v1/search", &[("authorization", &bearer)]).await.json;
    assert_eq!(found["traces"].as_array().unwrap().len(), 3, "what came without the token is not there");
}

#[tokio::test]
async fn an_open_intake_takes_spans_from_everybody_and_still_shows_nothing() {
    let data = tempfile::tempdir().unwrap();
    let viewer = open_to_all(&data, &[("viewer.open_intake", "true")]).await;
    assert_eq!(intakes(&viewer, None).await, (200, None, 202));
    for (listener, path) in READS {
        assert_eq!(viewer.client(listener).get(path).await.unwrap().status, 401, "{path}");
    }
    let import = viewer.client("viewer").post("/api/v1/traces", &[], &request(&spans(4))).await.unwrap();
    assert_eq!(import.status, 401, "the import is a door of the page");
}

#[tokio::test]
async fn the_roles_of_a_shop_whose_viewer_asks_for_a_token_have_it() {
    let token = "the token of this test";
    let shop = Shop::of(BINARY)
        .viewer()
        .set("viewer.token", token)
        .listen_on("viewer", (Ipv4Addr::UNSPECIFIED, 0))
        .listen_on("otlp-http", (Ipv4Addr::UNSPECIFIED, 0))
        .start()
        .await
        .unwrap();
    let trace_id = shop::order(&shop).await;
    let mut address = shop.address("viewer");
    address.set_ip(Ipv4Addr::LOCALHOST.into());
    let viewer = Client::new(address);
    let path = format!("/api/v1/traces/{trace_id}");
    assert_eq!(viewer.get(&path).await.unwrap().status, 401);
    let bearer = format!("Bearer {token}");
    until("the order's trace", async || {
        get(&viewer, &path, &[("authorization", &bearer)]).await.json["completeness"]["complete"] == true
    })
    .await;
}
