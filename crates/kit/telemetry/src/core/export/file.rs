//! OTLP as lines of JSON in a file: for the file receiver of the Collector, and for whoever reads lines.
//! <https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>
//!
//! Each request is one line, written at once, so that a reader sees whole lines or the beginning of one. A file never grows
//! beyond its bound but by one line that is larger itself. Written on the export thread; what cannot be written is a failure like
//! any other.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::complaint;
use super::frame::Frame;
use super::otlp::Signal;
use super::otlp::json::{self, Message};
use super::outlet::Sent;
use crate::base::config::OtlpFileSettings;

#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    max_bytes: u64,
    message: &'static Message,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    file: std::fs::File,
    bytes: u64,
}

impl File {
    /// Is opened at the first line.
    pub(super) fn new(settings: &OtlpFileSettings, signal: Signal, service_name: &str) -> Self {
        let path = match signal.path {
            "/v1/metrics" => &settings.metrics,
            "/v1/logs" => &settings.logs,
            _ => &settings.traces,
        };
        Self {
            path: of_service(path, service_name),
            max_bytes: settings.max_bytes,
            message: signal.json,
            open: Mutex::default(),
        }
    }

    /// Writes one line.
    pub(super) fn send(&self, frames: &[Frame]) -> Sent {
        let pieces = frames.iter().flat_map(|frame| &frame.pieces);
        let request: Vec<u8> = pieces.flat_map(|piece| piece.iter().copied()).collect();
        let line = json::write(self.message, &request) + "\n";
        match self.write(line.as_bytes()) {
            Ok(()) => Sent::Accepted { rejected: 0 },
            Err(error) => {
                complaint::raise(&self.path.display().to_string(), &error);
                Sent::Failed
            }
        }
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = match open.take() {
            Some(current) => current,
            None => Open::at(&self.path)?,
        };
        let after = current.bytes + line.len() as u64;
        if current.bytes > 0 && after > self.max_bytes {
            drop(current);
            std::fs::rename(&self.path, self.renamed())?;
            current = Open::at(&self.path)?;
        }
        // One that failed is opened anew for the next line.
        current.file.write_all(line)?;
        current.bytes += line.len() as u64;
        *open = Some(current);
        Ok(())
    }

    fn renamed(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".1");
        name.into()
    }
}

/// The path with the service's name in it, which must not lead elsewhere.
fn of_service(path: &Path, service_name: &str) -> PathBuf {
    let is_plain = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    let name: String =
        service_name.chars().map(|character| if is_plain(character) { character } else { '_' }).collect();
    path.to_string_lossy().replace("{service}", &name).into()
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }
}
