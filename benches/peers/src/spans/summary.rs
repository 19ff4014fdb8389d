//! The table of a set: medians over the rounds with smallest and largest, ratios taken within a round.

use super::BASE;
use super::row::{Row, as_float};
use crate::libraries::Transport;
use crate::statistics::spread;
use crate::table::{Table, grouped};

const HEADER: [&str; 9] = [
    "variant",
    "create, ns",
    "total, ns",
    "net, ns",
    "net / SDK, same transport",
    "allocations: creating thread",
    "whole process",
    "bytes sent",
    "lost",
];

/// Prints the table of what was run, and a line for what was left out.
pub(super) fn print(rows: &[Row]) {
    let mut table = Table::new(&HEADER);
    for row in rows.iter().filter(|row| row.unsupported.is_none()) {
        let create: Vec<f64> = row.rounds.iter().map(|round| round.create).collect();
        let total: Vec<f64> = row.rounds.iter().map(|round| round.total).collect();
        let (thread, process) = row.allocations.unwrap_or_default();
        table.row(&[
            row.name.to_owned(),
            spread(&create, 0),
            spread(&total, 0),
            spread(&net(row, rows), 0),
            ratio(row, rows),
            format!("{thread:.1}"),
            format!("{process:.1}"),
            bytes(row),
            lost(row),
        ]);
    }
    table.print();
    for row in rows {
        if let Some(reason) = &row.unsupported {
            println!("{} was left out: {reason}", row.name);
        }
    }
}

/// Nanoseconds a span over those of the loop without spans.
fn net(row: &Row, rows: &[Row]) -> Vec<f64> {
    let Some(base) = rows.iter().find(|row| row.name == BASE) else { return Vec::new() };
    row.rounds.iter().zip(&base.rounds).map(|(own, base)| own.total - base.total).collect()
}

fn ratio(row: &Row, rows: &[Row]) -> String {
    let reference = match row.variant.transport {
        Transport::Grpc => "sdk-grpc",
        Transport::Http | Transport::HttpGzip => "sdk-http",
    };
    let Some(reference) = rows.iter().find(|row| row.name == reference) else { return "-".to_owned() };
    if row.name == BASE || reference.rounds.is_empty() {
        return "-".to_owned();
    }
    let pairs = net(row, rows).into_iter().zip(net(reference, rows));
    spread(&pairs.map(|(own, sdk)| own / sdk).collect::<Vec<_>>(), 2)
}

fn bytes(row: &Row) -> String {
    let arrived = row.rounds.last().map(|round| &round.arrived).filter(|arrived| arrived.spans > 0);
    arrived
        .map_or("-".to_owned(), |arrived| format!("{:.0}", as_float(arrived.bytes) / as_float(arrived.spans)))
}

fn lost(row: &Row) -> String {
    let arrived: u64 = row.rounds.iter().map(|round| round.arrived.spans).sum();
    let missing = row.missing();
    if missing == 0 {
        return "0".to_owned();
    }
    format!("{} ({:.1} %)", grouped(missing), as_float(missing) * 100.0 / as_float(arrived + missing))
}
