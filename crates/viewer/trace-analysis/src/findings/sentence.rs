//! Findings as sentences that count.

use super::{Candidate, FindingKind, Subject};

/// Characters of a name in a sentence.
const MAX_NAME: usize = 100;

pub(super) fn of(subject: &Subject<'_>, candidate: &Candidate, on_path: u64, saves: u64) -> String {
    let rows = candidate.rows.len();
    let place = shortened(&candidate.place);
    let total = duration(subject.total());
    let (path, saved) = (duration(on_path), duration(saves));
    let first = candidate.rows.first().copied().unwrap_or_default();
    let number = duration(candidate.number.unsigned_abs());
    match candidate.kind {
        FindingKind::RepeatedCall => format!(
            "{rows} times the same call, {path} of {total} on the critical path: {place}. One call for all would save \
             up to {saved}."
        ),
        FindingKind::SerialCalls => format!(
            "{rows} calls of {place} that only read follow one another, {path} of {total} on the critical path. If none needs \
             another's result, calling them together would save up to {saved}."
        ),
        FindingKind::SlowDependency => {
            let peer = subject.facts(first).peer.as_deref().unwrap_or("what it calls");
            let times = times(rows);
            format!(
                "{path} of {total} on the critical path is spent waiting for {place}{times}, and {} sends no spans that \
                 say what it does.",
                shortened(peer)
            )
        }
        FindingKind::Retries => {
            let failed = candidate.number;
            format!(
                "{rows} attempts of {place}, {failed} failed and {} tried again: without {}, {saved} of {total} less.",
                if failed == 1 { "was" } else { "were" },
                if failed == 1 { "the failure" } else { "the failures" },
            )
        }
        FindingKind::Waiting => format!(
            "{rows} {} of {} waited for a connection, a lock or {} turn at {place}, the longest {number}: {saved} of \
             {total} on the critical path.",
            plural(rows, "call", "calls"),
            shortened(&candidate.service),
            plural(rows, "its", "their"),
        ),
        FindingKind::CacheMiss => {
            let misses = candidate.rows.iter().filter(|&&row| subject.facts(row).lookup.is_some()).count();
            format!(
                "The cache {place} was asked {} {} and missed {misses}: with the answers there, {saved} of {total} less.",
                candidate.number,
                if candidate.number == 1 { "time" } else { "times" },
            )
        }
        FindingKind::InstrumentationGap => format!(
            "{} of {total} on the critical path passes within {place}{} and no span below says what with; the longest \
             stretch is {number}.",
            duration(candidate.rows.iter().map(|&row| subject.own(row)).sum()),
            times(rows),
        ),
        FindingKind::ClockSkew => {
            let is_behind = if candidate.number > 0 { "behind" } else { "ahead of" };
            format!(
                "The clock of {} is about {number} {is_behind} that of {place}, seen by {rows} {}: times of the two cannot be \
                 compared as they are.",
                shortened(&candidate.service),
                plural(rows, "call", "calls"),
            )
        }
        FindingKind::SwallowedError => format!(
            "{place} failed{} and no span above says so: the caller went on, or the error got lost.",
            times(rows),
        ),
    }
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

fn times(rows: usize) -> String {
    if rows == 1 { String::new() } else { format!(" ({rows} times)") }
}

fn shortened(name: &str) -> String {
    let mut text: String = name.chars().take(MAX_NAME).collect();
    if text.len() < name.len() {
        text.push('…');
    }
    text
}

/// Nanoseconds with a unit and three digits.
fn duration(nanoseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let exact = nanoseconds as f64;
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "us")];
    // What would be rounded up to 1000 of a unit is told in the next.
    let Some((size, unit)) = units.into_iter().find(|(size, _)| exact >= size * 0.9995) else {
        return format!("{nanoseconds} ns");
    };
    let value = exact / size;
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    let text = format!("{value:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (nanoseconds, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_500, "1.5 us"),
            (46_000_000, "46 ms"),
            (1_234_567, "1.23 ms"),
            (123_456_789, "123 ms"),
            (999_999_999, "1 s"),
            (2_019_570_000, "2.02 s"),
            (1_200_000_000_000, "1200 s"),
        ] {
            assert_eq!(duration(nanoseconds), text);
        }
    }
}
