//! What a client hears that speaks without TLS to a listener that takes nothing else.

/// The first byte of a TLS connection: a handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// What is said, in whichever protocol.
const TEXT: &str = "this listener takes TLS with a certificate of a role, and nothing else";

/// Bytes of a connection's beginning that [`answer`] wants to see, at most.
pub(crate) const SEEN: usize = 3;

/// The preface of HTTP/2 (RFC 9113, section 3.4), and of a frame its head and the kind that begins a request (section 4.1).
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// At once.
    Http1(Vec<u8>),
    /// The first at once; the second when there is a request, which then hears of it: a connection that ends before that is
    /// closed to its callers, and nobody tells them why.
    Http2(Vec<u8>, Vec<u8>),
}

/// The answer to a connection that begins with these bytes; `None` when it may be TLS.
pub(crate) fn answer(first: &[u8]) -> Option<Answer> {
    match first {
        [] | [HANDSHAKE, ..] => None,
        [b'P', b'R', b'I', ..] => Some(Answer::Http2(SETTINGS.to_vec(), goaway())),
        _ => Some(Answer::Http1(bad_request())),
    }
}

/// Whether a request is among the frames of an HTTP/2 client.
pub(crate) fn has_request(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(PREFACE..).unwrap_or_default();
    while let Some(&[a, b, c, kind, ..]) = rest.get(..FRAME_HEAD) {
        if kind == HEADERS {
            return true;
        }
        let length = FRAME_HEAD + usize::from(a) * 65_536 + usize::from(b) * 256 + usize::from(c);
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// Empty, as every server begins (RFC 9113, section 3.4).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// GOAWAY with INADEQUATE_SECURITY, which has room for a text (RFC 9113, sections 6.8 and 7).
fn goaway() -> Vec<u8> {
    const INADEQUATE_SECURITY: u32 = 0xc;
    let length = u32::try_from(8 + TEXT.len()).unwrap_or_default().to_be_bytes();
    // Length in three bytes, type 7, no flags, the connection's own stream; then the last stream that was looked at: none.
    let mut bytes = vec![length[1], length[2], length[3], 7, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(INADEQUATE_SECURITY.to_be_bytes());
    bytes.extend(TEXT.as_bytes());
    bytes
}

fn bad_request() -> Vec<u8> {
    let length = TEXT.len() + 1;
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{TEXT}\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_is_answered_in_its_own_words() {
        assert_eq!(answer(&[0x16, 3, 1]), None);
        assert_eq!(answer(b""), None);
        let Some(Answer::Http2(settings, goaway)) = answer(b"PRI") else { panic!("not HTTP/2") };
        assert_eq!(settings, [0, 0, 0, 4, 0, 0, 0, 0, 0]);
        assert_eq!(usize::from(goaway[2]), goaway.len() - FRAME_HEAD);
        assert!(String::from_utf8_lossy(&goaway).ends_with(TEXT));
        let Some(Answer::Http1(http1)) = answer(b"GET") else { panic!("not HTTP/1") };
        let http1 = String::from_utf8(http1).unwrap();
        assert!(http1.starts_with("HTTP/1.1 400 ") && http1.contains(TEXT), "{http1}");
    }

    #[test]
    fn a_request_is_found_behind_other_frames() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert!(!has_request(&bytes));
        bytes.extend([0, 1, 0, 1, 4, 0, 0, 0]);
        assert!(!has_request(&bytes), "half of a head");
        bytes.push(1);
        assert!(has_request(&bytes));
    }
}
