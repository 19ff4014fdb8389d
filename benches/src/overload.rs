//! What becomes of orders when more come than can be done: goodput, latency of those that were admitted, and memory, at half to five
//! times the peak.
//!
//! Open loop: orders are due at fixed moments, whoever is slow, and a latency counts from the moment the order was due, so that a server
//! that stalls cannot hide it.

use crate::process::Waypost;

/// Shares of the peak.
const LOADS: [f64; 7] = [0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0];

pub(crate) fn measure(seconds: u32, concurrency: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let arguments = ["--no-first-order", "--no-viewer"];
    let waypost = Waypost::up(&folder.path().join("data"), &arguments, &[("OTEL_SDK_DISABLED", "true")])?;
    waypost.load(2_000, concurrency)?;
    waypost.wait_until_idle()?;
    let closed = waypost.load(6_000, concurrency)?;
    let peak = closed["completed_per_second"].as_f64().unwrap_or_default();
    println!("peak: {peak:.0} orders/s in a closed loop of {concurrency}; {seconds} s for each rate\n");
    println!("| rate | due/s | completed/s | of the peak | p50 ms | p99 ms | refused | pending | MB |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for load in LOADS {
        waypost.wait_until_idle()?;
        let rate = peak * load;
        let report = waypost.load_at(rate, whole(rate * f64::from(seconds)), concurrency * 40)?;
        let outcomes = &report["outcomes"];
        let count = |code: &str| outcomes[code]["count"].as_u64().unwrap_or_default();
        let known = ["completed", "pending"];
        let all = outcomes.as_object().into_iter().flatten();
        let refused: u64 = all
            .filter(|(code, _)| !known.contains(&code.as_str()))
            .filter_map(|(_, outcome)| outcome["count"].as_u64())
            .sum();
        let goodput = report["completed_per_second"].as_f64().unwrap_or_default();
        println!(
            "| {load}x | {rate:.0} | {goodput:.0} | {:.0} % | {:.0} | {:.0} | {refused} | {} | {:.0} |",
            goodput / peak * 100.0,
            outcomes["completed"]["p50_ms"].as_f64().unwrap_or_default(),
            outcomes["completed"]["p99_ms"].as_f64().unwrap_or_default(),
            count("pending"),
            waypost.memory_mb()?.0,
        );
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of orders is small and not negative"
)]
fn whole(number: f64) -> u32 {
    number.round() as u32
}
