//! How many data points a metrics request holds: all that there is to say about them here.
//!
//! They are counted by a walk over the message's fields, which takes no memory.

use crate::Refused;
use bytes::Buf as _;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{fmt, marker::PhantomData};

/// In an `ExportMetricsServiceRequest` of protobuf.
pub(crate) fn in_protobuf(request: &[u8]) -> Result<u64, Refused> {
    const RESOURCE_METRICS: u64 = 1;
    const SCOPE_METRICS: u64 = 2;
    const METRICS: u64 = 2;
    /// Gauge, sum, histogram, exponential histogram, summary.
    const DATA: [u64; 5] = [5, 7, 9, 10, 11];
    const DATA_POINTS: u64 = 1;
    let mut points = 0;
    each(request, &[RESOURCE_METRICS], &mut |resource| {
        each(resource, &[SCOPE_METRICS], &mut |scope| {
            each(scope, &[METRICS], &mut |metric| {
                each(metric, &DATA, &mut |data| {
                    each(data, &[DATA_POINTS], &mut |_| {
                        points += 1;
                        Some(())
                    })
                })
            })
        })
    })
    .ok_or_else(|| Refused::Malformed("it is no ExportMetricsServiceRequest".to_owned()))?;
    Ok(points)
}

/// Calls `found` with each embedded message that has one of these numbers; `None` when the bytes are no message.
fn each(mut message: &[u8], numbers: &[u64], found: &mut dyn FnMut(&[u8]) -> Option<()>) -> Option<()> {
    while !message.is_empty() {
        let key = prost::encoding::decode_varint(&mut message).ok()?;
        let length = match key & 7 {
            0 => {
                prost::encoding::decode_varint(&mut message).ok()?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(prost::encoding::decode_varint(&mut message).ok()?).ok()?,
            5 => 4,
            _ => return None,
        };
        let field = message.get(..length)?;
        if key & 7 == 2 && numbers.contains(&(key >> 3)) {
            found(field)?;
        }
        message.advance(length);
    }
    Some(())
}

/// In an `ExportMetricsServiceRequest` of JSON.
pub(crate) fn in_json(request: &[u8]) -> Result<u64, Refused> {
    serde_json::from_slice::<Fields<Request>>(request)
        .map(|fields| fields.0)
        .map_err(|error| Refused::Malformed(error.to_string()))
}

/// An object of which one kind of field counts.
trait Level {
    type Inner: for<'de> Deserialize<'de> + Into<u64>;
    const NAMES: &'static [&'static str];
}

macro_rules! level {
    ($name:ident: $($field:literal)|+ => $inner:ty) => {
        struct $name;
        impl Level for $name {
            type Inner = $inner;
            const NAMES: &'static [&'static str] = &[$($field),+];
        }
    };
}

level!(Request: "resourceMetrics" | "resource_metrics" => List<Fields<ResourceMetrics>>);
level!(ResourceMetrics: "scopeMetrics" | "scope_metrics" => List<Fields<ScopeMetrics>>);
level!(ScopeMetrics: "metrics" => List<Fields<Metric>>);
level!(Metric: "gauge" | "sum" | "histogram" | "exponentialHistogram" | "exponential_histogram" | "summary" => Fields<Data>);
level!(Data: "dataPoints" | "data_points" => List<One>);

/// The sum over the fields of an object that count.
struct Fields<L>(u64, PhantomData<L>);
/// The sum over the items of a list.
struct List<T>(u64, PhantomData<T>);
/// Anything, as one.
struct One;

impl<L> From<Fields<L>> for u64 {
    fn from(fields: Fields<L>) -> u64 {
        fields.0
    }
}

impl<T> From<List<T>> for u64 {
    fn from(list: List<T>) -> u64 {
        list.0
    }
}

impl From<One> for u64 {
    fn from(_: One) -> u64 {
        1
    }
}

impl<'de> Deserialize<'de> for One {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<One, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| One)
    }
}

impl<'de, L: Level> Deserialize<'de> for Fields<L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<L>, D::Error> {
        deserializer.deserialize_map(Summing::<Fields<L>>(PhantomData))
    }
}

impl<'de, T: Deserialize<'de> + Into<u64>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<T>, D::Error> {
        deserializer.deserialize_seq(Summing::<List<T>>(PhantomData))
    }
}

struct Summing<T>(PhantomData<T>);

impl<'de, L: Level> Visitor<'de> for Summing<Fields<L>> {
    type Value = Fields<L>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {}", L::NAMES.first().copied().unwrap_or_default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<L>, A::Error> {
        let mut sum = 0;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if L::NAMES.contains(&&*name) {
                sum += map.next_value::<L::Inner>()?.into();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Fields(sum, PhantomData))
    }
}

impl<'de, T: Deserialize<'de> + Into<u64>> Visitor<'de> for Summing<List<T>> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
        let mut sum = 0;
        while let Some(item) = list.next_element::<T>()? {
            sum += item.into();
        }
        Ok(List(sum, PhantomData))
    }
}
