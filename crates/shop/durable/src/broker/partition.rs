//! Which partition a key belongs to.

/// The partition of a key: that of Kafka's own clients, murmur2 of the key's bytes without the sign, modulo the number
/// of partitions (`BuiltInPartitioner.partitionForKey`).
///
/// Every broker uses this function and leaves the choice to no library, so that whoever else publishes to a topic the
/// way Kafka's clients do keeps the order of its keys, and a topic keeps it when it moves from one broker to another.
/// (librdkafka's default is CRC-32.) 0 partitions count as one.
///
/// ```
/// use waypost_durable::broker::partition_of;
///
/// assert_eq!(partition_of("order-1", 4), partition_of("order-1", 4));
/// ```
pub fn partition_of(key: &str, partitions: u32) -> u32 {
    (murmur2(key.as_bytes()) & 0x7fff_ffff) % partitions.max(1)
}

/// MurmurHash2 with Kafka's seed, as `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MIX: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;

    // Kafka's lengths are signed and of 32 bits as well.
    let mut hash = SEED ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(MIX);
        word ^= word >> SHIFT;
        hash = hash.wrapping_mul(MIX) ^ word.wrapping_mul(MIX);
    }
    if !rest.is_empty() {
        for (place, &byte) in (0_u32..).zip(rest) {
            hash ^= u32::from(byte) << (8 * place);
        }
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results that Kafka's own `UtilsTest.testMurmur2` expects.
    #[test]
    fn the_hash_is_kafkas() {
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }

    #[test]
    fn the_sign_is_cut_off_and_not_turned() {
        assert_eq!(partition_of("foobar", 16), (-790_332_482_i32).cast_unsigned() % 16);
        assert_eq!(partition_of("21", 1000), (2_147_483_648 - 973_932_308) % 1000);
        assert_eq!(partition_of("21", 0), 0);
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut counts = [0_u32; 4];
        for number in 0..4_000 {
            counts[partition_of(&format!("order-{number}"), 4) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
