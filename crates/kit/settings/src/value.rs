//! TOML values as serde's input, with [`Refusal`] as the error: it knows the path, and what kind of wrong it is.

use super::refusal::Refusal;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Unexpected, Visitor,
    value::{MapAccessDeserializer, SeqDeserializer},
};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

/// A value that is about to be read.
pub(crate) struct Reader(pub(crate) Value);

impl IntoDeserializer<'_, Refusal> for Reader {
    type Deserializer = Reader;

    fn into_deserializer(self) -> Reader {
        self
    }
}

impl<'de> Deserializer<'de> for Reader {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(truth) => visitor.visit_bool(truth),
            Value::Datetime(time) => visitor.visit_string(time.to_string()),
            Value::Array(items) => {
                let items = SeqDeserializer::new(items.into_iter().map(Reader));
                visitor.visit_seq(items).map_err(Refusal::within_list)
            }
            Value::Table(table) => visitor.visit_map(Fields::new(table)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            Value::Table(table) => visitor.visit_enum(MapAccessDeserializer::new(Fields::new(table))),
            Value::Array(_) => Err(Refusal::invalid_type(Unexpected::Seq, &"a name")),
            other => Err(Refusal::invalid_type(Unexpected::Other(other.type_str()), &"a name")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The keys and values of a table.
struct Fields {
    left: toml::map::IntoIter<String, Value>,
    current: Option<(String, Value)>,
}

impl Fields {
    fn new(table: Table) -> Fields {
        Fields { left: table.into_iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        self.current = self.left.next();
        let Some((key, _)) = &self.current else { return Ok(None) };
        seed.deserialize(key.as_str().into_deserializer())
            .map(Some)
            .map_err(|refusal: Refusal| refusal.under(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        let (key, value) = self.current.take().ok_or_else(|| Refusal::custom("a value without a key"))?;
        seed.deserialize(Reader(value)).map_err(|refusal| refusal.under(&key))
    }
}
