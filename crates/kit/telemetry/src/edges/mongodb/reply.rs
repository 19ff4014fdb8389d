//! What a server's answer says of a command beside that it was carried out.

use mongodb::bson::{Bson, Document};

/// Of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// The code of the first write that failed, or of the concern that was not met.
    pub(super) failure: Option<i32>,
    /// How many documents a cursor gave.
    pub(super) rows: Option<usize>,
}

/// Reads an answer.
pub(super) fn read(reply: &Document) -> Reply {
    let written =
        reply.get_array("writeErrors").ok().and_then(|errors| errors.first()).and_then(Bson::as_document);
    let concern = reply.get_document("writeConcernError").ok();
    let failure = written.or(concern).map(|error| number(error.get("code")).unwrap_or_default());
    let cursor = reply.get_document("cursor").ok();
    let batch = |field| cursor.and_then(|cursor| cursor.get_array(field).ok());
    let rows = batch("firstBatch").or_else(|| batch("nextBatch")).map(Vec::len);
    Reply { failure, rows }
}

fn number(value: Option<&Bson>) -> Option<i32> {
    match value? {
        Bson::Int32(number) => Some(*number),
        Bson::Int64(number) => i32::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn failures_and_rows_are_read_from_an_answer() {
        let rows = doc! { "cursor": { "id": 0_i64, "firstBatch": [{ "a": 1 }, { "a": 2 }] }, "ok": 1 };
        assert_eq!(read(&rows), Reply { failure: None, rows: Some(2) });
        let double =
            doc! { "n": 0, "writeErrors": [{ "index": 0, "code": 11000, "errmsg": "a secret" }], "ok": 1 };
        assert_eq!(read(&double), Reply { failure: Some(11000), rows: None });
        let concern = doc! { "n": 1, "writeConcernError": { "code": 64_i64 } };
        assert_eq!(read(&concern).failure, Some(64));
        assert_eq!(read(&doc! { "ok": 1 }), Reply::default());
    }
}
