//! The page, and what every answer carries.

use crate::{
    http::{ReplyExt as _, Request},
    viewer::Viewer,
};

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
            assert_eq!((reply.status.as_u16(), reply.text()), (200, root.text()), "{path}");
        }
    }
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
        for tag in [etag.clone(), format!("\"other\", W/{etag}"), "*".to_owned()] {
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
    let again = viewer.send(navigating("/").header("if-none-match", page.header("etag"))).await;
    assert_eq!(again.status, 304);
    let plain = Viewer::open().get("/").await;
    assert_ne!(plain.header("etag"), page.header("etag"), "a browser must not keep the one for the other");
}
