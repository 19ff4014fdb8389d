//! The body of one export request: frames as they are, or written as JSON, or compressed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame as BodyFrame, SizeHint};

use super::super::frame::Frame;
use super::super::zipkin;
use super::{Encoding, json};
use crate::base::config::Compression;

/// Cheap to clone, so that each try has its own.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pieces: VecDeque<Bytes>,
    len: usize,
    is_compressed: bool,
}

/// Why there is no body.
#[derive(Debug)]
pub(super) enum NoBody {
    /// So many bytes before compression.
    TooLarge(usize),
    NotCompressed(io::Error),
}

impl Body {
    pub(super) fn new(
        frames: &[Frame],
        encoding: Encoding,
        compression: Compression,
        max_bytes: usize,
    ) -> Result<Self, NoBody> {
        let mut pieces: VecDeque<Bytes> = frames.iter().flat_map(|frame| &frame.pieces).cloned().collect();
        match encoding {
            Encoding::Protobuf => {}
            Encoding::Json(message) => {
                pieces = [Bytes::from(json::write(message, &joined(&pieces)))].into();
            }
            Encoding::Zipkin => pieces = [Bytes::from(zipkin::spans(&joined(&pieces)))].into(),
        }
        let bytes = pieces.iter().map(Bytes::len).sum();
        if bytes > max_bytes {
            return Err(NoBody::TooLarge(bytes));
        }
        let is_compressed = compression == Compression::Gzip;
        if is_compressed {
            pieces = [compressed(&pieces).map_err(NoBody::NotCompressed)?].into();
        }
        Ok(Self { len: pieces.iter().map(Bytes::len).sum(), pieces, is_compressed })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    #[cfg(feature = "otlp-grpc")]
    pub(super) fn into_pieces(self) -> VecDeque<Bytes> {
        self.pieces
    }
}

fn joined(pieces: &VecDeque<Bytes>) -> Vec<u8> {
    let mut all = Vec::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        all.extend_from_slice(piece);
    }
    all
}

/// The fastest level: what it costs is said in the benches.
#[cfg(feature = "gzip")]
fn compressed(pieces: &VecDeque<Bytes>) -> io::Result<Bytes> {
    use std::io::Write as _;

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for piece in pieces {
        encoder.write_all(piece)?;
    }
    encoder.finish().map(Bytes::from)
}

/// Settings that ask for it are refused at the start, so this is never reached.
#[cfg(not(feature = "gzip"))]
fn compressed(_pieces: &VecDeque<Bytes>) -> io::Result<Bytes> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "built without the feature gzip"))
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _task: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        let piece = self.pieces.pop_front();
        self.len -= piece.as_ref().map_or(0, Bytes::len);
        Poll::Ready(piece.map(|piece| Ok(BodyFrame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len as u64)
    }
}
