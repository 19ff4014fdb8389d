//! Charts over time: what is drawn is what was sent, and a drag narrows what is shown.

use serde_json::{Value, json};
use waypost_testkit::Browser;
use waypost_testkit::browser::key;

use super::{MILLISECOND, Scene, ago, service, span, text};

/// Calls of `shop` that take 10 ms and go well, and of `till` that take 40 ms and fail; of two versions of the shop.
async fn scene(what: &str) -> Option<Scene> {
    let scene = Scene::start(what).await?;
    for number in 1..=40_u64 {
        let trace = u128::from(number);
        let root = span(trace, 1, 0, "GET /things", 2, ago(100), 10 * MILLISECOND);
        let call = span(trace, 2, 1, "pay", 3, ago(95), 5 * MILLISECOND);
        let mut paid = span(trace, 3, 2, "pay", 2, ago(95), 40 * MILLISECOND);
        paid["status"] = json!({"code": 2, "message": "declined"});
        let mut shop = service("shop", &[root, call]);
        let version = text("service.version", if number <= 20 { "1.4.0" } else { "1.5.0" });
        shop["resource"]["attributes"].as_array_mut().unwrap().push(version);
        scene.send(&[shop, service("till", &[paid])]).await;
    }
    Some(scene)
}

/// The values of a line of a chart that are drawn.
async fn drawn(browser: &Browser, chart: &str, line: usize) -> Vec<f64> {
    browser.wait_for(&format!("[data-chart={chart}] canvas")).await.unwrap();
    let script = format!("return document.querySelector('[data-chart={chart}]').plot.data[{line}]");
    let values = browser.script(&script, &[]).await.unwrap();
    values.as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}

/// The sum of the numbers at the beginning of the cells of a column of the table.
pub(super) async fn sum_of_column(browser: &Browser, column: usize) -> u64 {
    let script = format!(
        "document.querySelector('.chart-table').open = true; \
         await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); \
         return [...document.querySelectorAll('.chart-table tbody tr')].reduce((sum, row) => \
         sum + (parseInt(row.children[{column}].innerText) || 0), 0)"
    );
    let script =
        format!("const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done)");
    browser.script_async(&script, &[]).await.unwrap().as_u64().unwrap()
}

/// Presses, moves and releases the pointer; the ends are parts of the chart's width and height.
pub(super) async fn drag(browser: &Browser, chart: &str, from: (f64, f64), to: (f64, f64)) {
    let script = format!(
        "const over = document.querySelector('[data-chart={chart}] .u-over'); over.scrollIntoView({{block: 'center'}}); \
         const box = over.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]"
    );
    let bounds = browser.script(&script, &[]).await.unwrap();
    let [left, top, width, height] = [0, 1, 2, 3].map(|place: usize| bounds[place].as_f64().unwrap());
    let at = |(x, y): (f64, f64)| (left + width * x, top + height * y);
    let middle = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
    // Where the pointer leaves the chart, its last place within counts.
    let within = (to.0.min(0.998), to.1);
    for (kind, place) in [
        ("mouseMoved", from),
        ("mousePressed", from),
        ("mouseMoved", middle),
        ("mouseMoved", within),
        ("mouseMoved", to),
        ("mouseReleased", to),
    ] {
        let (x, y) = at(place);
        let buttons = u8::from(kind != "mouseReleased");
        let event =
            json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1});
        browser.devtools("Input.dispatchMouseEvent", event).await.unwrap();
    }
}

fn assert_all_near(values: &[f64], expected: f64) {
    assert!(!values.is_empty());
    assert!(values.iter().all(|value| (value - expected).abs() <= expected * 0.02), "{values:?}");
}

#[tokio::test]
async fn charts_draw_what_was_sent_and_lead_to_traces() {
    let Some(scene) = scene("charts of a service").await else { return };
    let browser = &scene.browser;
    scene.open("/services/till").await;
    assert_all_near(&drawn(browser, "latency", 1).await, 40e6);
    assert_all_near(&drawn(browser, "errors", 1).await, 1.0);
    assert!(drawn(browser, "rate", 1).await.iter().any(|rate| *rate > 0.0));
    assert_eq!(drawn(browser, "rate", 1).await, drawn(browser, "rate", 2).await, "all failed");
    assert_eq!((sum_of_column(browser, 1).await, sum_of_column(browser, 3).await), (40, 40));

    // By keyboard: the last step with calls is taken, and leads to a trace.
    let script = "const stage = document.querySelector('[data-chart=rate]'); stage.focus(); const rates = stage.plot.data[1]; \
                  return rates.length - 1 - rates.findLastIndex((rate) => rate > 0)";
    let back = browser.script(script, &[]).await.unwrap().as_u64().unwrap();
    let lefts = (0..back).map(|_| key::LEFT);
    browser.press([key::END].into_iter().chain(lefts).chain([key::ENTER])).await.unwrap();
    browser.wait_until("document.activeElement.closest('.chart-point a') !== null").await.unwrap();
    let point = browser.text(".chart-point").await.unwrap();
    assert!(point.contains("Errors") && point.contains("(100 %)") && point.contains("Apdex 0.00"), "{point}");
    browser.press([key::ENTER]).await.unwrap();
    browser.wait_until("location.pathname.startsWith('/trace/')").await.unwrap();

    // An operation has its own, and a deployment is marked.
    scene.open("/services/shop").await;
    browser.wait_for(".operation-name").await.unwrap();
    browser.click(".operation-name").await.unwrap();
    browser.wait_until("location.search.includes('operation=')").await.unwrap();
    scene.open("/services/shop?operation=GET+%2Fthings&kind=server").await;
    assert_all_near(&drawn(browser, "latency", 3).await, 10e6);
    assert_eq!(sum_of_column(browser, 1).await, 40);
    let deployed = browser.text(".chart-deployments").await.unwrap();
    assert!(deployed.contains("1 deployment") && deployed.contains("1.4.0 → 1.5.0"), "{deployed}");
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn the_edge_of_the_map_has_its_charts() {
    let Some(scene) = scene("charts of the map").await else { return };
    let browser = &scene.browser;
    scene.open("/map?edge_from=service%3Ashop&edge_to=service%3Atill").await;
    // As the caller measured it: 5 ms, without an error.
    assert_all_near(&drawn(browser, "latency", 2).await, 5e6);
    assert!(drawn(browser, "errors", 1).await.iter().all(|share| *share == 0.0));
    assert_eq!(sum_of_column(browser, 1).await, 40);
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn dragging_over_a_chart_zooms_and_a_box_in_the_heatmap_searches() {
    let Some(scene) = scene("dragging in charts").await else { return };
    let browser = &scene.browser;
    let choice = "document.querySelector('.window-choice > button')";
    scene.open("/services/till?from=15m").await;
    browser.wait_for("[data-chart=rate] canvas").await.unwrap();
    assert_eq!(browser.script(&format!("return {choice}.hidden"), &[]).await.unwrap(), true);
    let steps = "document.querySelector('[data-chart=rate]').plot?.data[0].length";
    let before = browser.wait_until(steps).await.unwrap().as_u64().unwrap();

    drag(browser, "rate", (0.6, 0.5), (0.99, 0.5)).await;
    browser.wait_until("/from=\\d{19}&to=\\d{19}/.test(location.search)").await.unwrap();
    browser.wait_until(&format!("{steps} < {before}")).await.unwrap();
    assert_eq!(sum_of_column(browser, 1).await, 40, "all came in the part that was chosen");

    // Out again.
    let inside = browser.script(&format!("return {steps}"), &[]).await.unwrap().as_u64().unwrap();
    browser.script(&format!("{choice}.click()"), &[]).await.unwrap();
    browser.wait_until(&format!("{steps} > {inside}")).await.unwrap();

    // A box around everything, to the very end.
    drag(browser, "heatmap", (0.2, 0.05), (1.02, 0.95)).await;
    browser.wait_until("location.pathname === '/search'").await.unwrap();
    let address = browser.url().await.unwrap();
    for part in ["service=till", "min_duration=", "max_duration=", "from=", "to="] {
        assert!(address.contains(part), "{part} is missing in {address}");
    }
    // The heatmap spans at least a factor of ten around 40 ms, and the box reaches nearly to its lower edge.
    let least = address.split_once("min_duration=").unwrap().1.split_once("us").unwrap().0;
    assert!(least.parse::<u64>().unwrap() < 20_000, "{address}");
    browser.wait_for(".results tbody tr").await.unwrap();
    scene.assert_silent_console().await;
}
