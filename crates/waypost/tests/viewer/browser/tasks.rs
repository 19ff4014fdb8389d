//! What somebody who runs services asks every day, and with how many clicks the page answers: at most three each. The table
//! is printed, and is that of docs/viewer.md.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};
use waypost_testkit::browser::key;

use super::charts::sum_of_column;
use super::{MILLISECOND, Scene, ago, service, span, text};

const RULES: &str = "[{name='payments fail', kind='error-share', service='payment', threshold='10%', window='1h', min_calls=5}]";

/// A hand that counts. What is typed is not counted: it is not pointed at.
struct Hand<'a> {
    scene: &'a Scene,
    clicks: u32,
    table: String,
}

impl Hand<'_> {
    async fn click(&mut self, selector: &str) {
        self.scene.browser.wait_for(selector).await.unwrap();
        self.scene.browser.click(selector).await.unwrap();
        self.clicks += 1;
    }

    /// Clicks the first of what the selector finds that has the text.
    async fn click_text(&mut self, selector: &str, text: &str) {
        let found = format!(
            "[...document.querySelectorAll({})].find((one) => one.innerText.includes({}))",
            Value::from(selector),
            Value::from(text)
        );
        let marked = format!("(({found})?.setAttribute('data-to-click', ''), {found} !== undefined)");
        self.scene.browser.wait_until(&marked).await.unwrap();
        self.click("[data-to-click]").await;
        let unmark = "document.querySelector('[data-to-click]')?.removeAttribute('data-to-click')";
        self.scene.browser.script(unmark, &[]).await.unwrap();
    }

    async fn start(&mut self) {
        self.scene.open("/").await;
        self.scene.browser.wait_for(".results tbody tr").await.unwrap();
        self.clicks = 0;
    }

    fn done(&mut self, task: &str) {
        assert!(self.clicks <= 3, "{task} took {} clicks", self.clicks);
        writeln!(self.table, "| {task} | {} |", self.clicks).unwrap();
    }

    async fn slowest_order(&mut self) {
        let scene = self.scene;
        let browser = &scene.browser;
        self.start().await;
        self.click("[data-from='15m']").await;
        browser.wait_until("location.search.includes('15m')").await.unwrap();
        self.click("th.duration button").await;
        browser
            .wait_until("document.querySelector('td.duration')?.innerText.startsWith('3 s')")
            .await
            .unwrap();
        self.click("td.spans").await;
        browser.wait_for(".tr-slowest").await.unwrap();
        let why = browser.text(".tr-slowest").await.unwrap();
        assert!(why.contains("payment") && why.contains("POST /v1/charges") && why.contains("97 %"), "{why}");
        self.done("the slowest order of 15 minutes, and why it was slow");
    }

    async fn reasons(&mut self) {
        let scene = self.scene;
        let browser = &scene.browser;
        self.start().await;
        self.click("[data-look=groups]").await;
        browser.wait_until("document.querySelectorAll('.groups tbody tr').length === 2").await.unwrap();
        let groups = browser.text(".groups").await.unwrap();
        assert!(groups.contains("insufficient funds") && groups.contains("card expired"), "{groups}");
        self.done("failed orders by reason");
    }

    async fn order_id(&mut self) {
        let scene = self.scene;
        let browser = &scene.browser;
        self.start().await;
        self.click("input[name=anything]").await;
        browser.type_into("input[name=anything]", "5e0c2f9a-0000-4000-8000-000000000041").await.unwrap();
        browser.press([key::ENTER]).await.unwrap();
        browser
            .wait_until("location.search.includes('sought=id') && document.querySelectorAll('.results tbody tr').length === 1")
            .await
            .unwrap();
        self.click("td.spans").await;
        browser.wait_until(&format!("location.pathname === '/trace/{:032x}'", 42)).await.unwrap();
        self.done("the trace of an order's id");
    }

    async fn regression(&mut self) {
        let scene = self.scene;
        let browser = &scene.browser;
        self.start().await;
        self.click("[data-look=differences]").await;
        browser.wait_for(".differences select").await.unwrap();
        self.click_text(".differences option", "took at least").await;
        browser.wait_for(".differences tbody tr").await.unwrap();
        let rows = "[...document.querySelectorAll('.differences tbody tr')].slice(0, 2).map((row) => row.innerText).join()";
        let first = browser.script(&format!("return {rows}"), &[]).await.unwrap();
        let first = first.as_str().unwrap();
        assert!(first.contains("POST /refunds") && first.contains("app.release"), "{first}");
        self.done("which endpoint got slow, and since which release");
    }

    async fn chatty_caller(&mut self) {
        let scene = self.scene;
        let browser = &scene.browser;
        self.start().await;
        self.click_text("nav a", "Map").await;
        self.click_text(".page-head button", "As a table").await;
        self.click_text("th button", "Per call").await;
        browser.wait_for(".figures tbody tr").await.unwrap();
        let chatty = browser.text(".figures tbody tr").await.unwrap();
        assert!(chatty.contains("catalogue") && chatty.contains("12.0"), "{chatty}");
        self.done("who asks a database too often");
    }

    async fn link_to_a_span(&mut self) {
        let scene = self.scene;
        let browser = &scene.browser;
        self.start().await;
        self.click("td.spans").await;
        self.click_text(".tr-op", "GET /products").await;
        browser.wait_until("location.search.includes('span=0000000000000003')").await.unwrap();
        browser.wait_for(".tr-details-title h2").await.unwrap();
        let address = browser.url().await.unwrap();
        browser.goto(&address).await.unwrap();
        browser
            .wait_until("document.querySelector('.tr-details-title h2')?.innerText.includes('GET /products')")
            .await
            .unwrap();
        self.done("a link to one span");
    }

    async fn trace_as_a_file(&mut self) {
        let scene = self.scene;
        let browser = &scene.browser;
        self.start().await;
        self.click("td.spans").await;
        browser.wait_for(".tr-out-link[download]").await.unwrap();
        let id = browser
            .url()
            .await
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .chars()
            .take(32)
            .collect::<String>();
        self.click(".tr-out-link[download]").await;
        let file = browser.downloads().join(format!("trace-{id}.json"));
        waypost_testkit::until("the trace is downloaded", async || file.is_file()).await;
        let exported: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert!(exported["resourceSpans"].as_array().is_some_and(|list| !list.is_empty()));
        self.done("a trace as a file");
    }

    async fn two_orders(&mut self) {
        let scene = self.scene;
        self.start().await;
        self.click(".results tbody tr:nth-child(1) .compare-choose").await;
        self.click(".results tbody tr:nth-child(2) .compare-choose").await;
        scene.browser.wait_for(".compare-tree tbody tr").await.unwrap();
        let heads = scene.browser.text(".compare-heads").await.unwrap();
        assert!(heads.contains("50 ms"), "{heads}");
        self.done("what differs between two orders");
    }

    async fn what_fires(&mut self) {
        let scene = self.scene;
        let browser = &scene.browser;
        self.start().await;
        self.click_text("nav a", "Alerts").await;
        browser.wait_for(".alert-card[data-rule='payments fail'][data-state=firing]").await.unwrap();
        let card = browser.text(".alert-card[data-state=firing]").await.unwrap();
        assert!(card.contains("(10 of 60)") && card.contains("threshold 10 %"), "{card}");
        self.click(".alert-card[data-state=firing] .examples a").await;
        browser.wait_for(".tr-op").await.unwrap();
        self.done("what fires now, and a trace of it");
    }

    async fn errors_over_time(&mut self) {
        let scene = self.scene;
        let browser = &scene.browser;
        self.start().await;
        self.click_text("nav a", "Services").await;
        self.click_text("th a", "payment").await;
        browser.wait_for("[data-chart=errors] canvas").await.unwrap();
        assert_eq!((sum_of_column(browser, 1).await, sum_of_column(browser, 3).await), (60, 10));
        self.done("the errors of a service over time");
    }
}

/// Sixty orders of the last minutes. One took three seconds at the payment provider; every sixth is declined for one of
/// two reasons; `POST /refunds` takes 900 ms since the last release; the catalogue asks its database 12 times a request.
async fn send_traffic(scene: &Scene) {
    let begin = ago(540_000);
    for number in 0..60_u64 {
        let trace = u128::from(number + 1);
        let start = begin + number * 8_000 * MILLISECOND;
        let is_refund = number % 4 == 3;
        let took = match number {
            17 => 3_000,
            _ if is_refund && number >= 30 => 900,
            _ => 50,
        };
        let name = if is_refund { "POST /refunds" } else { "POST /orders" };
        let mut root = span(trace, 1, 0, name, 2, start, took * MILLISECOND);
        root["attributes"] = json!([
            text("order.id", &format!("5e0c2f9a-0000-4000-8000-{number:012}")),
            text("app.release", if number >= 30 { "2" } else { "1" }),
        ]);
        let paying = MILLISECOND * if number == 17 { 2_900 } else { 10 };
        let mut paid = span(trace, 2, 1, "POST /v1/charges", 2, start + 20 * MILLISECOND, paying);
        if number % 6 == 0 {
            let reason = if number % 4 == 0 { "insufficient funds" } else { "card expired" };
            paid["status"] = json!({"code": 2, "message": reason});
        }
        let listed = span(trace, 3, 1, "GET /products", 2, start + MILLISECOND, 15 * MILLISECOND);
        let queries = (0..12).map(|query| {
            let at = start + (2 + query) * MILLISECOND;
            let mut asked = span(trace, 10 + query, 3, "SELECT products", 3, at, MILLISECOND / 2);
            asked["attributes"] =
                json!([text("db.system.name", "postgresql"), text("db.namespace", "catalogue")]);
            asked
        });
        let catalogue: Vec<Value> = std::iter::once(listed).chain(queries).collect();
        scene
            .send(&[
                service("api-gateway", &[root]),
                service("payment", &[paid]),
                service("catalogue", &catalogue),
            ])
            .await;
    }
}

#[tokio::test]
async fn everyday_questions_take_three_clicks_at_most() {
    let settings = [("viewer.alerts.rules", RULES), ("viewer.alerts.every", "100ms")];
    let Some(scene) = Scene::start_with("everyday tasks", &settings).await else { return };
    send_traffic(&scene).await;
    let mut hand = Hand { scene: &scene, clicks: 0, table: String::new() };
    hand.slowest_order().await;
    hand.reasons().await;
    hand.order_id().await;
    hand.two_orders().await;
    hand.regression().await;
    hand.chatty_caller().await;
    hand.link_to_a_span().await;
    hand.trace_as_a_file().await;
    hand.errors_over_time().await;
    hand.what_fires().await;

    assert!(include_str!("../../../../../docs/viewer.md").contains(&hand.table), "{}", hand.table);
    let table = format!("clicks of everyday tasks, what is typed not counted:\n{}", hand.table);
    // Past the capture of a test that passes.
    write!(std::io::stderr(), "{table}").unwrap();
    let console = scene.browser.console().await.unwrap();
    // The browser itself notes the answer 404 for the order's id, which is that of no trace.
    assert!(console.iter().all(|entry| format!("{entry:?}").contains("404")), "{console:?}");
}
