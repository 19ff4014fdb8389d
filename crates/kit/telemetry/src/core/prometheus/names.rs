//! OpenTelemetry's names and units as Prometheus wants them.
//!
//! By the specification's page on Prometheus: what is not a letter, a digit or `_` becomes `_`, several `_` become one,
//! the unit is spelled out at the end, counters end in `_total`. `_ratio` for the unit `1` is what the official
//! exporters add to gauges.

/// What a family is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sum that only grows.
    Counter,
    /// A value of the moment.
    Gauge,
    /// A sum that can fall: a gauge to Prometheus, but never a ratio.
    UpDown,
    Histogram,
    /// Facts that do not change.
    Info,
}

impl Kind {
    /// The word of a TYPE line.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::UpDown => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// The name of a metric's family.
pub(super) fn family_name(name: &str, unit: &str, kind: Kind) -> String {
    let mut family = clean(name, |letter| letter == ':');
    if kind == Kind::Counter
        && let Some(stem) = family.strip_suffix("_total").filter(|stem| !stem.is_empty())
    {
        family.truncate(stem.len());
    }
    let unit = unit_words(unit, kind);
    let has_unit = family.strip_suffix(&unit).is_some_and(|stem| stem.is_empty() || stem.ends_with('_'));
    if !unit.is_empty() && !has_unit {
        push_word(&mut family, &unit);
    }
    if kind == Kind::Counter {
        push_word(&mut family, "total");
    }
    family
}

/// The label of an attribute's key. Never starts with two underscores, which Prometheus keeps for itself.
pub(super) fn label_name(key: &str) -> String {
    clean(key, |_| false)
}

/// Letters, digits and `_` without repetition, not starting with a digit, never empty.
fn clean(name: &str, also: impl Fn(char) -> bool) -> String {
    let mut clean = String::with_capacity(name.len() + 1);
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        clean.push('_');
    }
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() || also(letter) {
            clean.push(letter);
        } else if !clean.ends_with('_') {
            clean.push('_');
        }
    }
    if clean.is_empty() { "_".to_owned() } else { clean }
}

fn push_word(name: &mut String, word: &str) {
    if !name.ends_with('_') {
        name.push('_');
    }
    name.push_str(word);
}

/// The words for a UCUM unit; empty for a unit that says nothing. What stands in braces is a remark.
fn unit_words(unit: &str, kind: Kind) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for letter in unit.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    let plain = plain.trim();
    if plain == "1" {
        return if kind == Kind::Gauge { "ratio".to_owned() } else { String::new() };
    }
    let (amount, per) = plain.split_once('/').map_or((plain, None), |(amount, per)| (amount, Some(per)));
    let mut words = if amount == "1" { String::new() } else { word(amount, &UNITS) };
    if let Some(per) = per.map(|per| word(per, &PER)).filter(|per| !per.is_empty()) {
        if !words.is_empty() {
            words.push('_');
        }
        words.push_str("per_");
        words.push_str(&per);
    }
    words
}

fn word(unit: &str, known: &[(&str, &str)]) -> String {
    let word = known.iter().find(|(ucum, _)| *ucum == unit).map(|(_, word)| (*word).to_owned());
    word.unwrap_or_else(|| {
        if unit.is_empty() { String::new() } else { clean(unit, |_| false).trim_matches('_').to_owned() }
    })
}

/// The specification's table.
const UNITS: [(&str, &str); 25] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tebibytes"),
    ("kBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

/// What comes after "per".
const PER: [(&str, &str); 12] = [
    ("s", "second"),
    ("min", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("wk", "week"),
    ("mo", "month"),
    ("a", "year"),
    ("ms", "millisecond"),
    ("us", "microsecond"),
    ("ns", "nanosecond"),
    ("By", "byte"),
    ("m", "meter"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_for_prometheus() {
        use Kind::{Counter, Gauge, Histogram, UpDown};
        for (name, unit, kind, expected) in [
            ("http.server.request.duration", "s", Histogram, "http_server_request_duration_seconds"),
            ("process.memory.usage", "By", UpDown, "process_memory_usage_bytes"),
            ("process.cpu.time", "s", Counter, "process_cpu_time_seconds_total"),
            ("otel.sdk.span.live", "{span}", UpDown, "otel_sdk_span_live"),
            ("jobs_total", "1", Counter, "jobs_total"),
            ("busy_total", "s", Counter, "busy_seconds_total"),
            ("2xx", "", Counter, "_2xx_total"),
            ("cache.hits", "1", Gauge, "cache_hits_ratio"),
            ("cache.size", "1", UpDown, "cache_size"),
            ("wind", "m/s", Gauge, "wind_meters_per_second"),
            ("requests", "{request}/s", Gauge, "requests_per_second"),
            ("requests", "1/min", Gauge, "requests_per_minute"),
            ("disk.used", "%", Gauge, "disk_used_percent"),
            ("pause", "min", Gauge, "pause_minutes"),
            ("speed", "kBy/s", Gauge, "speed_kilobytes_per_second"),
            ("odd..name--here", "{a}By{b}", Gauge, "odd_name_here_bytes"),
            ("uptime.seconds", "s", Gauge, "uptime_seconds"),
            ("milliseconds", "s", Gauge, "milliseconds_seconds"),
            ("seconds", "s", Gauge, "seconds"),
            ("temperature", "\u{b0}C", Gauge, "temperature_C"),
            ("mass", "[lb_av]", Gauge, "mass_lb_av"),
            ("job:rate", "", Gauge, "job:rate"),
            ("total", "", Counter, "total_total"),
            ("_total", "", Counter, "_total_total"),
        ] {
            assert_eq!(family_name(name, unit, kind), expected, "{name} {unit}");
        }
    }

    #[test]
    fn labels_are_plain_words() {
        for (key, label) in [
            ("service.name", "service_name"),
            ("__name__", "_name_"),
            ("2xx", "_2xx"),
            ("", "_"),
            ("a:b", "a_b"),
            ("größe", "gr_e"),
        ] {
            assert_eq!(label_name(key), label);
        }
    }
}
