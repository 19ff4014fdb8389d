//! Many orders with retention set short: every file, the memory and the descriptors stay as they are once the first
//! orders are deleted.
//!
//! Retention counts in days, a measurement in minutes. So after each round, when nothing is under way, every time in
//! every database is made a day and an hour older, as if the shop had been idle for that long: what one round leaves
//! behind is deleted during one of the next.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use crate::age::age;
use crate::process::Waypost;

const A_DAY_AND_AN_HOUR_MILLIS: i64 = 25 * 3_600_000;
/// What the second half may be larger than the quarter before it: pages of a file and of the allocator come in steps.
const TOLERANCE: f64 = 1.05;
const MEMORY_TOLERANCE: f64 = 1.15;
/// Smaller files come and go with every checkpoint.
const SMALL: u64 = 8 << 20;

/// Kept as short as the rules allow: a key lives for 24 hours after its order ended.
const RETENTION: [&str; 18] = [
    "order.journal_retention=1h",
    "order.order_retention=49h",
    "order.outbox_retention=1m",
    "order.key_purge_interval=1s",
    "order.retention_interval=1s",
    "inventory.hold_retention=30h",
    "inventory.retention_interval=1s",
    "payment.retention=49h",
    "payment.retention_interval=1s",
    "broker.retention=1h",
    "broker.retention_interval=1s",
    "notification.inbox_retention=30h",
    "notification.inbox_purge_interval=1s",
    "notification.retention=49h",
    "notification.retention_interval=1s",
    "provider.request_retention=49h",
    "provider.charge_retention=49h",
    "provider.retention_interval=1s",
];

/// One round's end.
#[derive(Debug)]
struct Reading {
    files: BTreeMap<String, u64>,
    resident_mb: f64,
    descriptors: usize,
}

pub(crate) fn measure(orders: u32, rounds: u32, concurrency: u32) -> anyhow::Result<()> {
    ensure!(rounds >= 8, "at least 8 rounds: the second half is compared with the quarter before it");
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut arguments = vec!["--no-first-order", "--no-viewer"];
    arguments.extend(RETENTION.iter().flat_map(|setting| ["--set", *setting]));
    let waypost = Waypost::up(&data, &arguments, &[])?;
    let mut readings = Vec::new();
    println!("| orders | completed a second | files, MB | resident, MB | descriptors |");
    println!("|---|---|---|---|---|");
    for round in 1..=rounds {
        let report = waypost.load(orders / rounds, concurrency)?;
        ensure!(report["unexpected"] == 0, "unexpected answers: {report}");
        // Notifications and marks of the outbox come after the answer.
        std::thread::sleep(Duration::from_secs(2));
        age(&data, A_DAY_AND_AN_HOUR_MILLIS)?;
        std::thread::sleep(Duration::from_secs(6));
        let reading = Reading::take(&waypost, &data)?;
        println!(
            "| {} | {:.0} | {} | {:.1} | {} |",
            u64::from(round) * u64::from(orders / rounds),
            report["completed_per_second"].as_f64().unwrap_or(f64::NAN),
            reading.sizes(),
            reading.resident_mb,
            reading.descriptors,
        );
        readings.push(reading);
    }
    judge(&readings)
}

impl Reading {
    fn take(waypost: &Waypost, data: &Path) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        for file in std::fs::read_dir(data)? {
            let file = file?;
            files.insert(file.file_name().to_string_lossy().into_owned(), file.metadata()?.len());
        }
        Ok(Self { files, resident_mb: waypost.memory_mb()?.0, descriptors: waypost.descriptors()? })
    }

    fn sizes(&self) -> String {
        let large = self.files.iter().filter(|(_, bytes)| **bytes > 64 << 10);
        let large = large.map(|(name, bytes)| format!("{name} {:.1}", mb(*bytes)));
        large.collect::<Vec<_>>().join(", ")
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The second half against the quarter before it.
fn judge(readings: &[Reading]) -> anyhow::Result<()> {
    let (half, quarter) = (readings.len() / 2, readings.len() / 4);
    let (before, after) = (&readings[quarter..half], &readings[half..]);
    let mut grown = Vec::new();
    let mut compare = |what: &str, tolerance: f64, value: &dyn Fn(&Reading) -> f64| {
        let max = |readings: &[Reading]| readings.iter().map(value).fold(0.0, f64::max);
        let (before, after) = (max(before), max(after));
        if after > before * tolerance {
            grown.push(format!("{what}: {before:.1} before, {after:.1} in the second half"));
        }
    };
    let names: std::collections::BTreeSet<&String> =
        readings.iter().flat_map(|reading| reading.files.keys()).collect();
    for name in names {
        compare(name, TOLERANCE, &|reading| {
            mb(reading.files.get(name).copied().unwrap_or_default().max(SMALL))
        });
    }
    compare("resident MB", MEMORY_TOLERANCE, &|reading| reading.resident_mb);
    compare("descriptors", MEMORY_TOLERANCE, &|reading| {
        u32::try_from(reading.descriptors).map_or(f64::INFINITY, f64::from)
    });
    ensure!(grown.is_empty(), "not flat:\n{}", grown.join("\n"));
    println!("flat: no file, memory or descriptors grew in the second half");
    Ok(())
}
