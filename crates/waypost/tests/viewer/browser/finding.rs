//! Finding a trace: the one box, completion, the order of the list, what rows and dots say.

use serde_json::{Value, json};
use waypost_testkit::browser::key;

use super::{MILLISECOND, Scene, ago, service, span, text};

/// A failing child in every third of so many traces.
async fn send_orders(scene: &Scene, traces: u64) {
    for number in 1..=traces {
        let start = ago(60_000 - 100 * number);
        let mut root =
            span(u128::from(number), 1, 0, "POST /orders", 2, start, (number * 37 % 50 + 1) * MILLISECOND);
        root["attributes"] = json!([text("order.id", &format!("5e0c2f9a-0000-4000-8000-{number:012}"))]);
        // It begins long after the root: by the newest of their spans traces stand in another order.
        let mut child = span(
            u128::from(number),
            2,
            1,
            "pay",
            3,
            start + (number * 53 % 17) * 500 * MILLISECOND,
            MILLISECOND,
        );
        if number % 3 == 0 {
            child["status"] = json!({"code": 2, "message": "declined"});
        }
        scene.send(&[service("api-gateway", &[root]), service("till", &[child])]).await;
    }
}

const ROWS: &str = "document.querySelectorAll('.results tbody tr')";

#[tokio::test]
async fn the_one_box_opens_a_trace_or_searches_for_the_text() {
    let Some(scene) = Scene::start("the one box").await else { return };
    send_orders(&scene, 6).await;
    let browser = &scene.browser;
    let ask = async |typed: &str| {
        browser.click("input[name=anything]").await.unwrap();
        browser.type_into("input[name=anything]", typed).await.unwrap();
        browser.press([key::ENTER]).await.unwrap();
    };
    scene.open("/search").await;
    browser.wait_for(".results tbody tr").await.unwrap();
    ask(&format!("{:032x}", 4)).await;
    browser.wait_for("[role=treegrid] [role=row]").await.unwrap();
    assert!(browser.url().await.unwrap().contains(&format!("/trace/{:032x}", 4)));

    // The id of an order, which could be that of a trace.
    ask("5e0c2f9a-0000-4000-8000-000000000005").await;
    browser.wait_until(&format!("location.pathname === '/search' && {ROWS}.length === 1")).await.unwrap();
    let said = browser.text(".search-main .note").await.unwrap();
    assert!(said.contains("No trace has this id") && said.contains("5e0c2f9a"), "{said}");
    assert!(browser.url().await.unwrap().contains("from=all"));

    ask("DECLINED").await;
    browser
        .wait_until(&format!("location.search.includes('DECLINED') && {ROWS}.length === 2"))
        .await
        .unwrap();
    let console = browser.console().await.unwrap();
    // The browser itself notes the answer 404 for the trace that is not there.
    assert!(console.iter().all(|entry| format!("{entry:?}").contains("404")), "{console:?}");
}

#[tokio::test]
async fn enter_takes_the_name_that_fits_and_an_unknown_one_is_said_to_be() {
    let Some(scene) = Scene::start("names by enter").await else { return };
    send_orders(&scene, 2).await;
    let browser = &scene.browser;
    scene.open("/search").await;
    browser.wait_for(".results tbody tr").await.unwrap();
    browser.click(".filter-box > summary").await.unwrap();
    browser.type_into("input[name=service]", "api-g").await.unwrap();
    browser.press([key::ENTER]).await.unwrap();
    browser
        .wait_until(&format!("location.search.includes('service=api-gateway') && {ROWS}.length === 2"))
        .await
        .unwrap();

    scene.open("/search?service=api-gatewy").await;
    scene.wait_for_text("No service is called").await;
    browser.click(".state-box .chip").await.unwrap();
    browser
        .wait_until(&format!("location.search.includes('service=api-gateway') && {ROWS}.length === 2"))
        .await
        .unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn rows_stand_in_the_order_of_their_column_and_lead_to_their_trace_anywhere() {
    let Some(scene) = Scene::start("the order of the list").await else { return };
    send_orders(&scene, 30).await;
    let browser = &scene.browser;
    let column = async |selector: &str| -> Vec<String> {
        let script = format!(
            "return [...document.querySelectorAll('.results tbody {selector}')].map((cell) => cell.title || cell.innerText)"
        );
        serde_json::from_value(browser.script(&script, &[]).await.unwrap()).unwrap()
    };
    for address in ["/search", "/search?service=till"] {
        scene.open(address).await;
        browser.wait_until(&format!("{ROWS}.length === 30")).await.unwrap();
        let starts = column("td.start time").await;
        assert!(starts.is_sorted_by(|one, next| one >= next), "{address}: {starts:?}");
    }
    scene.open("/search?order=longest").await;
    browser.wait_until(&format!("{ROWS}.length === 30")).await.unwrap();
    let milliseconds = |text: &String| text.split(' ').next().unwrap().parse::<f64>().unwrap();
    let durations = column("td.duration .num").await;
    // The root's own duration is sorted by and shown; what its child adds to the trace stands behind it.
    assert!(durations.iter().all(|text| text.contains(" ms")), "{durations:?}");
    assert!(durations.iter().filter(|text| text.contains("of ")).count() > 20, "{durations:?}");
    let durations: Vec<f64> = durations.iter().map(milliseconds).collect();
    assert!(durations.len() == 30 && durations.is_sorted_by(|one, next| one >= next), "{durations:?}");

    // A row says why its trace failed.
    scene.open("/search?status=error").await;
    browser.wait_until(&format!("{ROWS}.length === 10")).await.unwrap();
    assert!(browser.text(".results tbody tr").await.unwrap().contains("till pay: declined"));

    // Not on the name: on the number of spans. And back to the same search.
    scene.open("/search?service=till&status=error").await;
    browser.wait_until(&format!("{ROWS}.length === 10")).await.unwrap();
    browser.click(".results tbody tr td.spans").await.unwrap();
    browser.wait_for("[role=treegrid] [role=row]").await.unwrap();
    browser.click("a.tr-back").await.unwrap();
    browser
        .wait_until(&format!("location.search.includes('status=error') && {ROWS}.length === 10"))
        .await
        .unwrap();
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_trace_counts_as_failed_whichever_of_its_spans_did() {
    let Some(scene) = Scene::start("failed traces in the plot").await else { return };
    send_orders(&scene, 30).await;
    scene.open("/search").await;
    scene.wait_for_text("30 traces, 10 with errors").await;
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_trace_without_its_root_is_listed_and_arriving_while_it_is_young() {
    let Some(scene) = Scene::start("traces without a root").await else { return };
    send_orders(&scene, 1).await;
    let old = span(77, 2, 1, "lost", 1, ago(50_000), MILLISECOND);
    let far = span(78, 2, 1, "young", 1, ago(1) + 3_600_000 * MILLISECOND, MILLISECOND);
    scene.send(&[service("till", &[old])]).await;
    scene.open("/search").await;
    let browser = &scene.browser;
    scene.wait_for_text("1 trace without a root span").await;
    browser.click(".rootless summary").await.unwrap();
    let shown = browser.text(".rootless tbody tr").await.unwrap();
    assert!(shown.contains("no root") && !shown.contains("arriving"), "{shown}");
    // Its clock is ahead, so that the test does not run against time.
    scene.send(&[service("till", &[far])]).await;
    scene.open("/search?from=all").await;
    browser.wait_until("document.querySelectorAll('.rootless tbody tr').length === 2").await.unwrap();
    browser.click(".rootless summary").await.unwrap();
    let shown = browser.text(".rootless tbody tr").await.unwrap();
    assert!(shown.contains("arriving") && !shown.contains("no root"), "{shown}");
    scene.assert_silent_console().await;
}

#[tokio::test]
async fn a_service_has_one_colour_in_every_view() {
    let Some(scene) = Scene::start("colours of services").await else { return };
    let start = ago(2_000);
    let names = ["api-gateway", "payment-service", "order-service", "stock", "mail", "user-service", "till"];
    let mut sent = Vec::new();
    for (number, name) in (1..).zip(names) {
        sent.push(service(
            name,
            &[span(9, number, number - 1, &format!("step {number}"), 2, start, MILLISECOND)],
        ));
    }
    scene.send(&sent).await;
    let browser = &scene.browser;
    let chips = "Object.fromEntries([...document.querySelectorAll('.service-chip')].map((chip) => \
                 [chip.querySelector('bdi').innerText, [...chip.classList].find((name) => name.startsWith('svc-'))]))";
    let mut seen: Vec<Value> = Vec::new();
    for address in ["/services".to_owned(), format!("/trace/{:032x}", 9), "/status".to_owned()] {
        scene.open(&address).await;
        browser.wait_until(&format!("Object.keys({chips}).length >= {}", names.len())).await.unwrap();
        seen.push(browser.script(&format!("return {chips}"), &[]).await.unwrap());
    }
    for other in &seen[1..] {
        for name in names {
            assert_eq!(seen[0][name], other[name], "{name}");
        }
    }
    let distinct: std::collections::HashSet<&str> =
        names.iter().map(|name| seen[0][*name].as_str().unwrap()).collect();
    assert_eq!(distinct.len(), names.len());
    scene.assert_silent_console().await;
}
