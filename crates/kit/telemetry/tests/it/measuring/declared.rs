//! Declared instruments: what is recorded, what is documented, what the conventions' checker takes.

use waypost_telemetry::Telemetry;
use waypost_telemetry::metrics::declared::{
    Attribute, Counter, Declaration, Gauge, Histogram, UpDownCounter,
};
use waypost_telemetry::metrics::{render_prometheus, sample};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;

use super::lines;

#[path = "../../../examples/metrics.rs"]
mod example;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Channel {
    Web,
    Shop,
    Unlisted,
}

impl Attribute for Channel {
    const KEY: &'static str = "shop.channel";
    const DESCRIPTION: &'static str = "Where an order came from.";
    const VALUES: &'static [(Self, &'static str)] = &[(Self::Web, "web"), (Self::Shop, "shop")];
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct IsGift(bool);

impl Attribute for IsGift {
    const KEY: &'static str = "shop.is_gift";
    const DESCRIPTION: &'static str = "Whether somebody else gets it.";
    const VALUES: &'static [(Self, &'static str)] = &[(Self(false), "no"), (Self(true), "yes")];
}

#[derive(Debug)]
struct Metrics {
    placed: Counter<(Channel, IsGift)>,
    open: UpDownCounter<()>,
    price: Gauge<(Channel,)>,
    weight: Histogram<(IsGift,)>,
}

fn declare(metrics: &mut Declaration) -> Metrics {
    metrics.observed("shop.level", "1", "A level that is asked for.", || Some(0.5));
    Metrics {
        placed: metrics.counter("shop.placed", "{order}", "Orders that were placed | all of them."),
        open: metrics.up_down_counter("shop.open", "{order}", "Orders under way."),
        price: metrics.gauge("shop.price", "1", "The last price."),
        weight: metrics.histogram("shop.weight", "kg", "How heavy they are.", &[1.0, 2.5]),
    }
}

#[test]
fn what_is_declared_is_recorded() {
    let telemetry = TestTelemetry::new("s");
    let metrics = declare(&mut Declaration::new(&telemetry));
    for _ in 0..3 {
        metrics.placed.add(2, (Channel::Shop, IsGift(true)));
    }
    metrics.placed.add(1, (Channel::Web, IsGift(false)));
    metrics.placed.add(1, (Channel::Unlisted, IsGift(false)));
    metrics.open.add(5, ());
    metrics.open.add(-2, ());
    metrics.price.record(9.5, (Channel::Web,));
    metrics.price.record(8.5, (Channel::Web,));
    metrics.weight.record(2.0, (IsGift(false),));

    let page = render_prometheus(&[telemetry.handle().clone()]);
    let placed = |channel, gift| {
        sample(&page, "shop_placed_total", &[("shop_channel", channel), ("shop_is_gift", gift)])
    };
    assert_eq!((placed("shop", "yes"), placed("web", "no")), (Some(6.0), Some(1.0)), "{page}");
    assert_eq!(placed("_OTHER", "no"), Some(1.0));
    assert_eq!(lines(&page, "shop_placed_total").len(), 3, "series that nobody recorded are not there");
    assert_eq!(sample(&page, "shop_open", &[]), Some(3.0));
    assert_eq!(sample(&page, "shop_price_ratio", &[("shop_channel", "web")]), Some(8.5), "{page}");
    assert_eq!(sample(&page, "shop_level_ratio", &[]), Some(0.5));
    let bucket = [("shop_is_gift", "no"), ("le", "2.5")];
    assert_eq!(sample(&page, "shop_weight_kg_bucket", &bucket), Some(1.0), "{page}");
}

#[test]
fn the_page_says_all_that_was_declared() {
    let mut declaration = Declaration::new(&Telemetry::disabled());
    declare(&mut declaration);
    assert_eq!(
        declaration.markdown(),
        "| metric | instrument | unit | meaning |
|---|---|---|---|
| `shop.level` | gauge | `1` | A level that is asked for. |
| `shop.open` | updowncounter | `{order}` | Orders under way. |
| `shop.placed` | counter | `{order}` | Orders that were placed \\| all of them.<br>By `shop.channel`, `shop.is_gift`. |
| `shop.price` | gauge | `1` | The last price.<br>By `shop.channel`. |
| `shop.weight` | histogram | `kg` | How heavy they are.<br>By `shop.is_gift`.<br>Buckets up to 1, 2.5. |

| attribute | meaning | values |
|---|---|---|
| `shop.channel` | Where an order came from. | `web`, `shop` |
| `shop.is_gift` | Whether somebody else gets it. | `no`, `yes` |
"
    );
}

#[test]
fn the_checker_knows_what_was_declared() {
    let telemetry = TestTelemetry::new("s");
    let mut declaration = Declaration::new(&telemetry);
    let metrics = declare(&mut declaration);
    metrics.placed.add(1, (Channel::Web, IsGift(true)));
    metrics.weight.record(1.0, (IsGift(true),));
    let unknown = Conventions::current().check(&[&telemetry]);
    assert!(unknown.findings().count() > 0, "without the registry the names are unknown");
    let conventions = Conventions::current().with_registry(&declaration.registry()).unwrap();
    conventions.check(&[&telemetry]).assert_clean();
}

#[test]
fn the_example_runs_and_its_page_is_in_the_documentation() {
    example::main();
    let page = include_str!("../../../../../../docs/kit/metrics.md");
    assert!(
        page.contains(&example::documentation()),
        "docs/kit/metrics.md lacks\n{}",
        example::documentation()
    );
}
