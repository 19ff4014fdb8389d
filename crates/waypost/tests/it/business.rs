//! The numbers of the business, as Prometheus reads them.

use tempfile::tempdir;

use super::http::{get, post};
use super::program::{FREE_PORTS, PATIENCE, Program, waypost};
use super::up::url_of;

/// The value of the series of this metric that has all these labels.
fn value(page: &str, metric: &str, labels: &[&str]) -> Option<f64> {
    let is_it = |line: &&str| line.starts_with(metric) && labels.iter().all(|label| line.contains(label));
    page.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

#[test]
fn orders_amounts_and_declines_are_counted_by_what_became_of_them() {
    let folder = tempdir().unwrap();
    let mut up = Program::start(
        waypost(folder.path())
            .args(["up", "--ephemeral", "--no-first-order", "--no-viewer"])
            .args(FREE_PORTS),
    );
    let gateway = url_of(&mut up, "gateway");
    let admin = url_of(&mut up, "admin");
    let order = |user: &str, product: &str, quantity: u32, amount: &str| {
        let body = format!(
            r#"{{"user_id":"{user}","product_id":"{product}","quantity":{quantity},"amount":{amount}}}"#
        );
        post(&format!("{gateway}/api/orders"), &body).status.as_u16()
    };
    assert_eq!(order("user123", "prod456", 2, "99.99"), 201);
    assert_eq!(order("user123", "prod456", 1, "49.995"), 201);
    assert_eq!(order("user-declined", "prod456", 2, "99.99"), 402);
    assert_eq!(order("user123", "prod-soldout", 1, "89.00"), 409);

    // An order is counted a moment after it was answered.
    let end = std::time::Instant::now() + PATIENCE;
    let page = loop {
        let page = String::from_utf8_lossy(&get(&format!("{admin}/metrics")).bytes).into_owned();
        if value(&page, "waypost_order_settled_total", &["out_of_stock"]).is_some() {
            break page;
        }
        assert!(std::time::Instant::now() < end, "{page}");
        std::thread::yield_now();
    };
    let is = |metric: &str, labels: &[&str]| value(&page, metric, labels).unwrap_or_default();
    assert!(
        (is("waypost_order_settled_total", &["order_status=\"completed\""]) - 2.0).abs() < 1e-9,
        "{page}"
    );
    assert!((is("waypost_order_settled_total", &["error_type=\"payment_declined\""]) - 1.0).abs() < 1e-9);
    let amount = |status: &str| {
        is("waypost_order_amount_total", &[&format!("order_status=\"{status}\""), "payment_currency=\"USD\""])
    };
    assert!((amount("completed") - 149.985).abs() < 1e-9, "{page}");
    assert!((amount("failed") - 188.99).abs() < 1e-9, "{page}");
    let declined = is("waypost_payment_declined_total", &["payment_provider_code=\"insufficient_funds\""]);
    assert!((declined - 1.0).abs() < 1e-9, "{page}");
}
