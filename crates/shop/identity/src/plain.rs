//! What a client hears that speaks without TLS to a listener that takes nothing else.

/// The first byte of a TLS connection: a handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// What is said, in whichever protocol.
const TEXT: &str = "this listener takes TLS with a certificate of a role, and nothing else";

/// Bytes of a connection's beginning that [`answer`] wants to see, at most.
pub(crate) const SEEN: usize = 3;

/// The answer to a connection that begins with these bytes; `None` when it may be TLS.
pub(crate) fn answer(first: &[u8]) -> Option<Vec<u8>> {
    match first {
        [] | [HANDSHAKE, ..] => None,
        // The preface of HTTP/2 (RFC 9113, section 3.4).
        [b'P', b'R', b'I', ..] => Some(goaway()),
        _ => Some(bad_request()),
    }
}

/// Empty SETTINGS, as every server begins, and GOAWAY with INADEQUATE_SECURITY, which has room for a text (RFC 9113,
/// sections 3.4, 6.8 and 7).
fn goaway() -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const INADEQUATE_SECURITY: u32 = 0xc;
    let length = u32::try_from(8 + TEXT.len()).unwrap_or_default().to_be_bytes();
    let mut bytes = SETTINGS.to_vec();
    // Length in three bytes, type 7, no flags, the connection's own stream; then the last stream that was looked at: none.
    bytes.extend([length[1], length[2], length[3], 7, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
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
        let http2 = answer(b"PRI").unwrap();
        assert_eq!(http2[..9], [0, 0, 0, 4, 0, 0, 0, 0, 0]);
        assert_eq!(usize::from(http2[11]), http2.len() - 18, "the length of GOAWAY");
        assert!(String::from_utf8_lossy(&http2).ends_with(TEXT));
        let http1 = String::from_utf8(answer(b"GET").unwrap()).unwrap();
        assert!(http1.starts_with("HTTP/1.1 400 ") && http1.contains(TEXT), "{http1}");
    }
}
