//! YAML as a tree of texts: configuration files, whose texts get a type from whoever reads them, and registries of names.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// Levels within each other; far above any schema's.
const MAX_DEPTH: usize = 64;

/// Nodes of one file, those of aliases included, so that a small file cannot become a large tree.
const MAX_NODES: usize = 100_000;

/// A part of the file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Null,
    /// A quoted text is never a number or a boolean.
    Text {
        text: String,
        is_quoted: bool,
    },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Why there is no tree.
#[derive(Debug)]
pub(crate) struct NotYaml {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl From<ScanError> for NotYaml {
    fn from(error: ScanError) -> Self {
        Self { line: error.marker().line(), reason: format!("not YAML: {}", error.info()) }
    }
}

/// What a text stands for, before it gets a type; the reason if it stands for nothing.
pub(crate) type Substitute<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// The first document.
pub(crate) fn parse(text: &str, substitute: Substitute<'_>) -> Result<Node, NotYaml> {
    let mut builder =
        Builder { parser: Parser::new_from_str(text), substitute, anchors: HashMap::new(), nodes: 0 };
    loop {
        match builder.next()? {
            (Event::StreamEnd, span) => return Ok(Node { line: span.start.line(), content: Content::Null }),
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            event => return builder.node(event, 0),
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    substitute: Substitute<'a>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), NotYaml> {
        let end = || NotYaml { line: 0, reason: "not YAML: it ends early".to_owned() };
        Ok(self.parser.next().ok_or_else(end)??)
    }

    fn node(&mut self, (event, span): (Event<'a>, Span), depth: usize) -> Result<Node, NotYaml> {
        let line = span.start.line();
        let refused = |reason: &str| NotYaml { line, reason: reason.to_owned() };
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(refused("too deep or too large"));
        }
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_quoted = style != ScalarStyle::Plain;
                let text = (self.substitute)(&text).map_err(|reason| refused(&reason))?;
                let is_null = !is_quoted && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
                (if is_null { Content::Null } else { Content::Text { text, is_quoted } }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break (Content::List(items), anchor),
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(anchor, _) => {
                let mut entries: Vec<(String, Node)> = Vec::new();
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd, _) => break (Content::Map(entries), anchor),
                        (Event::Scalar(key, ..), _) => key.into_owned(),
                        _ => return Err(refused("a key must be text")),
                    };
                    if entries.iter().any(|(known, _)| *known == key) {
                        return Err(refused(&format!("`{key}` is there twice")));
                    }
                    let event = self.next()?;
                    entries.push((key, self.node(event, depth + 1)?));
                }
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or_else(|| refused("an alias of nothing"))?.clone();
                self.nodes += size(&node);
                return Ok(node);
            }
            _ => return Err(refused("a value is missing")),
        };
        let node = Node { line, content };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }
}

#[cfg(feature = "testing")]
impl Node {
    /// As JSON has it: a text that is not quoted is a number or a boolean if it looks like one.
    pub(crate) fn into_json(self) -> serde_json::Value {
        use serde_json::Value;
        match self.content {
            Content::Null => Value::Null,
            Content::Text { text, is_quoted: true } => Value::String(text),
            Content::Text { text, .. } => match (text.as_str(), text.parse::<i64>(), text.parse::<f64>()) {
                ("true" | "True" | "TRUE", ..) => Value::Bool(true),
                ("false" | "False" | "FALSE", ..) => Value::Bool(false),
                (_, Ok(number), _) => number.into(),
                // Not `inf` and `nan`, which YAML writes otherwise.
                (_, _, Ok(number)) if number.is_finite() => number.into(),
                _ => Value::String(text),
            },
            Content::List(items) => items.into_iter().map(Self::into_json).collect(),
            Content::Map(entries) => {
                Value::Object(entries.into_iter().map(|(key, node)| (key, node.into_json())).collect())
            }
        }
    }
}

fn size(node: &Node) -> usize {
    match &node.content {
        Content::Null | Content::Text { .. } => 1,
        Content::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Content::Map(entries) => 1 + entries.iter().map(|(_, node)| size(node)).sum::<usize>(),
    }
}
