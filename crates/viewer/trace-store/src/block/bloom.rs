//! Bloom filters of lines of 64 bytes: a question touches one line, so one miss of the processor's cache, or
//! one page of a file.

use bytes::Bytes;
use waypost_trace_model::TraceId;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// Bytes of a line.
pub(crate) const LINE: usize = 64;

/// Bits of a key within its line.
const BITS: usize = 6;

/// A set of hashes that may claim to hold one that it does not, and never the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bloom {
    lines: Bytes,
}

impl Bloom {
    /// Holds these hashes, with so many bits for each.
    pub(crate) fn new(hashes: &[u64], bits_per_key: usize) -> Bloom {
        let count = (hashes.len() * bits_per_key).div_ceil(LINE * 8).max(1);
        let mut lines = vec![0_u8; count * LINE];
        for hash in hashes {
            let start = line_of(*hash, count) * LINE;
            for bit in bits_of(*hash) {
                if let Some(byte) = lines.get_mut(start + bit / 8) {
                    *byte |= 1 << (bit % 8);
                }
            }
        }
        Bloom { lines: lines.into() }
    }

    /// From the bytes of [`Bloom::as_bytes`].
    pub(crate) fn from_bytes(lines: Bytes) -> Option<Bloom> {
        (!lines.is_empty() && lines.len().is_multiple_of(LINE)).then_some(Bloom { lines })
    }

    pub(crate) fn as_bytes(&self) -> &Bytes {
        &self.lines
    }

    /// False: it is not there for sure.
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        let start = line_of(hash, self.lines.len() / LINE) * LINE;
        self.lines.get(start..start + LINE).is_some_and(|line| line_may_hold(line, hash))
    }
}

/// In which of so many lines a hash is.
pub(crate) fn line_of(hash: u64, lines: usize) -> usize {
    let product = u128::from(hash) * lines as u128;
    usize::try_from(product >> 64).unwrap_or(0)
}

/// The same question to a line alone.
pub(crate) fn line_may_hold(line: &[u8], hash: u64) -> bool {
    bits_of(hash).all(|bit| line.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0))
}

/// The upper bits of a hash choose the line, so the bits within it come from a product that mixes them anew.
fn bits_of(hash: u64) -> impl Iterator<Item = usize> {
    let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (0..BITS).map(move |place| usize::try_from((mixed >> (place * 9)) & 511).unwrap_or(0))
}

pub(crate) fn of_trace(trace: TraceId) -> u64 {
    xxh3_64(trace.as_bytes())
}

/// Of a service, of an operation, and of both together; an absent one is marked, so that they do not mix.
pub(crate) fn of_names(service: Option<&str>, operation: Option<&str>) -> u64 {
    let mut hasher = Xxh3Default::new();
    for name in [service, operation] {
        hasher.update(&[u8::from(name.is_some())]);
        hasher.update(name.unwrap_or_default().as_bytes());
        hasher.update(&[0xff]);
    }
    hasher.digest()
}

/// Of an attribute's key.
pub(crate) fn of_key(key: &str) -> u64 {
    xxh3_64(key.as_bytes())
}

/// Of an attribute's key and the text of its value.
pub(crate) fn of_attribute(key_hash: u64, value: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(value, key_hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_little_else() {
        let hashes: Vec<u64> = (0..10_000_u64).map(|number| xxh3_64(&number.to_le_bytes())).collect();
        let (there, absent) = hashes.split_at(1000);
        let bloom = Bloom::new(there, 16);
        assert!(there.iter().all(|hash| bloom.may_hold(*hash)));
        let wrong = absent.iter().filter(|hash| bloom.may_hold(**hash)).count();
        assert!(wrong < 45, "{wrong} of 9000: more than 0.5 %");
        assert!(!Bloom::new(&[], 16).may_hold(1));
        assert_eq!(Bloom::from_bytes(bloom.as_bytes().clone()), Some(bloom));
    }

    #[test]
    fn names_do_not_mix() {
        let all = [
            of_names(Some("a"), None),
            of_names(None, Some("a")),
            of_names(Some("a"), Some("")),
            of_names(None, None),
        ];
        for (place, hash) in all.iter().enumerate() {
            assert!(!all[place + 1..].contains(hash));
        }
    }
}
