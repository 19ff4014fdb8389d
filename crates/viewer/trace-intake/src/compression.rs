//! Decompression with a bound: a small body that would become a large one is given up when it has become too large.

use crate::{Refused, account::Reservation};
use bytes::Bytes;
use std::io::Read;

/// The largest window of a zstd frame that is decoded, as a power of two: 8 MiB, which RFC 8878 (3.1.1.1.2) asks of every
/// decoder. A larger one would take its memory before a byte comes out.
const WINDOW: u32 = 23;
const FIRST: usize = 16 << 10;

/// How a body was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    /// By its name in `content-encoding` or `grpc-encoding`.
    pub(crate) fn from_name(name: &str) -> Option<Encoding> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Encoding::Identity),
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "deflate" => Some(Encoding::Deflate),
            "zstd" => Some(Encoding::Zstd),
            _ => None,
        }
    }
}

/// The body as it was before it was compressed, at most `limit` bytes. Everything that it takes is added to the
/// reservation before it is taken.
pub(crate) fn decompress(
    encoding: Encoding,
    body: Bytes,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, Refused> {
    let compressed = &body[..];
    match encoding {
        Encoding::Identity if compressed.len() > limit => Err(Refused::TooLarge { limit }),
        Encoding::Identity => Ok(body),
        Encoding::Gzip => read(flate2::bufread::MultiGzDecoder::new(compressed), limit, reservation),
        Encoding::Deflate => read(flate2::bufread::ZlibDecoder::new(compressed), limit, reservation),
        Encoding::Zstd => {
            let malformed = |error: std::io::Error| Refused::Malformed(format!("zstd: {error}"));
            let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(malformed)?;
            decoder.window_log_max(WINDOW).map_err(malformed)?;
            read(decoder, limit, reservation)
        }
    }
}

fn read(mut decoder: impl Read, limit: usize, reservation: &mut Reservation) -> Result<Bytes, Refused> {
    // One byte more than the limit has room, so that a body of just the limit is told from a larger one.
    let max = limit.saturating_add(1);
    let mut plain: Vec<u8> = Vec::new();
    let mut filled = 0;
    loop {
        if filled > limit {
            return Err(Refused::TooLarge { limit });
        }
        if filled == plain.len() {
            let larger = (2 * plain.len()).max(FIRST).min(max);
            if !reservation.grow(larger - plain.len()) {
                return Err(Refused::Overloaded);
            }
            plain.reserve_exact(larger - plain.len());
            plain.resize(larger, 0);
        }
        match decoder.read(&mut plain[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Refused::Malformed(format!("it cannot be decompressed: {error}"))),
        }
    }
    plain.truncate(filled);
    Ok(Bytes::from(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;
    use std::io::Write as _;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zlib(plain: &[u8]) -> Bytes {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zstd(plain: &[u8]) -> Bytes {
        zstd::encode_all(plain, 3).unwrap().into()
    }

    fn within(encoding: Encoding, body: Bytes, limit: usize) -> Result<Bytes, Refused> {
        decompress(encoding, body, limit, &mut Account::new(usize::MAX).part())
    }

    #[test]
    fn every_encoding_gives_back_what_went_in_up_to_the_limit_and_not_a_byte_more() {
        let plain: Vec<u8> = (0..100_000_u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
        let encoded = [
            (Encoding::Identity, Bytes::from(plain.clone())),
            (Encoding::Gzip, gzip(&plain)),
            (Encoding::Deflate, zlib(&plain)),
            (Encoding::Zstd, zstd(&plain)),
        ];
        for (encoding, body) in encoded {
            assert_eq!(within(encoding, body.clone(), plain.len()).unwrap(), plain, "{encoding:?}");
            let refused = within(encoding, body.clone(), plain.len() - 1);
            assert!(matches!(refused, Err(Refused::TooLarge { .. })), "{encoding:?}: {refused:?}");
            if encoding != Encoding::Identity {
                let cut = body.slice(..body.len() - 5);
                let refused = within(encoding, cut, plain.len());
                assert!(matches!(refused, Err(Refused::Malformed(_))), "{encoding:?}: {refused:?}");
                let refused = within(encoding, Bytes::from_static(b"not compressed"), plain.len());
                assert!(matches!(refused, Err(Refused::Malformed(_))), "{encoding:?}: {refused:?}");
            }
        }
    }

    #[test]
    fn members_that_follow_each_other_are_one_body() {
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(within(Encoding::Gzip, two.into(), 100).unwrap(), "one two");
        let two = [zstd(b"one "), zstd(b"two")].concat();
        assert_eq!(within(Encoding::Zstd, two.into(), 100).unwrap(), "one two");
    }

    #[test]
    fn memory_is_asked_for_before_it_is_taken() {
        let account = Account::new(100_000);
        let mut reservation = account.part();
        let refused = decompress(Encoding::Gzip, gzip(&vec![0; 10_000_000]), usize::MAX, &mut reservation);
        assert!(matches!(refused, Err(Refused::Overloaded)), "{refused:?}");
        assert!(reservation.bytes() <= 100_000);
    }

    #[test]
    fn a_window_larger_than_every_decoder_must_have_is_refused() {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&[7; 1000]).unwrap();
        let refused = within(Encoding::Zstd, encoder.finish().unwrap().into(), 1 << 20);
        assert!(matches!(refused, Err(Refused::Malformed(_))), "{refused:?}");
    }
}
