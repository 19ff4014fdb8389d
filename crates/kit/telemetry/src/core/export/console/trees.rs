//! Spans as indented trees, for people: names, durations, failures, and those attributes that say something.
//!
//! Holds nothing back: each batch is printed as it is, so memory is bounded by a batch. Of a trace whose spans end in several
//! batches each part is a tree of its own, and says that its parent is elsewhere. What a span holds cannot reach the terminal
//! as anything but text: control characters are escaped, and long values are cut.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};

use crate::base::config::ConsoleSettings;
use crate::base::finished::FinishedSpan;
use crate::core::sampling::matches;

/// Longest value, in characters.
const MAX_VALUE: usize = 80;
/// Attributes of one span.
const MAX_ATTRIBUTES: usize = 12;
/// Deeper spans stand no further to the right.
const MAX_DEPTH: usize = 24;

/// How trees are written.
#[derive(Clone, Debug)]
pub(in crate::core::export) struct Trees {
    hidden: Vec<String>,
    colours: bool,
}

/// Escape sequences of a terminal.
#[derive(Clone, Copy)]
enum Style {
    Bold,
    Faint,
    Red,
    Cyan,
}

impl Trees {
    /// In colour if asked for; whoever calls knows whether somebody at a terminal reads.
    pub(in crate::core::export) fn new(settings: &ConsoleSettings, colours: bool) -> Self {
        Self { hidden: settings.hidden_attributes.clone(), colours }
    }

    /// Every trace of a batch, in the order in which they appear.
    pub(in crate::core::export) fn render(&self, spans: &[FinishedSpan]) -> String {
        let mut order: Vec<TraceId> = Vec::new();
        let mut traces: HashMap<TraceId, Vec<&FinishedSpan>> = HashMap::new();
        for span in spans {
            let trace = traces.entry(span.trace_id()).or_default();
            if trace.is_empty() {
                order.push(span.trace_id());
            }
            trace.push(span);
        }
        let mut text = String::new();
        for id in order {
            self.trace(&mut text, id, traces.get(&id).map(Vec::as_slice).unwrap_or_default());
        }
        text
    }

    // Writing to a String cannot fail.
    fn trace(&self, text: &mut String, id: TraceId, spans: &[&FinishedSpan]) {
        let ids: HashSet<SpanId> = spans.iter().map(|span| span.span_id()).collect();
        let mut children: HashMap<SpanId, Vec<&FinishedSpan>> = HashMap::new();
        let mut tops = Vec::new();
        for span in spans {
            match span.parent_id().filter(|parent| ids.contains(parent) && *parent != span.span_id()) {
                Some(parent) => children.entry(parent).or_default().push(span),
                None => tops.push(*span),
            }
        }
        let number = spans.len();
        let _ = writeln!(text, "{} {id} {number} span{}", self.styled(Style::Faint, "trace"), plural(number));

        // What is reached from no top is a circle, which only broken ids make.
        let mut shown = HashSet::new();
        by_start(&mut tops);
        for top in tops.into_iter().chain(spans.iter().copied()) {
            let mut open = vec![(top, 1)];
            while let Some((span, depth)) = open.pop() {
                if !shown.insert(span.span_id()) {
                    continue;
                }
                self.span(text, span, depth);
                let mut below = children.remove(&span.span_id()).unwrap_or_default();
                by_start(&mut below);
                open.extend(below.into_iter().rev().map(|child| (child, depth + 1)));
            }
        }
    }

    fn span(&self, text: &mut String, span: &FinishedSpan, depth: usize) {
        let indent = "  ".repeat(depth.min(MAX_DEPTH));
        let name = self.styled(Style::Bold, &plain(span.name()));
        let kind = self.styled(Style::Cyan, kind(&span.kind));
        let _ = write!(text, "{indent}{name} {kind} {}", took(span.duration()));
        if depth == 1 {
            let _ = write!(text, " {}", self.styled(Style::Faint, &plain(span.service_name())));
            if let Some(parent) = span.parent_id() {
                let whose = if span.parent_is_remote() { "a caller" } else { "elsewhere" };
                let _ = write!(text, " {}", self.styled(Style::Faint, &format!("under {parent} ({whose})")));
            }
        }
        if let Status::Error { description } = span.status() {
            let description = plain(description);
            let failure =
                if description.is_empty() { "ERROR".to_owned() } else { format!("ERROR {description}") };
            let _ = write!(text, " {}", self.styled(Style::Red, &failure));
        }
        let is_shown = |key: &str| !self.hidden.iter().any(|pattern| matches(pattern, key));
        let shown = span.attributes().iter().filter(|attribute| is_shown(attribute.key.as_str()));
        let mut left = 0;
        for (place, attribute) in shown.enumerate() {
            if place >= MAX_ATTRIBUTES {
                left += 1;
                continue;
            }
            let key = self.styled(Style::Faint, &format!("{}=", plain(attribute.key.as_str())));
            let _ = write!(text, " {key}{}", plain(&attribute.value.as_str()));
        }
        if left > 0 {
            let _ = write!(text, " {}", self.styled(Style::Faint, &format!("and {left} more")));
        }
        text.push('\n');
        for event in span.events() {
            let at = event.time().duration_since(span.start()).unwrap_or_default();
            let event = self.styled(Style::Faint, &format!("at {}: {}", took(at), plain(event.name())));
            let _ = writeln!(text, "{indent}  {event}");
        }
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => 1,
            Style::Faint => 2,
            Style::Red => 31,
            Style::Cyan => 36,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn by_start(spans: &mut [&FinishedSpan]) {
    spans.sort_by_key(|span| span.start());
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

fn kind(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "CLIENT",
        SpanKind::Server => "SERVER",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
        SpanKind::Internal => "INTERNAL",
    }
}

/// Three digits that matter.
fn took(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{:.1}us", duration.as_secs_f64() * 1e6),
        1_000_000..1_000_000_000 => format!("{:.2}ms", duration.as_secs_f64() * 1e3),
        _ => format!("{:.2}s", duration.as_secs_f64()),
    }
}

/// Text that is nothing else to a terminal, and not longer than a line has room for.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (place, letter) in text.chars().enumerate() {
        if place == MAX_VALUE {
            plain.push_str("...");
            break;
        }
        // What changes the direction of writing is no control character, and as bad.
        let is_hidden =
            matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.is_control() || is_hidden {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};
    use opentelemetry::{InstrumentationScope, KeyValue};

    use super::*;

    fn span(id: u64, parent: u64, start: u64, name: &'static str) -> FinishedSpan {
        let ids = |id| SpanId::from(id);
        FinishedSpan {
            service_name: "shop".into(),
            scope: InstrumentationScope::default(),
            span_context: SpanContext::new(
                TraceId::from(7),
                ids(id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_id: ids(parent),
            parent_is_remote: parent == 99,
            kind: SpanKind::Internal,
            name: name.into(),
            start: UNIX_EPOCH + Duration::from_millis(start),
            end: UNIX_EPOCH + Duration::from_millis(start + 2),
            attributes: Vec::new(),
            dropped_attributes: 0,
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            status: Status::Unset,
        }
    }

    fn trees(colours: bool) -> Trees {
        Trees::new(&ConsoleSettings::default(), colours)
    }

    #[test]
    fn a_trace_is_an_indented_tree_by_start() {
        let mut failed = span(4, 1, 5, "pay");
        failed.status = Status::error("card\ndeclined\x1b[2J");
        failed.attributes =
            vec![KeyValue::new("order.id", "o-1"), KeyValue::new("network.peer.address", "127.0.0.1")];
        let spans = [span(3, 2, 2, "price"), span(2, 1, 1, "check"), failed, span(1, 99, 0, "place")];
        assert_eq!(
            trees(false).render(&spans),
            "trace 00000000000000000000000000000007 4 spans
  place INTERNAL 2.00ms shop under 0000000000000063 (a caller)
    check INTERNAL 2.00ms
      price INTERNAL 2.00ms
    pay INTERNAL 2.00ms ERROR card\\ndeclined\\u{1b}[2J order.id=o-1
"
        );
        let coloured = trees(true).render(&spans);
        assert!(coloured.contains("\x1b[31mERROR card") && !coloured.contains("\x1b[2J"), "{coloured:?}");
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let text = trees(false).render(&[span(1, 2, 0, "a"), span(2, 1, 0, "b"), span(3, 3, 0, "c")]);
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn a_chain_of_thousands_stays_narrow() {
        let spans: Vec<_> = (1..5_000).map(|id| span(id, id - 1, id, "deep")).collect();
        let text = trees(false).render(&spans);
        assert_eq!(text.lines().count(), 5_000);
        assert!(text.lines().all(|line| line.len() < 120));
    }

    #[test]
    fn many_and_long_attributes_are_cut() {
        let mut wide = span(1, 0, 0, "wide");
        wide.attributes = (0..20).map(|n| KeyValue::new(format!("a{n}"), "x".repeat(500))).collect();
        let text = trees(false).render(&[wide]);
        assert!(text.contains("and 8 more") && text.len() < 1_500, "{text}");
    }
}
