//! Attributes as columns: a shape for each list of keys and types that occurs, and a column for each place in
//! a shape.
//!
//! A record keeps the number of its shape. A value's place in its column is the number of earlier records
//! whose shape has that column. Order, repeated keys and types are in the shape, so that a list comes back
//! exactly as it was.

use crate::block::{
    bloom,
    bytes::{Damaged, Reader, put_bytes, put_varint},
    numbers::{self, Hint},
    parts::{PartsBuilder, id},
    strings::StringsBuilder,
    value::{self, Type},
};
use foldhash::{HashMap, HashMapExt, HashSet};
use std::{
    borrow::Cow,
    hash::{BuildHasher, Hash, Hasher},
    io,
};
use waypost_trace_model::{Attribute, Text, Value};

/// More columns than this are a sign of keys that are made up; the lists that would need them are kept whole.
const COLUMNS: usize = 4096;

/// Whose attributes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Owner {
    Span = 0,
    Event = 1,
    Link = 2,
}

/// Every owner, in the order of its number.
const OWNERS: [Owner; 3] = [Owner::Span, Owner::Event, Owner::Link];

#[derive(Debug)]
struct ColumnBuilder<'a> {
    owner: Owner,
    key: &'a str,
    kind: Type,
    numbers: Vec<u64>,
    strings: StringsBuilder<'a>,
}

#[derive(Debug, Default)]
struct ShapesBuilder {
    shapes: Vec<Vec<u32>>,
    by_hash: HashMap<u64, Vec<u32>>,
    last: u32,
}

/// Collects the attributes of a block.
#[derive(Debug)]
pub(crate) struct AttributesBuilder<'a> {
    columns: Vec<ColumnBuilder<'a>>,
    /// By owner, key, type, and how often both stood before in the same list.
    places: HashMap<(Owner, &'a str, Type, u32), u32>,
    shapes: [ShapesBuilder; 3],
    hash: foldhash::fast::FixedState,
}

impl<'a> AttributesBuilder<'a> {
    pub(crate) fn new() -> AttributesBuilder<'a> {
        AttributesBuilder {
            columns: Vec::new(),
            places: HashMap::new(),
            shapes: Default::default(),
            hash: foldhash::fast::FixedState::default(),
        }
    }

    /// Adds a list and returns the number of its shape.
    pub(crate) fn push(&mut self, owner: Owner, attributes: &'a [Attribute]) -> u64 {
        let last = self.shapes[owner as usize].last;
        let shape =
            if self.has_shape(owner, last, attributes) { Some(last) } else { self.shape(owner, attributes) };
        let Some(shape) = shape else { return self.push_whole(owner, attributes) };
        let shapes = &mut self.shapes[owner as usize];
        shapes.last = shape;
        let columns = shapes.shapes.get(shape as usize).map(Vec::as_slice).unwrap_or_default();
        for (column, attribute) in columns.iter().zip(attributes) {
            if let Some(column) = self.columns.get_mut(*column as usize) {
                column.push(&attribute.value);
            }
        }
        u64::from(shape)
    }

    fn has_shape(&self, owner: Owner, shape: u32, attributes: &[Attribute]) -> bool {
        let Some(columns) = self.shapes[owner as usize].shapes.get(shape as usize) else { return false };
        let is_place = |column: &u32, attribute: &Attribute| {
            self.columns.get(*column as usize).is_some_and(|column| {
                *column.key == *attribute.key && column.kind == Type::of(&attribute.value)
            })
        };
        columns.len() == attributes.len() && columns.iter().zip(attributes).all(|(c, a)| is_place(c, a))
    }

    /// The shape of a list, a new one if it must be; `None` when it would take too many columns.
    fn shape(&mut self, owner: Owner, attributes: &'a [Attribute]) -> Option<u32> {
        let mut hasher = self.hash.build_hasher();
        for attribute in attributes {
            attribute.key.hash(&mut hasher);
            Type::of(&attribute.value).hash(&mut hasher);
        }
        let hash = hasher.finish();
        let known = self.shapes[owner as usize].by_hash.get(&hash).map(Vec::as_slice).unwrap_or_default();
        if let Some(shape) = known.iter().find(|shape| self.has_shape(owner, **shape, attributes)) {
            return Some(*shape);
        }
        if self.columns.len() + attributes.len() > COLUMNS
            || self.shapes[owner as usize].shapes.len() >= COLUMNS
        {
            return None;
        }
        let mut seen: HashMap<(&str, Type), u32> = HashMap::with_capacity(attributes.len());
        let mut columns = Vec::with_capacity(attributes.len());
        for attribute in attributes {
            let kind = Type::of(&attribute.value);
            let times = seen.entry((&*attribute.key, kind)).or_default();
            columns.push(self.column(owner, &attribute.key, kind, *times));
            *times += 1;
        }
        Some(self.shapes[owner as usize].add(hash, columns))
    }

    fn column(&mut self, owner: Owner, key: &'a str, kind: Type, times: u32) -> u32 {
        *self.places.entry((owner, key, kind, times)).or_insert_with(|| {
            let (numbers, strings) = (Vec::new(), StringsBuilder::default());
            self.columns.push(ColumnBuilder { owner, key, kind, numbers, strings });
            u32::try_from(self.columns.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn push_whole(&mut self, owner: Owner, attributes: &[Attribute]) -> u64 {
        let column = self.column(owner, "", Type::Whole, 0);
        // No list hashes to this on purpose; if one does, it is compared and told apart by its type.
        let hash = u64::MAX;
        let shapes = &mut self.shapes[owner as usize];
        let known = shapes.by_hash.get(&hash).into_iter().flatten();
        let known =
            known.copied().find(|shape| shapes.shapes.get(*shape as usize).is_some_and(|s| *s == [column]));
        let shape = known.unwrap_or_else(|| shapes.add(hash, vec![column]));
        let mut bytes = Vec::new();
        value::put_attributes(&mut bytes, attributes);
        if let Some(column) = self.columns.get_mut(column as usize) {
            column.strings.push(Cow::Owned(bytes));
        }
        u64::from(shape)
    }

    /// Adds the columns and their directory to the block, and what may be searched for to the hashes.
    pub(crate) fn finish(self, parts: &mut PartsBuilder, hashes: &mut HashSet<u64>) -> io::Result<()> {
        let mut directory = Vec::new();
        put_varint(&mut directory, self.columns.len() as u64);
        for (place, column) in self.columns.iter().enumerate() {
            directory.push(column.owner as u8);
            directory.push(column.kind as u8);
            put_bytes(&mut directory, column.key.as_bytes());
            let mut raw = Vec::new();
            column.finish(&mut raw);
            parts.add(id::ATTRIBUTES + u32::try_from(place).unwrap_or(u32::MAX), raw)?;
            column.hashes(hashes);
        }
        for shapes in &self.shapes {
            put_varint(&mut directory, shapes.shapes.len() as u64);
            for shape in &shapes.shapes {
                put_varint(&mut directory, shape.len() as u64);
                for column in shape {
                    put_varint(&mut directory, u64::from(*column));
                }
            }
        }
        parts.add_alone(id::DIRECTORY, &directory)
    }
}

impl ShapesBuilder {
    fn add(&mut self, hash: u64, columns: Vec<u32>) -> u32 {
        let shape = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        self.shapes.push(columns);
        self.by_hash.entry(hash).or_default().push(shape);
        shape
    }
}

impl<'a> ColumnBuilder<'a> {
    fn push(&mut self, value: &'a Value) {
        match value {
            Value::Text(text) => self.strings.push(Cow::Borrowed(text.as_bytes())),
            Value::Bytes(bytes) => self.strings.push(Cow::Borrowed(bytes)),
            Value::Array(_) | Value::Map(_) => {
                let mut bytes = Vec::new();
                value::put(&mut bytes, value);
                self.strings.push(Cow::Owned(bytes));
            }
            number => self.numbers.push(value::to_number(number)),
        }
    }

    fn finish(&self, out: &mut Vec<u8>) {
        match self.kind {
            Type::Double => numbers::put(out, &self.numbers, Hint::Random),
            kind if kind.is_number() => numbers::put(out, &self.numbers, Hint::Values),
            _ => self.strings.finish(out),
        }
    }

    /// What its values are found by: the key, and the key with the text of the value.
    fn hashes(&self, hashes: &mut HashSet<u64>) {
        let key = bloom::of_key(self.key);
        let add = |hashes: &mut HashSet<u64>, key, value: &Value| {
            hashes.insert(bloom::of_attribute(key, value.display().as_bytes()));
        };
        if self.kind != Type::Whole {
            hashes.insert(key);
        }
        match self.kind {
            Type::Text => hashes.extend(self.strings.entries().map(|entry| bloom::of_attribute(key, entry))),
            Type::Whole => {
                for entry in self.strings.entries() {
                    let mut reader = Reader::new(bytes::Bytes::copy_from_slice(entry));
                    hash_attributes(&value::get_attributes(&mut reader).unwrap_or_default(), hashes);
                }
            }
            Type::Bytes | Type::Nested => {
                for entry in self.strings.entries() {
                    let value = value::from_bytes(self.kind, bytes::Bytes::copy_from_slice(entry));
                    add(hashes, key, &value.unwrap_or_default());
                }
            }
            kind => {
                let different: HashSet<u64> = self.numbers.iter().copied().collect();
                for number in different {
                    add(hashes, key, &value::from_number(kind, number));
                }
            }
        }
    }
}

/// What a list of attributes is found by.
pub(crate) fn hash_attributes(attributes: &[Attribute], hashes: &mut HashSet<u64>) {
    for attribute in attributes {
        let key = bloom::of_key(&attribute.key);
        hashes.insert(key);
        hashes.insert(bloom::of_attribute(key, attribute.value.display().as_bytes()));
    }
}

/// The columns and shapes of a block.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) columns: Vec<Column>,
    shapes: [Vec<Vec<u32>>; 3],
}

/// A column of attribute values.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) owner: Owner,
    pub(crate) kind: Type,
    pub(crate) key: Text,
}

impl Directory {
    pub(crate) fn read(raw: bytes::Bytes) -> Result<Directory, Damaged> {
        let mut reader = Reader::new(raw);
        let count = reader.length()?;
        let mut columns = Vec::with_capacity(count);
        for _ in 0..count {
            let owner =
                OWNERS.get(usize::from(reader.byte()?)).copied().ok_or(Damaged("an owner is not known"))?;
            columns.push(Column { owner, kind: Type::from_number(reader.byte()?)?, key: reader.text()? });
        }
        let mut shapes = [Vec::new(), Vec::new(), Vec::new()];
        for shapes in &mut shapes {
            let count = reader.length()?;
            for _ in 0..count {
                let length = reader.length()?;
                let shape: Result<Vec<u32>, Damaged> = (0..length)
                    .map(|_| u32::try_from(reader.varint()?).map_err(|_| Damaged("a column is not there")))
                    .collect();
                let shape = shape?;
                if shape.iter().any(|column| *column as usize >= columns.len()) {
                    return Err(Damaged("a column is not there"));
                }
                shapes.push(shape);
            }
        }
        Ok(Directory { columns, shapes })
    }

    /// The columns of a shape.
    pub(crate) fn shape(&self, owner: Owner, shape: u64) -> &[u32] {
        let place = usize::try_from(shape).unwrap_or(usize::MAX);
        self.shapes[owner as usize].get(place).map(Vec::as_slice).unwrap_or_default()
    }

    /// The columns of each shape of an owner's lists, in the order of the list.
    pub(crate) fn shapes_of(&self, owner: Owner) -> &[Vec<u32>] {
        &self.shapes[owner as usize]
    }

    /// For each shape whether it has this column.
    pub(crate) fn shapes_with(&self, column: u32) -> Vec<bool> {
        let owner = self.columns.get(column as usize).map_or(0, |column| column.owner as usize);
        self.shapes[owner].iter().map(|shape| shape.contains(&column)).collect()
    }

    /// What it takes in memory.
    pub(crate) fn size(&self) -> usize {
        let shapes = self.shapes.iter().flatten().map(|shape| 24 + shape.len() * 4).sum::<usize>();
        shapes + self.columns.iter().map(|column| 48 + column.key.len()).sum::<usize>()
    }
}
