//! Durable orders a second and CPU an order: telemetry off, at 100 % to a local sink, and at 100 % to the viewer of the
//! same process, with a file per role and with one for all, over TCP and over Unix-domain sockets, alternated in one run.

use crate::process::Waypost;
use crate::sink::Sink;
use crate::statistics::{ratios, spread};

#[derive(Default)]
struct Measured {
    orders_per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    cpu: Vec<f64>,
}

/// Where the telemetry of one run goes.
#[derive(Clone, Copy)]
enum Telemetry {
    Off,
    Sink,
    Viewer,
}

/// What the data is in, and what the roles of the process call each other over.
type Settings = [&'static str; 2];

const DEFAULT: Settings = ["storage.files=shared", "listen.sockets=true"];
const PER_ROLE: Settings = ["storage.files=per-role", "listen.sockets=true"];
const OVER_TCP: Settings = ["storage.files=shared", "listen.sockets=false"];

/// Off twice: the second time as a control.
const WAYS: [(&str, Telemetry, Settings); 10] = [
    ("off", Telemetry::Off, DEFAULT),
    ("off, over TCP", Telemetry::Off, OVER_TCP),
    ("off, a file per role", Telemetry::Off, PER_ROLE),
    ("100 % to a sink", Telemetry::Sink, DEFAULT),
    ("100 % to a sink, over TCP", Telemetry::Sink, OVER_TCP),
    ("100 % to a sink, a file per role", Telemetry::Sink, PER_ROLE),
    ("100 % to the viewer of the same process", Telemetry::Viewer, DEFAULT),
    ("100 % to the viewer of the same process, over TCP", Telemetry::Viewer, OVER_TCP),
    ("100 % to the viewer of the same process, a file per role", Telemetry::Viewer, PER_ROLE),
    ("off (control)", Telemetry::Off, DEFAULT),
];

/// Measures the ways whose name holds `only`, and the first, which all are compared with.
pub(crate) fn measure(rounds: u32, orders: u32, concurrency: u32, only: &str) -> anyhow::Result<()> {
    let sink = Sink::start()?;
    let endpoint = format!("http://{}", sink.address);
    let ways: Vec<_> = WAYS
        .into_iter()
        .enumerate()
        .filter(|(place, (name, ..))| *place == 0 || name.contains(only))
        .map(|(_, way)| way)
        .collect();
    let mut measured: Vec<Measured> = ways.iter().map(|_| Measured::default()).collect();
    for round in 0..rounds {
        let mut order: Vec<_> = measured.iter_mut().zip(&ways).collect();
        // The order turns round each time, so that a drift hits all alike.
        if round % 2 == 1 {
            order.reverse();
        }
        for (into, (_, telemetry, settings)) in order {
            run(into, (*telemetry, settings), &endpoint, orders, concurrency)?;
        }
        println!("round {} of {rounds}", round + 1);
    }
    println!("\n{rounds} rounds of {orders} orders at concurrency {concurrency}; median [smallest-largest]");
    println!("| telemetry | orders/s | p50 ms | p99 ms | CPU ms an order | CPU ratio to off, by round |");
    println!("|---|---|---|---|---|---|");
    let off = measured.first().map(|off| off.cpu.clone()).unwrap_or_default();
    for ((name, ..), measured) in ways.iter().zip(&measured) {
        println!(
            "| {name} | {} | {} | {} | {} | {} |",
            spread(&measured.orders_per_second, 0),
            spread(&measured.p50, 1),
            spread(&measured.p99, 1),
            spread(&measured.cpu, 3),
            spread(&ratios(&measured.cpu, &off), 2),
        );
    }
    println!("sink: {} MB", sink.bytes() / 1_000_000);
    Ok(())
}

fn run(
    into: &mut Measured,
    (telemetry, settings): (Telemetry, &Settings),
    endpoint: &str,
    orders: u32,
    concurrency: u32,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let environment: &[(&str, &str)] = match telemetry {
        Telemetry::Off => &[("OTEL_SDK_DISABLED", "true")],
        Telemetry::Sink | Telemetry::Viewer => &[],
    };
    let arguments: &[&str] = match telemetry {
        Telemetry::Off => &["--no-first-order", "--no-viewer"],
        Telemetry::Sink => &["--no-first-order", "--no-viewer", "--export", endpoint],
        Telemetry::Viewer => &["--no-first-order"],
    };
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let arguments: Vec<&str> = settings.chain(arguments.iter().copied()).collect();
    let waypost = Waypost::up(&folder.path().join("data"), &arguments, environment)?;
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
