//! The span tree as text: name, kind, service, when it began and how long it took.

use super::{Trace, slowest::slowest_index, took};
use crate::console::Style;

/// Columns of the tree itself; longer names are cut.
const WIDEST: usize = 68;

/// The tree, a line a span below a line of headings, the columns aligned.
pub(crate) fn tree(trace: &Trace, style: Style) -> Vec<String> {
    let mut rows = Vec::new();
    for root in &trace.roots {
        walk(trace, *root, "", "", style, &mut rows);
    }
    let begin = trace.spans.iter().map(|span| span.start).min().unwrap_or_default();
    let slowest = slowest_index(trace);
    let name_width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    let service_width = trace.spans.iter().map(|span| span.service.chars().count()).max().unwrap_or_default();

    let shown = |(label, index): &(String, usize)| {
        let span = &trace.spans[*index];
        let mut line = format!(
            "{label:name_width$}  {:8}  {:service_width$}  {:>9}  {:>8}",
            span.kind.name(),
            span.service,
            format!("+{}", took(span.start - begin)),
            took(span.duration()),
        );
        if let Some(error) = span.error() {
            line.push_str("  ");
            line.push_str(&style.red(error));
        }
        if slowest == Some(*index) {
            line.push_str("  ");
            line.push_str(&style.yellow("slowest step"));
        }
        line
    };
    let heading = format!(
        "{:name_width$}  {:8}  {:service_width$}  {:>9}  {:>8}",
        "span", "kind", "service", "began", "took"
    );
    std::iter::once(style.dim(&heading)).chain(rows.iter().map(shown)).collect()
}

/// `before` stands before this span's line, `below` before the lines of its children.
fn walk(
    trace: &Trace,
    index: usize,
    before: &str,
    below: &str,
    style: Style,
    rows: &mut Vec<(String, usize)>,
) {
    rows.push((cut(&format!("{before}{}", trace.spans[index].name), style), index));
    let children = &trace.children[index];
    for (place, child) in children.iter().enumerate() {
        let is_last = place + 1 == children.len();
        let (branch, stem) = match (style.is_rich(), is_last) {
            (true, false) => ("├─ ", "│  "),
            (true, true) => ("└─ ", "   "),
            (false, false) => ("|- ", "|  "),
            (false, true) => ("`- ", "   "),
        };
        walk(trace, *child, &format!("{below}{branch}"), &format!("{below}{stem}"), style, rows);
    }
}

fn cut(label: &str, style: Style) -> String {
    let ellipsis = if style.is_rich() { "…" } else { "..." };
    if label.chars().count() <= WIDEST {
        return label.to_owned();
    }
    let kept: String = label.chars().take(WIDEST - ellipsis.chars().count()).collect();
    format!("{}{ellipsis}", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_tree_shows_parents_kinds_services_offsets_and_durations() {
        let shown = tree(&Trace::of(&fixture::out_of_stock(), fixture::TRACE), Style::Plain).join("\n");
        assert_eq!(
            shown,
            "\
span                   kind      service            began      took
POST /api/orders       SERVER    api-gateway        +0 us   25.0 ms  out_of_stock
`- create-order        INTERNAL  order-service   +2.00 ms   20.0 ms  out_of_stock
   |- check-inventory  INTERNAL  order-service   +5.00 ms   5.00 ms  out_of_stock  slowest step
   `- void-payment     INTERNAL  order-service   +12.0 ms   3.00 ms"
        );
    }

    #[test]
    fn a_long_name_is_cut_so_that_the_tree_fits_a_screen() {
        let mut spans = fixture::out_of_stock();
        spans[3].name =
            "SELECT reservations; UPDATE stock; INSERT reservations; INSERT reservation_lines".to_owned();
        let shown = tree(&Trace::of(&spans, fixture::TRACE), Style::Plain);
        assert!(shown[4].contains("INSERT reservations; INS...  INTERNAL"), "{}", shown[4]);
    }

    #[test]
    fn a_consumer_that_links_instead_of_continuing_hangs_below_its_producer() {
        let mut spans = fixture::completed();
        for span in &mut spans {
            if span.name == "process order-events" {
                span.links = vec![(fixture::TRACE.to_owned(), span.parent_id.take().unwrap())];
                span.trace_id = "another".to_owned();
            }
        }
        let trace = Trace::of(&spans, fixture::TRACE);
        assert!(trace.is_connected() && trace.reaches_notification());
        let shown = tree(&trace, Style::Plain).join("\n");
        assert!(shown.contains("`- process order-events"), "{shown}");
    }

    #[test]
    fn a_span_whose_parent_is_missing_leaves_the_trace_in_pieces() {
        let mut spans = fixture::completed();
        assert!(Trace::of(&spans, fixture::TRACE).is_connected());
        spans.retain(|span| span.name != "create-order");
        assert!(!Trace::of(&spans, fixture::TRACE).is_connected());
    }
}
