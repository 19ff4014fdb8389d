//! Rows as lines of a file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::tables::{Column, Content, Kind, Table, bytes_of, hexadecimal};
use super::{Sum, TransferError};

/// What a column of a row holds. A time is milliseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Number(i64),
    Flag(bool),
    Bytes(Vec<u8>),
}

/// Writes rows.
pub(super) struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    rows: u64,
}

impl Writer {
    pub(super) fn create(path: &Path) -> Result<Writer, TransferError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // Hashes of passwords and keys are in it.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|source| failed(path, source))?;
        Ok(Writer { path: path.to_path_buf(), file: BufWriter::new(file), hash: Sha256::new(), rows: 0 })
    }

    pub(super) fn row(&mut self, table: &Table, cells: Vec<Cell>) -> Result<(), TransferError> {
        let columns = table.columns.iter().zip(cells);
        let row: Map<String, Value> =
            columns.map(|(Column(name, _), cell)| ((*name).to_owned(), cell.into())).collect();
        let line = format!("{}\n", sorted(json!({ "table": table.name, "row": row })));
        self.hash.update(&line);
        self.rows += 1;
        self.file.write_all(line.as_bytes()).map_err(|source| failed(&self.path, source))
    }

    /// Everything is on the disk when this returns.
    pub(super) fn finish(self) -> Result<Sum, TransferError> {
        let Writer { path, file, hash, rows } = self;
        let synced =
            file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        synced.map_err(|source| failed(&path, source))?;
        Ok(Sum { rows, sha256: hexadecimal(&hash.finalize()) })
    }
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Value {
        match cell {
            Cell::Null => Value::Null,
            Cell::Text(text) => Value::String(text),
            Cell::Number(number) => Value::from(number),
            Cell::Flag(flag) => Value::Bool(flag),
            Cell::Bytes(bytes) => Value::String(hexadecimal(&bytes)),
        }
    }
}

impl Cell {
    fn read(value: Value, kind: Kind) -> Option<Cell> {
        Some(match (value, kind) {
            (Value::Null, _) => Cell::Null,
            (Value::String(text), Kind::Text | Kind::Json) => Cell::Text(text),
            (Value::String(digits), Kind::Bytes) => Cell::Bytes(bytes_of(&digits)?),
            (Value::Bool(flag), Kind::Flag) => Cell::Flag(flag),
            (Value::Number(number), Kind::Number | Kind::Position | Kind::Time) => {
                Cell::Number(number.as_i64()?)
            }
            _ => return None,
        })
    }
}

/// JSON in the one form that it has in a file, whichever database keeps it: no spaces, names in their order. `None`: it is none.
pub(super) fn canonical(json: &str) -> Option<String> {
    Some(sorted(serde_json::from_str(json).ok()?).to_string())
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Rows of a table, which is told by its number in the list.
pub(super) type Rows = (usize, Vec<Vec<Cell>>);

/// Reads the rows of a store, table by table.
pub(super) struct Reader {
    path: PathBuf,
    lines: io::Lines<BufReader<File>>,
    content: &'static Content,
    line: u64,
    /// A row that was read and not given out yet.
    ahead: Option<(usize, Vec<Cell>)>,
}

impl Reader {
    pub(super) fn open(path: &Path, content: &'static Content) -> Result<Reader, TransferError> {
        let file = File::open(path).map_err(|source| failed(path, source))?;
        let lines = BufReader::new(file).lines();
        Ok(Reader { path: path.to_path_buf(), lines, content, line: 0, ahead: None })
    }

    /// The next rows of one table, up to so many, with the table's number. `None` at the end.
    pub(super) fn rows(&mut self, max: usize) -> Result<Option<Rows>, TransferError> {
        let Some((table, first)) = self.next()? else { return Ok(None) };
        let mut rows = vec![first];
        while rows.len() < max {
            match self.next()? {
                Some((of, row)) if of == table => rows.push(row),
                other => {
                    self.ahead = other;
                    break;
                }
            }
        }
        Ok(Some((table, rows)))
    }

    fn next(&mut self) -> Result<Option<(usize, Vec<Cell>)>, TransferError> {
        if self.ahead.is_some() {
            return Ok(self.ahead.take());
        }
        let Some(line) = self.lines.next() else { return Ok(None) };
        self.line += 1;
        let line = line.map_err(|source| failed(&self.path, source))?;
        let row = self.read(&line);
        row.map(Some).map_err(|reason| TransferError::Line {
            path: self.path.clone(),
            line: self.line,
            reason,
        })
    }

    fn read(&self, line: &str) -> Result<(usize, Vec<Cell>), String> {
        let mut value: Value =
            serde_json::from_str(line).map_err(|error| format!("it is no JSON: {error}"))?;
        let name = value.get("table").and_then(Value::as_str).ok_or("it names no table")?.to_owned();
        let tables = self.content.tables;
        let number = tables.iter().position(|table| table.name == name);
        let number = number.ok_or_else(|| format!("there is no table {name} in {}", self.content.name))?;
        let table = tables.get(number).ok_or("it names no table")?;
        let row = value.get_mut("row").and_then(Value::as_object_mut).ok_or("it has no row")?;
        let cells = table.columns.iter().map(|Column(column, kind)| {
            let value = row.remove(*column).ok_or_else(|| format!("column {column} of {name} is missing"))?;
            Cell::read(value, *kind).ok_or_else(|| format!("column {column} of {name} holds no {kind:?}"))
        });
        let cells = cells.collect::<Result<Vec<Cell>, String>>()?;
        match row.keys().next() {
            None => Ok((number, cells)),
            Some(unknown) => Err(format!("there is no column {unknown} in {name}")),
        }
    }
}

/// Whether a file is what its sum says.
pub(super) fn verify(path: &Path, sum: &Sum) -> Result<(), TransferError> {
    let mut file = File::open(path).map_err(|source| failed(path, source))?;
    let (mut hash, mut rows, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let length = file.read(&mut buffer).map_err(|source| failed(path, source))?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        hash.update(bytes);
        rows += bytes.split(|byte| *byte == b'\n').skip(1).count() as u64;
    }
    let changed = |what: String| TransferError::Changed { path: path.to_path_buf(), what };
    if rows != sum.rows {
        return Err(changed(format!("it has {rows} rows, not {}", sum.rows)));
    }
    if hexadecimal(&hash.finalize()) != sum.sha256 {
        return Err(changed("its SHA-256 is another one".to_owned()));
    }
    Ok(())
}

fn failed(path: &Path, source: io::Error) -> TransferError {
    TransferError::File { path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_one_form() {
        let expected = Some(r#"[{"a":1.5,"b":[{"c":null,"d":"x y"}]}]"#.to_owned());
        assert_eq!(canonical(r#"[{"b": [{"d": "x y", "c": null}], "a": 1.5}]"#), expected);
        assert_eq!(canonical("{"), None);
    }
}
