//! The text form of an expected tree, read.

use super::tree::{Node, kind_name};
use opentelemetry::trace::{SpanKind, Status};

/// Children of one node, or the tops.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Expected {
    pub(super) nodes: Vec<ExpectedNode>,
    /// Others may stand beside them.
    pub(super) others: bool,
}

#[derive(Debug, PartialEq)]
pub(super) struct ExpectedNode {
    /// The line without its indentation.
    pub(super) line: String,
    name: String,
    kind: &'static str,
    service: String,
    status: &'static str,
    attributes: Vec<(String, String)>,
    links: Vec<String>,
    pub(super) below: Expected,
}

const KINDS: [SpanKind; 5] =
    [SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer, SpanKind::Internal];

pub(super) fn parse(text: &str) -> Result<Expected, String> {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let lines: Vec<&str> = text.lines().filter(is_content).collect();
    let base = lines.first().map_or(0, |line| indentation(line));
    let (expected, rest) = parse_level(&lines, base)?;
    match rest.first() {
        None => Ok(expected),
        Some(line) => Err(format!("{line:?} is indented less than the first line")),
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Lines at exactly `indent`, each with the deeper ones below it; and the lines left.
fn parse_level<'a, 'b>(mut lines: &'a [&'b str], indent: usize) -> Result<(Expected, &'a [&'b str]), String> {
    let mut level = Expected::default();
    while let Some((line, rest)) = lines.split_first() {
        match indentation(line).cmp(&indent) {
            std::cmp::Ordering::Less => break,
            std::cmp::Ordering::Greater => return Err(format!("{line:?} is indented under nothing")),
            std::cmp::Ordering::Equal => {}
        }
        lines = rest;
        if line.trim() == "..." {
            level.others = true;
            continue;
        }
        let mut node = parse_line(line.trim())?;
        if let Some(next) = lines.first()
            && indentation(next) > indent
        {
            (node.below, lines) = parse_level(lines, indentation(next))?;
        }
        level.nodes.push(node);
    }
    Ok((level, lines))
}

fn parse_line(line: &str) -> Result<ExpectedNode, String> {
    let (head, links) = match line.split_once(" -> ") {
        Some((head, links)) => (head, links.split(" -> ").map(|link| link.trim().to_owned()).collect()),
        None => (line, Vec::new()),
    };
    let words = words(head)?;
    let place = words.iter().position(|word| KINDS.iter().any(|kind| kind_name(kind) == word));
    let Some(place) = place.filter(|place| *place > 0) else {
        return Err(format!("{line:?} is not `name KIND service ...`"));
    };
    let kind = KINDS.iter().map(kind_name).find(|kind| *kind == words[place]).unwrap_or_default();
    let mut rest = words[place + 1..].iter();
    let Some(service) = rest.next() else { return Err(format!("{line:?} names no service")) };

    let mut node = ExpectedNode {
        line: line.to_owned(),
        name: words[..place].join(" "),
        kind,
        service: service.clone(),
        status: "",
        attributes: Vec::new(),
        links,
        below: Expected::default(),
    };
    for word in rest {
        match (word.as_str(), word.split_once('=')) {
            ("{" | "}", _) => {}
            ("ERROR", _) => node.status = "ERROR",
            ("OK", _) => node.status = "OK",
            (_, Some((key, value))) => node.attributes.push((key.to_owned(), value.to_owned())),
            _ => return Err(format!("{word:?} in {line:?} is neither ERROR, OK nor key=value")),
        }
    }
    Ok(node)
}

/// Words between blanks; a part in double quotes may hold blanks, and `\"` in it is a quote. Braces stand alone.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut letters = line.chars();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        match letter {
            '"' => quoted = !quoted,
            '\\' if quoted => word.extend(letters.next()),
            '{' | '}' if !quoted && (word.is_empty() || letter == '}') && !word.contains('{') => {
                words.push(std::mem::take(&mut word));
                words.push(letter.to_string());
            }
            letter if letter.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            letter => word.push(letter),
        }
    }
    if quoted {
        return Err(format!("a quote is not closed in {line:?}"));
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    Ok(words)
}

/// `value` as it would be written, with quotes if it needs them.
pub(super) fn quoted(value: &str) -> String {
    let plain = |letter: char| !letter.is_whitespace() && !['"', '{', '}'].contains(&letter);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

impl ExpectedNode {
    /// Whether name, kind and service fit: the same span, whatever else differs.
    pub(super) fn is_about(&self, node: &Node) -> bool {
        fits(&self.name, node.span.name())
            && self.kind == kind_name(&node.span.kind())
            && fits(&self.service, node.span.service_name())
    }

    pub(super) fn has_name_of(&self, node: &Node) -> bool {
        fits(&self.name, node.span.name())
    }

    /// What of the span itself does not fit; nothing if it fits.
    pub(super) fn complaints(&self, node: &Node) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut compare = |what: &str, expected: &str, got: &str, fits: bool| {
            if !fits {
                let or_nothing =
                    |text: &str| if text.is_empty() { "nothing".to_owned() } else { quoted(text) };
                complaints.push(format!(
                    "{what}: expected {}, got {}",
                    or_nothing(expected),
                    or_nothing(got)
                ));
            }
        };
        let span = &node.span;
        let kind = kind_name(&span.kind());
        let status = match span.status() {
            Status::Unset => "",
            Status::Ok => "OK",
            Status::Error { .. } => "ERROR",
        };
        compare("name", &self.name, span.name(), fits(&self.name, span.name()));
        compare("kind", self.kind, kind, self.kind == kind);
        compare("service", &self.service, span.service_name(), fits(&self.service, span.service_name()));
        compare("status", self.status, status, self.status == status);
        for (key, value) in &self.attributes {
            let got = span.attribute(key).map(|got| got.as_str().into_owned());
            let fits = got.as_ref().is_some_and(|got| value == "*" || value == got);
            compare(key, value, got.as_deref().unwrap_or_default(), fits);
        }
        for link in &self.links {
            let got: Vec<_> = node.links.iter().map(|link| link.as_deref().unwrap_or("*")).collect();
            compare("link", link, &got.join(", "), got.iter().any(|got| fits(link, got)));
        }
        complaints
    }

    /// Attributes that the text names, here and below.
    pub(super) fn named_attributes<'a>(&'a self, into: &mut Vec<&'a str>) {
        into.extend(self.attributes.iter().map(|(key, _)| key.as_str()));
        self.below.nodes.iter().for_each(|node| node.named_attributes(into));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_in_its_parts() {
        let node = parse_line("POST /orders/{id} SERVER api {a=1 b=\"two words\"} -> send x -> *").unwrap();
        assert_eq!(
            (node.name.as_str(), node.kind, node.service.as_str()),
            ("POST /orders/{id}", "SERVER", "api")
        );
        assert_eq!(node.attributes, [("a".into(), "1".into()), ("b".into(), "two words".into())]);
        assert_eq!(node.links, ["send x", "*"]);
    }

    #[test]
    fn depth_is_read_from_indentation() {
        let tree =
            parse("\n    a SERVER s\n      b CLIENT s\n        c SERVER t\n      ...\n    # not a span\n")
                .unwrap();
        assert_eq!(tree.nodes.len(), 1);
        assert!(tree.nodes[0].below.others);
        assert_eq!(tree.nodes[0].below.nodes[0].below.nodes[0].name, "c");
    }

    #[test]
    fn what_is_not_a_tree_is_refused() {
        for (text, why) in [
            ("a b", "is not `name KIND service"),
            ("SERVER s", "is not `name KIND service"),
            ("a SERVER", "names no service"),
            ("a SERVER s what", "is neither ERROR, OK nor key=value"),
            ("a SERVER s k=\"v", "a quote is not closed"),
            ("  a SERVER s\nb SERVER s", "is indented less"),
            ("a SERVER s\n    b CLIENT s\n  c CLIENT s", "is indented under nothing"),
        ] {
            let mistake = parse(text).unwrap_err();
            assert!(mistake.contains(why), "{text:?}: {mistake}");
        }
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        for value in ["plain", "two words", "a \"b\" \\ c", "", "{x}"] {
            let node = parse_line(&format!("a CLIENT s k={}", quoted(value))).unwrap();
            assert_eq!(node.attributes, [("k".to_owned(), value.to_owned())]);
        }
    }
}
