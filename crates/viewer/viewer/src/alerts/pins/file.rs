//! A pinned trace as a file: a line that says what it is, then its spans and its log records as OTLP protobuf.

use super::{
    super::journal::{aside, digest, write_whole},
    Pin,
};
use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};
use waypost_trace_model::{Limits, Trace, TraceId, TraceLosses, otlp};

/// The longest first line that is read.
const MAX_HEAD: u64 = 64 * 1024;

/// A trace as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    spans: Bytes,
    logs: Bytes,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    form: u32,
    pin: Pin,
    spans_bytes: usize,
    digest: String,
}

impl Stored {
    pub(super) fn of(trace: &Trace) -> Stored {
        Stored { spans: otlp::traces_to_protobuf(&trace.spans), logs: otlp::logs_to_protobuf(&trace.logs) }
    }

    pub(super) fn len(&self) -> u64 {
        (self.spans.len() + self.logs.len()) as u64
    }

    pub(super) fn trace(&self, id: TraceId) -> Option<Trace> {
        let spans = otlp::traces_from_protobuf(&self.spans, &Limits::none()).ok()?.spans;
        let logs = otlp::logs_from_protobuf(&self.logs, &Limits::none()).ok()?.logs;
        Some(Trace { id, spans, logs, losses: TraceLosses::default() })
    }
}

pub(super) fn path(folder: &Path, trace: TraceId) -> PathBuf {
    folder.join(format!("{trace}.pin"))
}

pub(super) fn write(folder: &Path, pin: &Pin, stored: &Stored) -> io::Result<()> {
    let body = [stored.spans.as_ref(), stored.logs.as_ref()].concat();
    let head = Head { form: 1, pin: pin.clone(), spans_bytes: stored.spans.len(), digest: digest(&body) };
    let mut head = serde_json::to_vec(&head).map_err(io::Error::other)?;
    head.push(b'\n');
    write_whole(&path(folder, pin.trace), &[&head, &body])
}

/// The pins of a folder. Files that say something else are set aside, with a line in the log.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Pin>> {
    let mut pins = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("pin") => {}
            // What was being written when the process ended.
            Some("new") => {
                fs::remove_file(&path)?;
                continue;
            }
            _ => continue,
        }
        let head = File::open(&path).and_then(|file| read_head(&mut BufReader::new(file)));
        match head {
            Ok(head) if super::file::path(folder, head.pin.trace) == path => pins.push(head.pin),
            Ok(_) => set_aside(&path, "it is not named after its trace"),
            Err(error) => set_aside(&path, &error.to_string()),
        }
    }
    Ok(pins)
}

/// The copy of a trace; `None` when it is damaged, and then it is set aside.
pub(super) fn load(folder: &Path, trace: TraceId) -> Option<Stored> {
    let path = path(folder, trace);
    match read(&path) {
        Ok(stored) => Some(stored),
        Err(error) => {
            set_aside(&path, &error.to_string());
            None
        }
    }
}

fn read(path: &Path) -> io::Result<Stored> {
    let mut file = BufReader::new(File::open(path)?);
    let head = read_head(&mut file)?;
    let mut body = Vec::new();
    file.read_to_end(&mut body)?;
    if digest(&body) != head.digest {
        return Err(io::Error::other("its digest is another one"));
    }
    let mut body = Bytes::from(body);
    if head.spans_bytes > body.len() {
        return Err(io::Error::other("it ends too early"));
    }
    let spans = body.split_to(head.spans_bytes);
    Ok(Stored { spans, logs: body })
}

fn read_head(file: &mut impl io::BufRead) -> io::Result<Head> {
    let mut line = Vec::new();
    file.take(MAX_HEAD).read_until(b'\n', &mut line)?;
    serde_json::from_slice(&line).map_err(io::Error::other)
}

fn set_aside(path: &Path, reason: &str) {
    let aside = aside(path);
    let outcome = fs::rename(path, &aside);
    let (path, aside) = (path.display().to_string(), aside.display().to_string());
    match outcome {
        Ok(()) => {
            tracing::error!(path, reason, aside, "the copy of a pinned trace is damaged and was set aside");
        }
        Err(error) => tracing::error!(path, reason, %error, "the copy of a pinned trace cannot be read"),
    }
}
