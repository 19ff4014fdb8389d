//! Errors of serde_json.

use std::borrow::Cow;

use super::super::{ErrorType, known};

impl ErrorType for serde_json::Error {
    /// `io`, `syntax`, `data` or `eof`, as serde_json groups them.
    fn error_type(&self) -> Cow<'static, str> {
        known::snake_case(&format!("{:?}", self.classify())).into()
    }
}
