//! Reads a JSON object member by member and notes everything that is wrong with it.
//!
//! For every body that an outsider sends. Serde stops at the first mistake and parses numbers to floats; this
//! keeps each member as its text, so that each is checked on its own and money stays exact.
//!
//! Invariants: the answer names every bad field; no value of the client is repeated in it; nesting and the number
//! of members are bounded before anything is built from them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    ops::RangeInclusive,
    str::FromStr,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{Amount, Error, ErrorCode, FieldCode, FieldError, MoneyError, pointer};

/// Deepest nesting of arrays and objects that is read.
const MAX_DEPTH: usize = 32;
/// Most members of an object that are looked at.
const MAX_MEMBERS: usize = 256;

/// The members of a JSON object that are not read yet, and what was wrong with those that are.
///
/// ```
/// use waypost_api::http_bodies::{Field, Fields};
/// let mut fields = Fields::read(br#"{"seats": 0, "colour": "red"}"#)?;
/// let seats = fields.required("seats", |field: Field<'_>| field.count(1..=8));
/// let error = fields.finish(seats).unwrap_err();
/// let pointers: Vec<_> = error.fields.iter().map(|field| field.pointer.as_str()).collect();
/// assert_eq!(pointers, ["/seats", "/colour"]);
/// # Ok::<_, waypost_api::Error>(())
/// ```
#[derive(Debug)]
pub struct Fields<'a> {
    /// By name; the position keeps the order of the document for the members that nobody asks for.
    members: BTreeMap<Cow<'a, str>, (usize, &'a RawValue)>,
    errors: Vec<FieldError>,
}

/// What is wrong with one member.
type Bad = (FieldCode, String);

impl<'a> Fields<'a> {
    /// Takes a body apart. Fails when it is not JSON (`malformed_json`, with line and column) or not an object.
    pub fn read(body: &'a [u8]) -> Result<Self, Error> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::new(ErrorCode::MalformedJson, "the body is empty"));
        }
        if is_nested_deeper(body, MAX_DEPTH) {
            let detail = format!("is nested deeper than {MAX_DEPTH} levels");
            return Err(Error::invalid_fields(vec![FieldError::new("", FieldCode::TooLarge, detail)]));
        }
        let document: &RawValue = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        let field = Field { raw: document };
        if field.kind() != Kind::Object {
            let (code, detail) = field.wrong_type("an object");
            return Err(Error::invalid_fields(vec![FieldError::new("", code, detail)]));
        }
        let Object { members, errors } =
            serde_json::from_str(document.get()).map_err(|error| malformed(&error))?;
        Ok(Self { members, errors })
    }

    /// Reads a member that must be there.
    pub fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Field<'a>) -> Result<T, (FieldCode, String)>,
    ) -> Option<T> {
        if self.members.contains_key(name) {
            return self.optional(name, read);
        }
        self.fail(name, FieldCode::Required, "is required");
        None
    }

    /// Reads a member that may be absent.
    pub fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Field<'a>) -> Result<T, (FieldCode, String)>,
    ) -> Option<T> {
        let (_, raw) = self.members.remove(name)?;
        match read(Field { raw }) {
            Ok(value) => Some(value),
            Err((code, detail)) => {
                self.fail(name, code, detail);
                None
            }
        }
    }

    /// Notes a bad member, for rules between members.
    pub fn fail(&mut self, name: &str, code: FieldCode, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer::member("", name), code, detail));
    }

    /// Gives what was read, or the error that names every bad member; a member that nobody asked for is one.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Error> {
        let mut unknown: Vec<_> = std::mem::take(&mut self.members).into_iter().collect();
        unknown.sort_by_key(|(_, (position, _))| *position);
        for (name, _) in &unknown {
            self.fail(name, FieldCode::UnknownField, "does not exist");
        }
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Error::invalid_fields(self.errors)),
        }
    }
}

/// One member of a JSON object, as its text.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    raw: &'a RawValue,
}

impl Field<'_> {
    /// A string.
    pub fn text(self) -> Result<String, Bad> {
        if self.kind() != Kind::String {
            return Err(self.wrong_type("a string"));
        }
        serde_json::from_str(self.raw.get())
            .map_err(|_| (FieldCode::BadFormat, "is not Unicode text".to_owned()))
    }

    /// A string that is an id or the like.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(self) -> Result<T, Bad> {
        self.text()?.parse().map_err(|reason: T::Err| (FieldCode::BadFormat, reason.to_string()))
    }

    /// True or false.
    pub fn flag(self) -> Result<bool, Bad> {
        match self.raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// A whole number in a range; `2.0` is one too, as in JSON Schema.
    pub fn count(self, allowed: RangeInclusive<u32>) -> Result<u32, Bad> {
        if self.kind() != Kind::Number {
            return Err(self.wrong_type("a whole number"));
        }
        let too_small = || (FieldCode::TooSmall, format!("must be at least {}", allowed.start()));
        let too_large = || (FieldCode::TooLarge, format!("must be at most {}", allowed.end()));
        let not_whole = || (FieldCode::BadFormat, "must be a whole number".to_owned());
        let number = match self.raw.get().parse::<Amount>() {
            Ok(amount) => amount.ten_thousandths(),
            Err(MoneyError::OutOfRange) if self.raw.get().starts_with('-') => return Err(too_small()),
            Err(MoneyError::OutOfRange) => return Err(too_large()),
            Err(_) => return Err(not_whole()),
        };
        if number % 10_000 != 0 {
            return Err(not_whole());
        }
        let number = number / 10_000;
        if number < i64::from(*allowed.start()) {
            return Err(too_small());
        }
        u32::try_from(number).ok().filter(|number| allowed.contains(number)).ok_or_else(too_large)
    }

    /// An amount above zero, as a number or a string.
    pub fn positive_amount(self) -> Result<Amount, Bad> {
        if !matches!(self.kind(), Kind::Number | Kind::String) {
            return Err(self.wrong_type("a number or a string with a number"));
        }
        let amount = Amount::from_json(self.raw).map_err(|reason| {
            let code =
                if reason == MoneyError::OutOfRange { FieldCode::TooLarge } else { FieldCode::BadFormat };
            (code, reason.to_string())
        })?;
        if amount > Amount::ZERO {
            Ok(amount)
        } else {
            Err((FieldCode::TooSmall, "must be above 0".to_owned()))
        }
    }

    fn kind(self) -> Kind {
        match self.raw.get().as_bytes().first() {
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    fn wrong_type(self, expected: &str) -> Bad {
        (FieldCode::WrongType, format!("must be {expected}, not {}", self.kind().name()))
    }
}

/// The kinds of JSON values; the first byte tells which.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    Number,
    Object,
    Array,
    True,
    False,
    Null,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::Array => "an array",
            Self::True => "true",
            Self::False => "false",
            Self::Null => "null",
        }
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    // The text is serde_json's: what was expected, with line and column. It repeats nothing of the body.
    Error::new(ErrorCode::MalformedJson, error.to_string())
}

/// Looks at brackets outside strings only, so it may be run on anything.
fn is_nested_deeper(body: &[u8], limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

/// An object's members; a repeated one is an error, because two readers could take different ones.
struct Object<'a> {
    members: BTreeMap<Cow<'a, str>, (usize, &'a RawValue)>,
    errors: Vec<FieldError>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut object = Object { members: BTreeMap::new(), errors: Vec::new() };
                let mut position = 0;
                while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    position += 1;
                    if position > MAX_MEMBERS {
                        let detail = format!("has more than {MAX_MEMBERS} members");
                        object.errors.push(FieldError::new("", FieldCode::TooLarge, detail));
                        while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
                        break;
                    }
                    match object.members.entry(name) {
                        Entry::Vacant(entry) => drop(entry.insert((position, value))),
                        Entry::Occupied(entry) => {
                            let pointer = pointer::member("", entry.key());
                            let detail = "is there more than once";
                            object.errors.push(FieldError::new(pointer, FieldCode::DuplicateField, detail));
                        }
                    }
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Members)
    }
}
