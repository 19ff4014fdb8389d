//! The shape of a command: its fields without their values.
//!
//! Of a document that is written, nothing but that there is one: its fields may be made of data. Fields in filters and
//! pipelines are shown, as they say what an index is needed for; text is bounded in depth and length.

use std::fmt::Write as _;

use mongodb::bson::{Bson, Document};

/// Documents inside one another that are looked into.
const MAX_DEPTH: usize = 6;

/// Bytes after which the text ends.
const MAX_LENGTH: usize = 1024;

/// Bytes that most take.
const ROOM: usize = 256;

/// Fields of every command that say nothing of this one, or who is in a session or a transaction.
const LEFT_OUT: [&str; 12] = [
    "$clusterTime",
    "$db",
    "$readPreference",
    "apiDeprecationErrors",
    "apiStrict",
    "apiVersion",
    "autocommit",
    "lsid",
    "readConcern",
    "startTransaction",
    "txnNumber",
    "writeConcern",
];

/// What is written, whose fields are data.
const WRITTEN: [&str; 3] = ["documents", "u", "update"];

/// `{find: "orders", filter: {customer: ?}, limit: ?}`.
pub(super) fn of(command: &Document, name: &str) -> String {
    let mut shape = Shape { text: String::with_capacity(ROOM), is_full: false };
    let fields = command.iter().filter(|(field, _)| !LEFT_OUT.contains(&field.as_str()));
    shape.object(fields.map(|(field, value)| (field, value, field == name)), MAX_DEPTH);
    shape.text
}

struct Shape {
    text: String,
    is_full: bool,
}

impl Shape {
    fn object<'a>(&mut self, fields: impl Iterator<Item = (&'a String, &'a Bson, bool)>, depth: usize) {
        self.push("{");
        for (position, (field, value, is_name)) in fields.enumerate() {
            if self.is_full {
                break;
            }
            self.push(if position == 0 { "" } else { ", " });
            self.push(field);
            self.push(": ");
            match value {
                Bson::String(own) if is_name => self.quoted(own),
                // The name of a command that has the document that is written as its field `update`.
                Bson::Document(_) | Bson::Array(_) if WRITTEN.contains(&field.as_str()) => self.push("?"),
                value => self.value(value, depth),
            }
        }
        self.push("}");
    }

    fn value(&mut self, value: &Bson, depth: usize) {
        match value {
            Bson::Document(document) if depth > 0 => {
                self.object(document.iter().map(|(field, value)| (field, value, false)), depth - 1);
            }
            Bson::Array(values) if depth > 0 => self.array(values, depth - 1),
            _ => self.push("?"),
        }
    }

    /// Steps of a pipeline each; of plain values that there are some.
    fn array(&mut self, values: &[Bson], depth: usize) {
        let is_plain = |value: &Bson| !matches!(value, Bson::Document(_) | Bson::Array(_));
        self.push("[");
        if values.iter().all(is_plain) {
            self.push(if values.is_empty() { "" } else { "?" });
        } else {
            for (position, value) in values.iter().enumerate() {
                if self.is_full {
                    break;
                }
                self.push(if position == 0 { "" } else { ", " });
                self.value(value, depth);
            }
        }
        self.push("]");
    }

    fn quoted(&mut self, name: &str) {
        if self.is_full {
            return;
        }
        let before = self.text.len();
        let _ = write!(self.text, "{name:?}");
        if self.text.len() > MAX_LENGTH {
            self.text.truncate(before);
            self.end();
        }
    }

    fn push(&mut self, text: &str) {
        if self.is_full {
            return;
        }
        if self.text.len() + text.len() > MAX_LENGTH {
            return self.end();
        }
        self.text.push_str(text);
    }

    fn end(&mut self) {
        self.is_full = true;
        self.text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn values_are_masked_and_fields_are_shown() {
        let find = doc! {
            "find": "orders", "filter": { "customer": "a secret", "$or": [{ "state": 1 }, { "age": { "$gt": 2 } }] },
            "ids": ["a", "b"], "limit": 5, "$db": "shop", "lsid": { "id": "session" }, "txnNumber": 1_i64,
        };
        assert_eq!(
            of(&find, "find"),
            r#"{find: "orders", filter: {customer: ?, $or: [{state: ?}, {age: {$gt: ?}}]}, ids: [?], limit: ?}"#
        );
        let insert = doc! { "insert": "orders", "documents": [{ "a secret field": 1 }], "ordered": true };
        assert_eq!(of(&insert, "insert"), r#"{insert: "orders", documents: ?, ordered: ?}"#);
        let update = doc! { "update": "orders", "updates": [{ "q": { "_id": 1 }, "u": { "a secret": 1 } }] };
        assert_eq!(of(&update, "update"), r#"{update: "orders", updates: [{q: {_id: ?}, u: ?}]}"#);
    }

    #[test]
    fn a_shape_is_bounded_in_depth_and_length() {
        let mut deep = doc! { "a": 1 };
        for _ in 0..20 {
            deep = doc! { "a": deep };
        }
        assert_eq!(of(&doc! { "find": "o", "filter": deep }, "find").matches('{').count(), 1 + MAX_DEPTH);
        let wide: Document = (0..1_000).map(|number| (format!("field{number}"), Bson::Int32(1))).collect();
        let shape = of(&wide, "find");
        assert!(shape.len() <= MAX_LENGTH + '…'.len_utf8() && shape.ends_with('…'), "{shape}");
    }
}
