//! Durable orders a second and CPU an order: telemetry off, and at 100 % to a local sink, alternated in one run.

use crate::process::Waypost;
use crate::sink::Sink;
use crate::statistics::spread;

#[derive(Default)]
struct Variant {
    orders_per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    cpu: Vec<f64>,
}

pub(crate) fn measure(rounds: u32, orders: u32, concurrency: u32) -> anyhow::Result<()> {
    let sink = Sink::start()?;
    let endpoint = format!("http://{}", sink.address);
    let (mut off, mut on) = (Variant::default(), Variant::default());
    let mut again = Variant::default();
    for round in 0..rounds {
        // Off, on, and off again as a control; the order turns round each time, so that a drift hits both alike.
        let mut order: Vec<usize> = vec![0, 1, 2];
        if round % 2 == 1 {
            order.reverse();
        }
        for variant in order {
            let (into, is_on) = match variant {
                0 => (&mut off, false),
                1 => (&mut on, true),
                _ => (&mut again, false),
            };
            run(into, is_on, &endpoint, orders, concurrency)?;
        }
        println!("round {} of {rounds}", round + 1);
    }
    println!("\n{rounds} rounds of {orders} orders at concurrency {concurrency}; median [smallest-largest]");
    println!("| telemetry | orders/s | p50 ms | p99 ms | CPU ms an order |");
    println!("|---|---|---|---|---|");
    for (name, variant) in [("off", &off), ("off (control)", &again), ("100 % to a sink", &on)] {
        println!(
            "| {name} | {} | {} | {} | {} |",
            spread(&variant.orders_per_second, 0),
            spread(&variant.p50, 1),
            spread(&variant.p99, 1),
            spread(&variant.cpu, 3),
        );
    }
    println!("CPU ratio on/off, paired by round:      {}", spread(&ratios(&on.cpu, &off.cpu), 2));
    println!("CPU ratio control/off, paired by round: {}", spread(&ratios(&again.cpu, &off.cpu), 2));
    println!("sink: {} MB", sink.bytes() / 1_000_000);
    Ok(())
}

fn run(into: &mut Variant, is_on: bool, endpoint: &str, orders: u32, concurrency: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let environment: &[(&str, &str)] = if is_on { &[] } else { &[("OTEL_SDK_DISABLED", "true")] };
    let arguments: &[&str] =
        if is_on { &["--no-first-order", "--export", endpoint] } else { &["--no-first-order"] };
    let waypost = Waypost::up(&folder.path().join("data"), arguments, environment)?;
    waypost.load(orders / 10, concurrency)?;
    let before = waypost.cpu_seconds()?;
    let report = waypost.load(orders, concurrency)?;
    let cpu = waypost.cpu_seconds()? - before;
    let completed = &report["outcomes"]["completed"];
    into.orders_per_second.extend(report["completed_per_second"].as_f64());
    into.p50.extend(completed["p50_ms"].as_f64());
    into.p99.extend(completed["p99_ms"].as_f64());
    into.cpu.push(cpu * 1000.0 / f64::from(orders));
    anyhow::ensure!(report["unexpected"] == 0, "unexpected answers: {report}");
    Ok(())
}

fn ratios(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(above, below)| above / below).collect()
}
