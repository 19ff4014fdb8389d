//! Dead letters as they stand in JSON on the admin listener.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use waypost_api::Timestamp;
use waypost_durable::dead_letters::DeadLetter;

/// One page of the letters that wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the JSON")]
pub(super) struct Letters {
    pub(super) letters: Vec<Letter>,
    /// How many wait in all.
    pub(super) total: u64,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// A letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the JSON")]
pub(super) struct Letter {
    /// What it is called in commands.
    pub(super) letter: String,
    pub(super) topic: String,
    /// Where it stood in its topic.
    pub(super) partition: Option<u32>,
    pub(super) offset: Option<u64>,
    pub(super) event_id: String,
    pub(super) key: String,
    /// Who could not handle it.
    pub(super) group: String,
    pub(super) reason: String,
    pub(super) error_type: String,
    pub(super) attempts: u32,
    pub(super) since: Timestamp,
    /// Set once it was published again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replay: Option<ReplayReport>,
    /// Only when one letter is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<Content>,
}

/// When, by whom and why a letter was published again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ReplayReport {
    pub(super) at: Timestamp,
    pub(super) by: String,
    pub(super) reason: String,
}

/// What is in a letter. What is no text is written in hexadecimal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) headers: Vec<(String, String)>,
    pub(super) payload: String,
    pub(super) payload_is_text: bool,
}

/// A wish to publish letters again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayBody {
    pub(super) by: String,
    pub(super) reason: String,
    /// Which.
    #[serde(default)]
    pub(super) letters: Vec<String>,
    /// All that wait, in place of `letters`.
    #[serde(default)]
    pub(super) all: bool,
}

/// What became of a wish to publish letters again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ReplayedLetters {
    /// Published now.
    pub(super) replayed: Vec<String>,
    /// Published before, and not again.
    pub(super) before: Vec<String>,
    /// Not there.
    pub(super) unknown: Vec<String>,
}

impl From<&DeadLetter> for Letter {
    fn from(letter: &DeadLetter) -> Letter {
        let DeadLetter { reference, record, group, place, reason, error_type, attempts, since, replay } =
            letter;
        Letter {
            letter: reference.clone(),
            topic: record.topic.clone(),
            partition: place.map(|(partition, _)| partition),
            offset: place.map(|(_, offset)| offset),
            event_id: record.id.clone(),
            key: record.key.clone(),
            group: group.clone(),
            reason: reason.clone(),
            error_type: error_type.clone(),
            attempts: *attempts,
            since: (*since).into(),
            replay: replay.as_ref().map(|replay| ReplayReport {
                at: replay.at.into(),
                by: replay.by.clone(),
                reason: replay.reason.clone(),
            }),
            content: None,
        }
    }
}

impl Letter {
    /// The same with what is in it.
    pub(super) fn whole(letter: &DeadLetter) -> Letter {
        let record = &letter.record;
        let headers = record.headers.iter().map(|(name, value)| (name.clone(), readable(value).0));
        let (payload, payload_is_text) = readable(&record.payload);
        let content = Content { headers: headers.collect(), payload, payload_is_text };
        Letter { content: Some(content), ..Letter::from(letter) }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn readable(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), true),
        Err(_) => (hexadecimal(bytes), false),
    }
}
