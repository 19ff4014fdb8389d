//! A trace of a hundred thousand spans: windowed rows, and what the page measured of itself while it was scrolled.

use serde_json::Value;

use super::{MILLISECOND, Scene, ago, service, span};

const SPANS: u64 = 100_000;
const BATCH: u64 = 10_000;

/// Scrolls the rows from top to bottom, one step a frame, and gives the longest frame of the page's own work and the
/// number of frames, and how many rows exist at the end.
const SCROLL: &str = "
    const done = arguments[arguments.length - 1];
    const grid = document.querySelector('[role=treegrid]');
    const scroller = [grid, ...grid.querySelectorAll('*')].find((node) => node.scrollHeight > node.clientHeight + 1000);
    performance.clearMeasures('trace:render');
    const frames = [];
    let before = performance.now(), step = 0;
    const next = () => {
      const now = performance.now();
      frames.push(now - before);
      before = now;
      if (step++ < 120) {
        scroller.scrollTop = (scroller.scrollHeight - scroller.clientHeight) * (step / 120);
        requestAnimationFrame(next);
      } else {
        const renders = performance.getEntriesByName('trace:render', 'measure').map((entry) => entry.duration);
        done({frames: frames.length, longestFrame: Math.max(...frames), renders: renders.length,
              longestRender: Math.max(0, ...renders), rows: grid.querySelectorAll('[role=row]').length});
      }
    };
    requestAnimationFrame(next);";

#[tokio::test]
async fn a_hundred_thousand_spans_are_scrolled_with_as_many_rows_as_fit_the_window() {
    let Some(scene) = Scene::start("a trace of 100,000 spans").await else { return };
    let start = ago(60_000);
    for batch in 0..SPANS / BATCH {
        let ids = batch * BATCH + 1..=(batch + 1) * BATCH;
        // Fan-outs of ten under a chain of parents, so that there are wide and deep places.
        let one = |id: u64| {
            let parent = if id == 1 { 0 } else { id / 10 + 1 };
            let took = if id == 1 { 50_000 * MILLISECOND } else { (1 + id % 7) * MILLISECOND };
            span(
                0x1a,
                id,
                if parent == id { 1 } else { parent },
                &format!("step {}", id % 50),
                1,
                start + id * 100_000,
                took,
            )
        };
        let spans: Vec<Value> = ids.map(one).collect();
        scene.send(&[service(&format!("service-{}", batch % 7), &spans)]).await;
    }
    let browser = &scene.browser;
    scene.open(&format!("/trace/{:x}", 0x1a)).await;
    browser.wait_for("[role=treegrid] [role=row]").await.unwrap();
    browser.wait_until("document.body.innerText.includes('100,000')").await.unwrap();
    let measured = browser.script_async(SCROLL, &[]).await.unwrap();
    println!("100,000 spans scrolled: {measured}");
    let rows = measured["rows"].as_u64().unwrap();
    assert!((5..300).contains(&rows), "{rows} rows exist for a window of some forty");
    assert!(measured["renders"].as_u64() >= Some(50), "the page measures its rendering: {measured}");
    scene.assert_silent_console().await;
}
