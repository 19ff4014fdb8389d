//! The page, and what every answer carries.

use crate::{
    http::{Reply, ReplyExt as _, Request},
    viewer::Viewer,
};
use std::{collections::BTreeSet, io::Read as _};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

fn navigating(path: &str) -> Request {
    Request::get(path).header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
}

#[tokio::test]
async fn every_address_of_the_page_answers_with_it() {
    let viewer = Viewer::open();
    let root = viewer.get("/").await;
    assert_eq!((root.status.as_u16(), root.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(root.text().starts_with("<!doctype html>"));
    for path in
        ["/search?service=a", "/trace/4bf92f3577b34da6a3ce929d0e0e4736", "/services", "/map", "/status"]
    {
        let asked =
            ["*/*", "text/*", "application/json"].map(|accept| Request::get(path).header("accept", accept));
        for request in asked.into_iter().chain([navigating(path), Request::get(path)]) {
            let reply = viewer.send(request).await;
            assert_eq!((reply.status.as_u16(), rest(&reply)), (200, rest(&root)), "{path}");
        }
    }
}

/// The page without the modules that its view needs.
fn rest(page: &Reply) -> String {
    page.text().lines().filter(|line| !line.contains("modulepreload")).collect()
}

#[tokio::test]
async fn the_page_refers_only_to_files_that_are_there_and_runs_nothing_inline() {
    let viewer = Viewer::open();
    let page = viewer.get("/").await;
    let mut files = 0;
    for attribute in ["src=\"", "href=\""] {
        for place in page.text().split(attribute).skip(1) {
            let path = place.split('"').next().unwrap();
            let reply = viewer.get(path).await;
            assert_eq!(reply.status, 200, "{path}");
            assert!(!reply.bytes.is_empty() && reply.header("etag").starts_with('"'), "{path}");
            files += 1;
        }
    }
    assert!(files >= 3, "styles, icon and program");
    assert!(!page.text().contains("<style") && !page.text().contains(" style="), "no inline style");
    let inline = page
        .text()
        .split("<script")
        .skip(1)
        .filter(|script| !script.split('>').next().unwrap().contains("src="));
    assert_eq!(inline.count(), 0, "no inline script");
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let viewer = Viewer::open();
    for path in ["/", "/assets/app.js"] {
        let first = viewer.get(path).await;
        assert_eq!(first.header("cache-control"), "no-cache");
        let etag = first.header("etag").to_owned();
        let strong = etag.trim_start_matches("W/");
        for tag in [etag.clone(), format!("\"other\", W/{strong}"), "*".to_owned()] {
            let again = viewer.send(Request::get(path).header("if-none-match", &tag)).await;
            assert_eq!(
                (again.status.as_u16(), again.bytes.len(), again.header("etag")),
                (304, 0, etag.as_str())
            );
        }
        let other = viewer.send(Request::get(path).header("if-none-match", "\"other\"")).await;
        assert_eq!((other.status.as_u16(), &other.bytes), (200, &first.bytes));
    }
    assert_eq!(viewer.get("/assets/app.js").await.header("content-type"), "text/javascript; charset=utf-8");
}

#[tokio::test]
async fn files_are_packed_for_those_who_can_unpack_them() {
    let viewer = Viewer::open();
    let plain = viewer.get("/assets/app.js").await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"));
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", "br"),
        ("GZIP;q=0.5, BR;q=0", "gzip"),
        ("*", "br"),
        ("br;q=0, *;q=0.1", "gzip"),
        ("deflate", ""),
        ("br;q=0, gzip;q=0.0", ""),
        ("br;q=much", ""),
    ] {
        let asked = Request::get("/assets/app.js").header("accept-encoding", accepted);
        let reply = viewer.send(asked.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-encoding")), (200, coding), "{accepted}");
        assert_eq!(unpack(coding, &reply.bytes), plain.bytes, "{accepted}");
        assert_eq!(reply.bytes.len() * 2 < plain.bytes.len(), !coding.is_empty(), "{accepted}");
        let again = viewer.send(asked.header("if-none-match", reply.header("etag"))).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (304, reply.header("etag")), "{accepted}");
        assert_eq!(reply.header("etag") == plain.header("etag"), coding.is_empty(), "{accepted}");
    }
}

#[tokio::test]
async fn answers_are_packed_for_those_who_can_unpack_them() {
    let viewer = Viewer::open();
    viewer.import(&crate::fixture::shop()).await;
    for path in ["/api/v1/search", "/trace/1"] {
        let plain = viewer.get(path).await;
        assert!(plain.bytes.len() > 1024, "{path}: {}", plain.text());
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        for coding in ["br", "gzip"] {
            let packed = viewer.send(Request::get(path).header("accept-encoding", coding)).await;
            assert_eq!(packed.header("content-encoding"), coding, "{path}");
            assert!(packed.bytes.len() < plain.bytes.len(), "{path}");
            assert_eq!(unpack(coding, &packed.bytes), plain.bytes, "{path}");
        }
    }
    let small = viewer.send(Request::get("/api/v1/names/services").header("accept-encoding", "br")).await;
    assert_eq!(small.header("content-encoding"), "", "it fits into a packet");
}

fn unpack(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = match coding {
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut plain),
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain),
        _ => return bytes.to_vec(),
    };
    read.unwrap();
    plain
}

/// What the page's answer names is walked as a browser would: a module that is missing there is one more round trip.
#[tokio::test]
async fn the_page_names_every_module_of_its_view_at_once() {
    let viewer = Viewer::open();
    for (path, module) in [
        ("/", "search/search.js"),
        ("/search", "search/search.js"),
        ("/trace/1", "trace/trace.js"),
        ("/services", "services/services.js"),
        ("/services/a", "services/operations.js"),
        ("/compare", "compare/compare.js"),
        ("/operation", "operation/operation.js"),
        ("/alerts", "alerts/alerts.js"),
        ("/map", "map/map.js"),
        ("/logs", "logs/logs.js"),
        ("/status", "status/status.js"),
    ] {
        let page = viewer.send(navigating(path)).await;
        let named: BTreeSet<String> = page
            .text()
            .split("<link rel=\"modulepreload\" href=\"/assets/")
            .skip(1)
            .map(|link| link.split('"').next().unwrap().to_owned())
            .collect();
        assert!(named.contains("app.js") && named.contains(module), "{path}: {named:?}");
        for name in &named {
            let text = viewer.get(&format!("/assets/{name}")).await.text().to_owned();
            // Types are named in comments.
            let code = text.lines().filter(|line| !line.trim_start().starts_with(['*', '/']));
            for import in code.filter_map(|line| line.split_once("from \"").map(|(_, target)| target)) {
                let target = import.split('"').next().unwrap();
                let target = joined(name, target);
                assert!(named.contains(&target), "{path}: {name} imports {target}");
            }
        }
    }
}

/// As a browser joins addresses.
fn joined(base: &str, target: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    parts.pop();
    for part in target.split('/').filter(|part| *part != ".") {
        if part == ".." {
            parts.pop().unwrap();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_and_not_the_page() {
    let viewer = Viewer::open();
    for path in [
        "/assets/nothing.js",
        "/assets/../Cargo.toml",
        "/assets/",
        "/api/v1/nothing",
        "/api/nothing",
        "/zipkin/nothing",
    ] {
        let reply = viewer.send(navigating(path)).await;
        assert_eq!(reply.status, 404, "{path}");
        assert_ne!(reply.header("content-type"), "text/html; charset=utf-8", "{path}");
    }
    let other = viewer.get("/nothing").await;
    assert_eq!(other.problem_name(), "not-found", "a program that asks for no HTML");
    assert_eq!(viewer.send(Request::post("/").json("")).await.status, 405);
    assert_eq!(viewer.send(Request::post("/assets/app.js").json("")).await.status, 405);
}

#[tokio::test]
async fn every_answer_tells_browsers_to_run_nothing_else() {
    let viewer = Viewer::open();
    let requests = [
        Request::get("/"),
        navigating("/trace/1"),
        Request::get("/assets/app.js"),
        Request::get("/assets/nothing"),
        Request::get("/api/v1/status"),
        Request::get("/api/v1/search?x=1"),
        Request::get("/api/v1/nothing"),
        Request::get("/api/v1/traces/5/otlp"),
        Request::get("/api/services"),
        Request::get("/api/v3/services"),
        Request::get("/zipkin/api/v2/services"),
        Request::post("/api/v1/traces").json("{}"),
        Request::get("/").header("host", "evil.example"),
        Request::get("/api/v1/status").header("sec-fetch-site", "cross-site"),
    ];
    for request in requests {
        let reply = viewer.send(request.clone()).await;
        let expected = [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("access-control-allow-origin", ""),
        ];
        for (name, value) in expected {
            assert_eq!(reply.header(name), value, "{request:?}");
        }
    }
}

#[tokio::test]
async fn the_doors_of_other_tools_are_open() {
    let viewer = Viewer::open();
    viewer.import(&crate::fixture::shop()).await;
    let services = serde_json::json!(["api-gateway", "payment-service", "settlement"]);
    assert_eq!(viewer.get("/api/services").await.json["data"], services);
    assert_eq!(viewer.get("/api/v3/services").await.json["services"], services);
    assert_eq!(viewer.get("/zipkin/api/v2/services").await.json, services);
    let own_port = crate::viewer::in_time(Request::get("/api/v2/services").send(viewer.zipkin)).await;
    assert_eq!(own_port.json, services);
}

#[tokio::test]
async fn below_a_path_the_page_asks_for_everything_there() {
    let viewer = Viewer::configured(|config| config.base_path = "/ops/traces".to_owned());
    // A proxy takes the path off.
    let page = viewer.send(navigating("/trace/5")).await;
    assert!(page.text().contains("data-base=\"/ops/traces\""), "{}", page.text());
    assert!(page.text().contains("src=\"/ops/traces/assets/app.js\"") && !page.text().contains("=\"/assets"));
    let again = viewer.send(navigating("/trace/6").header("if-none-match", page.header("etag"))).await;
    assert_eq!(again.status, 304);
    let plain = Viewer::open().get("/").await;
    assert_ne!(plain.header("etag"), page.header("etag"), "a browser must not keep the one for the other");
}
