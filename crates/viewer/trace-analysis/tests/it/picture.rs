//! Traces as text: one span a line, one nanosecond a column.
//!
//! ```text
//! r server@shop   ##########     a span of ten nanoseconds: its id, what else is known, its time
//!   s client      ..####....     below it: two more spaces
//!   z             .....|....     no duration
//!   n             ...<......     ends one nanosecond before it begins
//! ```
//! Beside a kind and `@service` a line may say `parent=x` (another parent than the indentation says), `root` (none),
//! `id=x` (another id than its name), and `follows` (a link to its own parent).

use waypost_trace_analysis::{CriticalPath, Repair, Row, Tree};
use waypost_trace_model::{Kind, Node, SpanId, StatusCode, Text};

/// Where the first column lies.
const BASE: u64 = 1_000;

/// A drawn trace with its tree and path.
pub(crate) struct Picture {
    pub(crate) nodes: Vec<Node>,
    pub(crate) tree: Tree,
    pub(crate) path: CriticalPath,
}

pub(crate) fn id(name: &str) -> SpanId {
    let mut bytes = [0; 8];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    SpanId::from_bytes(&bytes).unwrap()
}

pub(crate) fn draw(picture: &str) -> Picture {
    let lines: Vec<&str> = picture.lines().filter(|line| !line.trim().is_empty()).collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let margin = lines.iter().map(|line| indent(line)).min().unwrap();
    let first_column = |line: &str| line.trim_end().rfind(' ').unwrap() + 1;
    let left = lines.iter().map(|line| first_column(line)).min().unwrap();

    let mut nodes = Vec::new();
    let mut above: Vec<SpanId> = Vec::new();
    for line in lines {
        assert_eq!(first_column(line), left, "the times of all lines begin in one column: {line}");
        let depth = (indent(line) - margin) / 2;
        above.truncate(depth);
        let node = span(line, left, above.last().copied());
        above.push(node.span_id);
        nodes.push(node);
    }
    let tree = Tree::new(&nodes);
    let path = CriticalPath::of(&nodes, &tree).unwrap();
    Picture { nodes, tree, path }
}

fn span(line: &str, left: usize, above: Option<SpanId>) -> Node {
    let (words, bar) = line.trim_end().split_at(left);
    let mut words = words.split_whitespace();
    let name = words.next().unwrap();
    let (start, end) = time(bar);
    let mut node = Node {
        span_id: id(name),
        parent_span_id: above,
        service: Text::from_static("shop"),
        name: name.into(),
        kind: Kind::Internal,
        status: StatusCode::Unset,
        start,
        end,
        attributes: 0,
        events: 0,
        links: 0,
        follows_from_parent: false,
        logs: 0,
        dropped: 0,
    };
    for word in words {
        let (word, service) = word.split_once('@').unwrap_or((word, "shop"));
        node.service = if service == "shop" { node.service } else { service.into() };
        match (word, word.split_once('=')) {
            ("", _) => {}
            ("root", _) => node.parent_span_id = None,
            ("follows", _) => node.follows_from_parent = true,
            (_, Some(("id", other))) => node.span_id = id(other),
            (_, Some(("parent", other))) => node.parent_span_id = Some(id(other)),
            (kind, _) => node.kind = Kind::from_name(kind).unwrap(),
        }
    }
    node
}

fn time(bar: &str) -> (u64, u64) {
    let begin = bar.find(['#', '|', '<']).unwrap();
    let start = BASE + begin as u64;
    let end = match &bar[begin..=begin] {
        "|" => start,
        "<" => start - 1,
        _ => start + bar.matches('#').count() as u64,
    };
    (start, end)
}

impl Picture {
    pub(crate) fn name(&self, row: u32) -> String {
        self.nodes[self.tree.rows[row as usize].node as usize].name.to_string()
    }

    pub(crate) fn names(&self, rows: &[u32]) -> String {
        rows.iter().map(|&row| self.name(row)).collect::<Vec<_>>().join(" ")
    }

    /// For each nanosecond of the root the span that it was spent in.
    pub(crate) fn path(&self) -> String {
        let segments = self.path.segments.iter();
        let names = segments.flat_map(|segment| (segment.start..segment.end).map(|_| self.name(segment.row)));
        names.collect()
    }

    /// A line for each row: indented by depth, orphans with a question mark.
    pub(crate) fn tree(&self) -> String {
        let line = |(row, here): (u32, &Row)| {
            let mark = if here.is_orphan { "?" } else { "" };
            format!("{:1$}{2}{mark}", "", 2 * here.depth as usize, self.name(row))
        };
        (0_u32..).zip(&self.tree.rows).map(line).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn repairs(&self) -> Vec<String> {
        let sentence = |repair: &Repair| match *repair {
            Repair::Cycle { row } => format!("{}: cycle", self.name(row)),
            Repair::DuplicateId { row } => format!("{}: duplicate id", self.name(row)),
            Repair::MissingParent { row } => format!("{}: missing parent", self.name(row)),
            Repair::ClockSkew { row, offset } => format!("{}: clock {offset:+}", self.name(row)),
            Repair::NegativeDuration { row } => format!("{}: negative duration", self.name(row)),
        };
        self.tree.repairs.iter().map(sentence).collect()
    }
}
