//! What is wrong with one field of a request.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::cut;

/// One bad field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field; empty for the body as a whole.
    #[schema(examples("/quantity"))]
    pub pointer: String,
    /// What is wrong with it, for a machine.
    pub code: FieldCode,
    /// What is wrong with it, for a person. Never repeats the value.
    #[schema(examples("must be at most 1000"))]
    pub detail: String,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldCode {
    /// It is missing.
    Required,
    /// It is of another JSON type.
    WrongType,
    /// There is no such field.
    UnknownField,
    /// It stands there more than once.
    DuplicateField,
    /// It is not written as such a value must be.
    BadFormat,
    /// It is below what is allowed.
    TooSmall,
    /// It is above what is allowed.
    TooLarge,
    /// It does not fit the rest of the request or what is stored.
    #[serde(other)]
    Invalid,
}

impl FieldError {
    /// Longest pointer that is kept, in bytes: a client chooses the names of unknown fields.
    const MAX_POINTER: usize = 128;
    /// Longest detail that is kept, in bytes.
    const MAX_DETAIL: usize = 256;

    /// Describes one bad field. What is too long is cut.
    pub fn new(pointer: impl Into<String>, code: FieldCode, detail: impl Into<String>) -> Self {
        Self {
            pointer: cut(pointer.into(), Self::MAX_POINTER),
            code,
            detail: cut(detail.into(), Self::MAX_DETAIL),
        }
    }
}
