//! The browser against a small page of its own.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use waypost_service::{Drain, DrainTrigger, Limits, bind, serve};
use waypost_testkit::browser::{Browser, Scheme, Window, key};
use waypost_testkit::until;

const PAGE: &str = r#"<!doctype html>
<html lang="en"><head><title>A page</title><meta name="viewport" content="width=device-width">
<style>body { color: rgb(1, 1, 1) } @media (prefers-color-scheme: dark) { body { color: rgb(2, 2, 2) } }</style></head>
<body><h1>Spans &amp; more</h1><button id="more" aria-label="One more">+</button><p id="count">0</p>
<input id="name"><a id="away" href="/other">away</a><a id="file" href="/file">file</a>
<script>
  const keys = [];
  document.addEventListener("keydown", (event) => keys.push((event.ctrlKey ? "Control+" : "") + event.key));
  document.getElementById("more").onclick = () => { document.getElementById("count").textContent += "1"; };
</script></body></html>"#;

struct Site {
    address: SocketAddr,
    _trigger: DrainTrigger,
}

fn site() -> Site {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.address();
    let router = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/other", get(|| async { Html("<title>Another</title>") }))
        .route(
            "/file",
            get(|| async { ([("content-disposition", "attachment; filename=trace.json")], "{}") }),
        )
        .route("/favicon.ico", get(|| async {}));
    let (trigger, drain) = Drain::new();
    waypost_telemetry::spawn(serve(listener, router, Limits::default(), drain));
    Site { address, _trigger: trigger }
}

/// A browser at the page, or `None` where there is none.
async fn opened(what: &str) -> Option<(Browser, Site)> {
    let browser = Browser::start_or_leave_out(what).await.unwrap()?;
    let site = site();
    browser.goto(&format!("http://{}/", site.address)).await.unwrap();
    Some((browser, site))
}

#[tokio::test]
async fn a_page_is_read_clicked_and_typed_into() {
    let Some((browser, site)) = opened("reading, clicking and typing").await else { return };
    assert_eq!(browser.title().await.unwrap(), "A page");
    assert_eq!(browser.text("h1").await.unwrap(), "Spans & more");
    assert_eq!(browser.role("#more").await.unwrap(), "button");
    assert_eq!(browser.label("#more").await.unwrap(), "One more");

    browser.click("#more").await.unwrap();
    browser.wait_until("document.getElementById('count').textContent === '01'").await.unwrap();
    browser.type_into("#name", "größe <b>").await.unwrap();
    let value = browser.script("return document.getElementById(arguments[0]).value", &[json!("name")]).await;
    assert_eq!(value.unwrap(), "größe <b>");

    browser.click("#away").await.unwrap();
    browser.wait_until("document.title === 'Another'").await.unwrap();
    assert_eq!(browser.url().await.unwrap(), format!("http://{}/other", site.address));
    browser.back().await.unwrap();
    browser.wait_for("#more").await.unwrap();
}

#[tokio::test]
async fn a_download_is_there() {
    let Some((browser, _site)) = opened("downloads").await else { return };
    browser.click("#file").await.unwrap();
    let file = browser.downloads().join("trace.json");
    until("the file", async || std::fs::read(&file).is_ok_and(|bytes| bytes == b"{}")).await;
}

#[tokio::test]
async fn keys_reach_what_has_the_focus() {
    let Some((browser, _site)) = opened("the keyboard").await else { return };
    browser.press([key::TAB, key::ENTER, key::SPACE]).await.unwrap();
    assert_eq!(browser.text("#count").await.unwrap(), "011", "enter and space press the button");
    browser.press("j?".chars().chain([key::DOWN, key::ESCAPE])).await.unwrap();
    browser.press_with(&[key::CONTROL], "k".chars()).await.unwrap();
    let keys = browser.script("return keys", &[]).await.unwrap();
    assert_eq!(
        keys,
        json!(["Tab", "Enter", " ", "j", "?", "ArrowDown", "Escape", "Control+Control", "Control+k"])
    );
}

#[tokio::test]
async fn the_window_and_the_colours_are_as_asked_for() {
    let Some((browser, _site)) = opened("windows and colours").await else { return };
    let size = "return [innerWidth, innerHeight, matchMedia('(pointer: coarse)').matches]";
    assert_eq!(browser.script(size, &[]).await.unwrap(), json!([1280, 900, false]));
    browser.resize(Window::PHONE).await.unwrap();
    assert_eq!(browser.script(size, &[]).await.unwrap(), json!([390, 844, true]));

    let colour = "return getComputedStyle(document.body).color";
    for (scheme, expected) in [(Scheme::Dark, "rgb(2, 2, 2)"), (Scheme::Light, "rgb(1, 1, 1)")] {
        browser.prefer(scheme).await.unwrap();
        assert_eq!(browser.script(colour, &[]).await.unwrap(), expected);
    }

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.png");
    browser.screenshot(&file).await.unwrap();
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
    assert_eq!(bytes[16..24], [0, 0, 390_u32.to_be_bytes()[2], 390_u32.to_be_bytes()[3], 0, 0, 3, 0x4c]);
}

#[tokio::test]
async fn the_console_tells_what_went_wrong_and_only_once() {
    let Some((browser, _site)) = opened("the console").await else { return };
    assert_eq!(browser.console().await.unwrap(), [], "nothing is wrong with the page");
    let script =
        "console.info('all is well'); setTimeout(() => { throw new Error('nobody caught it') }); return 1";
    browser.script(script, &[]).await.unwrap();
    let mut entries = Vec::new();
    until("both lines", async || {
        entries.extend(browser.console().await.unwrap());
        entries.len() >= 2
    })
    .await;
    let of_level = |level: &str| entries.iter().filter(|entry| entry.level == level).collect::<Vec<_>>();
    assert!(of_level("INFO")[0].message.contains("all is well"), "{entries:?}");
    assert!(of_level("SEVERE")[0].message.contains("nobody caught it"), "{entries:?}");
    assert_eq!(browser.console().await.unwrap(), []);
}

#[tokio::test]
async fn what_cannot_be_done_is_an_error_that_says_why_and_what_takes_a_while_is_waited_for() {
    let Some((browser, _site)) = opened("errors").await else { return };
    let error = browser.click("#nobody").await.unwrap_err().to_string();
    assert!(error.starts_with("no such element: "), "{error}");
    let error = browser.script("throw new Error('on purpose')", &[]).await.unwrap_err().to_string();
    assert!(error.starts_with("javascript error: ") && error.contains("on purpose"), "{error}");
    let late = "const done = arguments[1]; setTimeout(() => done({late: arguments[0]}), 1)";
    assert_eq!(browser.script_async(late, &[json!("yes")]).await.unwrap(), json!({"late": "yes"}));
}
