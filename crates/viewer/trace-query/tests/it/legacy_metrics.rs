//! The figures of Jaeger's Monitor tab, over HTTP. Which value a point has is tested beside the code, by a clock that is
//! an argument there.

use crate::{
    fixtures::{cart, lone},
    site::{AnswerExt as _, Site},
};
use serde_json::{Value, json};

async fn site() -> Site {
    let [web, stock] = cart();
    Site::with(&[
        web,
        stock,
        lone("shop-web", "0123456789abcdef0123456789abcdef", "0000000000000001", json!({"kind": 2})),
    ])
    .await
}

/// The family without its points, and the values of the points that are not 0.
fn told(mut family: Value) -> (Value, Vec<Vec<f64>>) {
    let metrics = family["metrics"].as_array_mut().unwrap();
    let values = metrics.iter_mut().map(|metric| {
        let points = metric["metricPoints"].take();
        let points = points.as_array().unwrap().iter();
        assert!(points.clone().all(|point| point["timestamp"].as_str().unwrap().ends_with('Z')));
        points
            .map(|point| point["gaugeValue"]["doubleValue"].as_f64().unwrap())
            .filter(|value| *value > 0.0)
            .collect()
    });
    let values = values.collect();
    (family, values)
}

#[tokio::test]
async fn the_monitor_tab_has_its_families() {
    let site = site().await;
    let label = |name: &str, value: &str| json!({"name": name, "value": value});
    let (family, values) = told(site.jaeger("/api/metrics/errors?service=shop-web&service=stock").await.ok());
    let expected = json!({
        "name": "service_error_rate", "type": "GAUGE", "help": "calls that failed, as a share of all calls, by service",
        "metrics": [
            {"labels": [label("service_name", "shop-web")], "metricPoints": null},
            {"labels": [label("service_name", "stock")], "metricPoints": null},
        ],
    });
    assert_eq!(family, expected);
    assert!(values[0].is_empty(), "both calls of the shop went well");
    assert_eq!(values[1].first(), Some(&1.0));
    let path = "/api/metrics/calls?service=shop-web&groupByOperation=true&step=60000&ratePer=600000";
    let (family, values) = told(site.jaeger(path).await.ok());
    let operations: Vec<&Value> =
        family["metrics"].as_array().unwrap().iter().map(|metric| &metric["labels"][0]["value"]).collect();
    assert_eq!(operations, ["GET /cart", "work"]);
    assert!(values.iter().flatten().all(|rate| *rate <= 1.0), "one call each: {values:?}");
    let path = "/api/metrics/latencies?service=shop-web&quantile=0.95&spanKind=client";
    let (family, values) = told(site.jaeger(path).await.ok());
    assert_eq!(family["name"], "service_latencies");
    assert!((values[0][0] - 30.0).abs() <= 0.6, "{values:?}");
}

#[tokio::test]
async fn the_least_step_is_a_minute() {
    let answer = Site::with(&[]).await.jaeger("/api/metrics/minstep").await.ok();
    assert_eq!(answer, json!({"data": 60_000, "total": 0, "limit": 0, "offset": 0, "errors": null}));
}
