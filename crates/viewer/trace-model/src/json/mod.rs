//! Reading JSON into records while it is parsed, without a tree of values in between.
//!
//! For the OTLP and Zipkin codecs. A message is an [`Object`]: it is filled field by field, in whatever order they come,
//! and may be filled twice. `null` is the same as no field.
//!
//! A record that is refused cannot end the parser, as the next one may be good: the reason is noted in the [`Context`]
//! and everything up to the end of the record is skipped, without recursion and without taking memory.

mod scalar;

pub(crate) use scalar::{Id, Number, any_text, base64, boolean, double, id, number, parsed, text, word};

use crate::{Limits, RefusalReason, admission::Admission, otlp::DecodeError};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};

/// What is known while a request is read.
#[derive(Debug)]
pub(crate) struct Context<'l> {
    pub(crate) admission: Admission<'l>,
    /// Why the record that is being read is not kept.
    pub(crate) refused: Option<RefusalReason>,
    has_too_many: bool,
}

impl<'l> Context<'l> {
    pub(crate) fn limits(&self) -> &'l Limits {
        self.admission.limits
    }

    /// Takes note of a refusal; the first reason counts.
    pub(crate) fn allow<T>(&mut self, result: Result<T, RefusalReason>) -> Option<T> {
        result.map_err(|reason| self.refused.get_or_insert(reason)).ok()
    }

    /// Takes room for one more record; an error ends the request.
    pub(crate) fn record<E: Error>(&mut self) -> Result<(), E> {
        self.admission.record().map_err(|_| {
            self.has_too_many = true;
            E::custom("too many records")
        })
    }
}

/// A JSON object that is read field by field.
pub(crate) trait Object {
    /// Reads the value of the field of this name, or skips it with [`skip`].
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error>;

    /// Whether the field is read although the record is refused.
    fn is_wanted(&self, name: &str) -> bool {
        let _ = name;
        false
    }
}

/// A JSON array that is read item by item.
pub(crate) trait Items {
    /// Whether items are read although the record is refused.
    const IS_WANTED: bool = false;

    /// Reads the next item; false at the end.
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error>;
}

/// Reads the object that is the value of a field; false when it is `null`.
pub(crate) fn fill<'de, A: MapAccess<'de>>(
    object: &mut impl Object,
    map: &mut A,
    context: &mut Context<'_>,
) -> Result<bool, A::Error> {
    map.next_value_seed(Fill { target: object, context })
}

/// Reads the object that is the next item of an array; false at the end.
pub(crate) fn fill_next<'de, A: SeqAccess<'de>>(
    object: &mut impl Object,
    seq: &mut A,
    context: &mut Context<'_>,
) -> Result<bool, A::Error> {
    Ok(seq.next_element_seed(Fill { target: object, context })?.is_some())
}

/// Reads the array that is the value of a field.
pub(crate) fn each<'de, A: MapAccess<'de>>(
    items: &mut impl Items,
    map: &mut A,
    context: &mut Context<'_>,
) -> Result<(), A::Error> {
    map.next_value_seed(Each { target: items, context })
}

/// Skips the value of a field.
pub(crate) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// Reads a request that is an object.
pub(crate) fn read_object<'l>(
    bytes: &[u8],
    limits: &'l Limits,
    object: &mut impl Object,
) -> Result<Context<'l>, DecodeError> {
    read(bytes, limits, |context, parser| Fill { target: object, context }.deserialize(parser).map(|_| ()))
}

/// Reads a request that is an array.
pub(crate) fn read_items<'l>(
    bytes: &[u8],
    limits: &'l Limits,
    items: &mut impl Items,
) -> Result<Context<'l>, DecodeError> {
    read(bytes, limits, |context, parser| Each { target: items, context }.deserialize(parser))
}

type Parser<'de> = serde_json::Deserializer<serde_json::de::SliceRead<'de>>;

fn read<'l, 'de>(
    bytes: &'de [u8],
    limits: &'l Limits,
    read: impl FnOnce(&mut Context<'l>, &mut Parser<'de>) -> Result<(), serde_json::Error>,
) -> Result<Context<'l>, DecodeError> {
    let mut context = Context { admission: Admission::new(limits), refused: None, has_too_many: false };
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    match read(&mut context, &mut parser).and_then(|()| parser.end()) {
        Ok(()) => Ok(context),
        Err(_) if context.has_too_many => Err(DecodeError::TooManyRecords { limit: limits.records }),
        Err(error) => Err(DecodeError::Malformed(error.to_string())),
    }
}

/// Fills `target` with the value.
struct Fill<'a, 'l, T> {
    target: &'a mut T,
    context: &'a mut Context<'l>,
}

impl<'de, T: Object> DeserializeSeed<'de> for Fill<'_, '_, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: Object> Visitor<'de> for Fill<'_, '_, T> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_none<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            if self.context.refused.is_none() || self.target.is_wanted(&name) {
                self.target.field(&name, &mut map, self.context)?;
            } else {
                skip(&mut map)?;
            }
        }
        Ok(true)
    }
}

/// As [`Fill`], for arrays.
struct Each<'a, 'l, T> {
    target: &'a mut T,
    context: &'a mut Context<'l>,
}

impl<'de, T: Items> DeserializeSeed<'de> for Each<'_, '_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: Items> Visitor<'de> for Each<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let is_read = T::IS_WANTED || self.context.refused.is_none();
            let is_more = if is_read {
                self.target.item(&mut seq, self.context)?
            } else {
                seq.next_element::<IgnoredAny>()?.is_some()
            };
            if !is_more {
                return Ok(());
            }
        }
    }
}

/// The name of a field, without a copy where the JSON has no escapes in it.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
