//! The configuration changed while the program runs: what takes effect, what is said of the rest, and that mistakes change
//! nothing.

use std::path::Path;

use tempfile::{TempDir, tempdir};
use waypost_testkit::{Behaviour, Collector, Shop, ShopBuilder, until};

const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

/// A folder with a configuration file, and a shop that reads it and looks at it when it is told to.
fn shop(text: &str) -> (TempDir, ShopBuilder) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("shop.toml");
    std::fs::write(&file, text).unwrap();
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
        .environment("WAYPOST_CONFIG", &file.to_string_lossy())
        .set("runtime.reload_interval", "0s");
    (folder, shop)
}

fn write(folder: &Path, text: &str) {
    std::fs::write(folder.join("shop.toml"), text).unwrap();
}

/// Asks for a look at the file, and waits for what is said of it.
async fn reload(shop: &mut Shop, said: &str) {
    let times = |shop: &mut Shop| shop.process().output().matches(said).count();
    let before = times(shop);
    shop.process().signal("HUP").unwrap();
    until(said, async || times(shop) > before).await;
}

async fn order(shop: &Shop) -> u16 {
    shop.client("gateway").post("/api/orders", &[], ORDER).await.unwrap().status.as_u16()
}

#[tokio::test]
async fn faults_sampling_and_the_log_filter_change_on_sighup() {
    let collector = Collector::start(Behaviour::Takes).unwrap();
    let (folder, shop) = shop("[telemetry.logs]\nfilter = \"warn,waypost::reload=info\"\n");
    let mut shop = shop.export_to(&collector).start().await.unwrap();
    assert_eq!(order(&shop).await, 201);
    until("the spans of an order", async || collector.count_of("process order-events") == 1).await;

    write(
        folder.path(),
        "[telemetry.logs]\nfilter = \"warn,waypost=info\"\n\
         [telemetry.traces]\nsampler = \"parentbased_always_off\"\n\
         [provider.faults]\ndecline_rate = 1.0\n\
         [order]\nmax_wait = \"4s\"\n",
    );
    reload(&mut shop, "the configuration was read again").await;
    let said = shop.process().output();
    for key in ["telemetry.logs.filter", "telemetry.traces.sampler", "provider.faults.decline_rate"] {
        assert!(said.contains(key), "{key} changed: {said}");
    }
    assert!(said.contains("these settings take effect at the next start"), "{said}");
    assert!(said.contains("order.max_wait"), "{said}");
    assert_eq!(order(&shop).await, 402, "every charge is declined");

    write(
        folder.path(),
        "[telemetry.logs]\nfilter = \"warn,waypost=info\"\n\
         [telemetry.traces]\nsampler = \"parentbased_always_on\"\n",
    );
    reload(&mut shop, "the configuration was read again").await;
    assert_eq!(order(&shop).await, 201, "no charge is declined");
    until("the spans of another order", async || {
        let roots = collector.count_of("POST /api/orders");
        assert!(roots <= 2, "the order between them was not sampled");
        collector.count_of("process order-events") == 2 && roots == 2
    })
    .await;
}

#[tokio::test]
async fn a_file_with_mistakes_changes_nothing_and_is_told() {
    let (folder, shop) = shop("[provider.faults]\ndecline_rate = 1.0\n");
    let mut shop = shop.set("telemetry.logs.filter", "info").start().await.unwrap();
    assert_eq!(order(&shop).await, 402);
    write(folder.path(), "[provider.faults]\ndecline_rate = 0.0\nsloow = \"1s\"\n");
    reload(&mut shop, "the configuration cannot be used").await;
    assert!(shop.process().output().contains("sloow"), "{}", shop.process().output());
    assert_eq!(order(&shop).await, 402, "what is in effect stays");
    write(folder.path(), "[provider.faults]\ndecline_rate = 0.0\n");
    reload(&mut shop, "the configuration was read again").await;
    assert_eq!(order(&shop).await, 201);
}

#[tokio::test]
async fn a_rate_limit_comes_and_goes_without_a_restart_when_the_file_changes() {
    let (folder, shop) = shop("[gateway.rate_limit]\nenabled = false\n");
    let shop =
        shop.set("gateway.auth", "required").set("runtime.reload_interval", "50ms").start().await.unwrap();
    let gateway = shop.client("gateway");
    let status = async || gateway.get("/api/orders").await.unwrap().status.as_u16();
    for _ in 0..5 {
        assert_eq!(status().await, 401);
    }
    write(folder.path(), "[gateway.rate_limit]\nenabled = true\nrequests = 2\nper = \"1h\"\n");
    until("a request too many", async || status().await == 429).await;
    write(folder.path(), "[gateway.rate_limit]\nenabled = false\n");
    until("no limit", async || status().await == 401).await;
    for _ in 0..5 {
        assert_eq!(status().await, 401);
    }
}
