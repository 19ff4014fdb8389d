//! The status of a gRPC-Web call, whose trailers are the last frame of the body.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>. Both forms are read: binary, and the text form, which
//! is base64 in pieces that are padded each. A status that stands in the headers counts as well, as everywhere.

use http::{HeaderMap, header};
use tonic::Code;

use super::frames::{Frames, Piece};
use crate::core::exchange::headers;

/// What its content types begin with.
const GRPC_WEB: &str = "application/grpc-web";
/// The bit of a frame's flag that makes it trailers.
const TRAILERS: u8 = 0x80;
/// Bytes of trailers that are looked at; the status is among the first.
const MAX_TRAILERS: usize = 8 * 1024;

/// Reads the body of one response as it passes.
#[derive(Debug, Default)]
pub(super) struct WebTrailers {
    base64: Option<Base64>,
    frames: Frames,
    is_in_trailers: bool,
    text: Vec<u8>,
}

impl WebTrailers {
    /// For a response with these headers, if it is one of gRPC-Web.
    pub(super) fn of_response(headers: &HeaderMap) -> Option<Self> {
        let kind = headers::first(headers, &header::CONTENT_TYPE)?;
        if !kind.as_bytes().starts_with(GRPC_WEB.as_bytes()) {
            return None;
        }
        let kind = kind.to_str().ok()?.strip_prefix(GRPC_WEB)?;
        match kind.strip_prefix("-text") {
            Some(rest) if ends_name(rest) => {
                Some(Self { base64: Some(Base64::default()), ..Self::default() })
            }
            _ => ends_name(kind).then(Self::default),
        }
    }

    /// Looks at the next bytes of the body.
    pub(super) fn feed(&mut self, data: &[u8]) {
        match &mut self.base64 {
            None => self.follow(data),
            Some(base64) => {
                let decoded = base64.decode(data);
                self.follow(&decoded);
            }
        }
    }

    fn follow(&mut self, data: &[u8]) {
        let Self { frames, is_in_trailers, text, .. } = self;
        frames.read(data, |piece| match piece {
            Piece::Begins { flag, .. } => *is_in_trailers = flag & TRAILERS != 0,
            Piece::Payload(bytes) if *is_in_trailers => {
                let room = MAX_TRAILERS.saturating_sub(text.len());
                text.extend(bytes.iter().take(room));
            }
            Piece::Payload(_) => {}
        });
    }

    /// The status, once it has passed.
    pub(super) fn code(&self) -> Option<Code> {
        let lines = self.text.split(|byte| *byte == b'\n');
        lines.filter_map(|line| line.split_at_checked(line.iter().position(|byte| *byte == b':')?)).find_map(
            |(name, value)| {
                let is_status = name.trim_ascii().eq_ignore_ascii_case(b"grpc-status");
                is_status.then(|| Code::from_bytes(value.get(1..).unwrap_or_default().trim_ascii()))
            },
        )
    }
}

/// `application/grpc-web` may go on with `+proto` or parameters, not with other letters.
fn ends_name(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['+', ';', ' '])
}

/// Base64 in groups of four, which end pieces where they are padded. Other characters are passed over.
#[derive(Debug, Default)]
struct Base64 {
    group: u32,
    length: u32,
}

impl Base64 {
    fn decode(&mut self, text: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 3);
        for character in text {
            let sextet = match character {
                b'A'..=b'Z' => character - b'A',
                b'a'..=b'z' => character - b'a' + 26,
                b'0'..=b'9' => character - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                b'=' => {
                    self.end_piece(&mut decoded);
                    continue;
                }
                _ => continue,
            };
            self.group = self.group << 6 | u32::from(sextet);
            self.length += 1;
            if self.length == 4 {
                self.end_piece(&mut decoded);
            }
        }
        decoded
    }

    /// Gives the whole bytes of a group and begins the next.
    fn end_piece(&mut self, decoded: &mut Vec<u8>) {
        let [_, bytes @ ..] = (self.group << (24_u32.saturating_sub(self.length * 6))).to_be_bytes();
        let whole = usize::try_from(self.length * 6 / 8).unwrap_or_default();
        decoded.extend(bytes.iter().take(whole));
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_type(content_type: &str) -> Option<WebTrailers> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        WebTrailers::of_response(&headers)
    }

    /// A message and trailers.
    const BODY: &[u8] =
        b"\x00\x00\x00\x00\x02hi\x80\x00\x00\x00\x21grpc-message: no\r\ngrpc-status: 7\r\n\r\n";

    #[test]
    fn the_status_is_read_from_the_last_frame_however_it_is_cut() {
        for cut in [1, 3, 8, 100] {
            let mut trailers = of_type("application/grpc-web+proto").unwrap();
            BODY.chunks(cut).for_each(|part| trailers.feed(part));
            assert_eq!(trailers.code(), Some(Code::PermissionDenied), "cut at {cut}");
        }
    }

    #[test]
    fn the_text_form_is_decoded_piece_by_piece() {
        // The message and the trailers, each encoded and padded by itself.
        let text = b"AAAAAAJoaQ==gAAAAA9ncnBjLXN0YXR1czogMA0K";
        for cut in [1, 3, 8, 100] {
            let mut trailers = of_type("application/grpc-web-text").unwrap();
            text.chunks(cut).for_each(|part| trailers.feed(part));
            assert_eq!(trailers.code(), Some(Code::Ok), "cut at {cut}");
        }
    }

    #[test]
    fn other_responses_are_not_read() {
        for content_type in
            ["application/grpc", "application/grpc+proto", "application/grpc-website", "text/html"]
        {
            assert!(of_type(content_type).is_none(), "{content_type}");
        }
        let mut unfinished = of_type("application/grpc-web").unwrap();
        unfinished.feed(&BODY[..12]);
        assert_eq!(unfinished.code(), None);
    }
}
