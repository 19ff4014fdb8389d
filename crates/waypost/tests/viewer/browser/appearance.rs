//! Dark and light, desktop and phone: every view fits its window.

use serde_json::{Value, json};
use waypost_testkit::browser::{Scheme, Window};

use super::{MILLISECOND, Scene, ago, service, span};

#[tokio::test]
async fn every_view_fits_a_desktop_and_a_phone_in_dark_and_light() {
    let Some(scene) = Scene::start("appearance").await else { return };
    let long = "a-service-with-a-very-long-name".repeat(9);
    let start = ago(2_000);
    let root =
        span(9, 1, 0, "GET /a/rather/long/route/with/{many}/parts/and/{more}", 2, start, 50 * MILLISECOND);
    let child =
        span(9, 2, 1, &"an operation whose name goes on and on ".repeat(8), 2, start, 20 * MILLISECOND);
    scene.send(&[service("shop", &[root]), service(&long, &[child])]).await;

    let browser = &scene.browser;
    let trace = format!("/trace/{:032x}", 9);
    let views = [
        "/search".to_owned(),
        "/services".to_owned(),
        "/services/shop".to_owned(),
        "/logs".to_owned(),
        "/map".to_owned(),
        "/alerts".to_owned(),
        "/status".to_owned(),
        trace.clone(),
        format!("{trace}?view=flame"),
        format!("{trace}?view=path"),
        format!("{trace}?view=logs"),
        format!("{trace}?span={:016x}", 2),
        format!("/compare?left={0:032x}&right={0:032x}", 9),
        "/operation?service=shop".to_owned(),
        "/operation?service=shop&view=flame".to_owned(),
        "/operation?service=shop&view=calls".to_owned(),
        "/trace/1".to_owned(),
        "/nowhere".to_owned(),
    ];
    let mut backgrounds: Vec<Value> = Vec::new();
    for scheme in [Scheme::Light, Scheme::Dark] {
        browser.prefer(scheme).await.unwrap();
        for window in [Window::DESKTOP, Window::PHONE] {
            browser.resize(window).await.unwrap();
            for view in &views {
                scene.open(view).await;
                browser
                    .wait_until("document.querySelector('main')?.innerText.trim().length > 10")
                    .await
                    .unwrap();
                browser.wait_until("document.querySelector('.loading') === null").await.unwrap();
                let sizes = browser
                    .script("return [document.documentElement.scrollWidth, window.innerWidth]", &[])
                    .await
                    .unwrap();
                assert!(sizes[0].as_u64() <= sizes[1].as_u64(), "{view} is wider than its window: {sizes}");
            }
            // The same for everything with words: no control is without a name for a screen reader.
            let nameless = browser
                .script(
                    "return [...document.querySelectorAll('button, a, input, select')].filter((node) => \
                     !(node.innerText?.trim() || node.getAttribute('aria-label') || node.labels?.length || node.title)).length",
                    &[],
                )
                .await
                .unwrap();
            assert_eq!(nameless, json!(0));
        }
        backgrounds.push(
            browser.script("return getComputedStyle(document.body).backgroundColor", &[]).await.unwrap(),
        );
    }
    assert_ne!(backgrounds[0], backgrounds[1], "dark is not light");
    let said = browser.console().await.unwrap();
    // The browser itself notes the answer 404 for the trace that is not there.
    assert!(said.iter().all(|entry| format!("{entry:?}").contains("404")), "{said:?}");
}
