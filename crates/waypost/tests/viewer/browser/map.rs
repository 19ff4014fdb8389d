//! The service map: a large one is shown around one service, and what has no calls is left out.

use super::{MILLISECOND, Scene, ago, service, span};

#[tokio::test]
async fn a_large_map_is_drawn_around_its_busiest_service() {
    let Some(scene) = Scene::start("a large map").await else { return };
    let start = ago(2_000);
    // A chain of 30 services, each called by the one before; the tenth is called most.
    let mut sent = Vec::new();
    for number in 1..=30_u64 {
        sent.push(service(
            &format!("service-{number:02}"),
            &[span(5, number, number - 1, "serve", 2, start, MILLISECOND)],
        ));
    }
    for call in 1..=9_u64 {
        sent.push(service(
            "service-10",
            &[span(100 + u128::from(call), 1, 0, "serve", 2, start, MILLISECOND)],
        ));
    }
    scene.send(&sent).await;
    let browser = &scene.browser;
    // Three calls around it, and around those outside who call two of them.
    scene.open("/map").await;
    browser.wait_until("document.querySelectorAll('.map-node').length === 10").await.unwrap();
    scene.open("/map?hops=1").await;
    browser.wait_until("document.querySelectorAll('.map-node').length === 4").await.unwrap();
    let drawn = browser
        .script(
            "return [...document.querySelectorAll('.map-name')].map((name) => name.innerText).sort().join()",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(drawn, "outside,service-09,service-10,service-11");
    scene.wait_for_text("4 nodes of 31").await;
    let choose = "const [center, hops] = document.querySelectorAll('.map-focus select'); \
                  center.value = 'service:service-20'; hops.value = '2'; \
                  hops.dispatchEvent(new Event('change', {bubbles: true}));";
    browser.script(choose, &[]).await.unwrap();
    browser.wait_until("document.querySelectorAll('.map-node').length === 5").await.unwrap();
    assert!(browser.url().await.unwrap().contains("hops=2"));
    scene.open("/map?hops=all").await;
    browser.wait_until("document.querySelectorAll('.map-node').length === 31").await.unwrap();
    let labels = "[...document.querySelectorAll('.map-label:not(.on-demand)')].length";
    assert_eq!(browser.script(&format!("return {labels}"), &[]).await.unwrap(), 12);
    scene.assert_silent_console().await;
}
