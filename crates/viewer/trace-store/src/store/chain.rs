//! Who shares files with whom, and whose oldest file goes first: pure rules.
//!
//! A chain is a row of files, oldest first. Services share one, and a noisy service gets one of its own, so
//! that dropping the oldest file of the chain that has the most for its weight takes from the noisy one
//! first. A service counts as noisy for one flush when its part is well above an equal one and above a third:
//! below that it cannot take more than a part of the others' room, and splitting every head seven ways for
//! seven services of an ordinary system would make blocks of a seventh of the size, which pack worse and are
//! more to look through.

use crate::book::NAME_BYTES;
use std::collections::BTreeMap;
use waypost_trace_model::Text;
use xxhash_rust::xxh3::xxh3_64;

/// Which chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Chain {
    Shared,
    /// Of one noisy service.
    Own(Text),
}

impl Chain {
    /// How its files' names begin.
    pub(crate) fn file_name(&self) -> String {
        match self {
            Chain::Shared => "shared".to_owned(),
            // A service may have any name, a file may not.
            Chain::Own(service) => format!("own{:016x}", xxh3_64(service.as_bytes())),
        }
    }

    /// The service that it is of.
    pub(crate) fn service(&self) -> Option<&str> {
        match self {
            Chain::Shared => None,
            Chain::Own(service) => Some(service),
        }
    }
}

/// The services of a head that get a chain of their own. `records` are their records; a head that is not
/// `is_full` was written because of its age, and who is alone in it is not noisy. A service whose name is too long
/// for an account of its own stays with the others.
pub(crate) fn noisy(records: &BTreeMap<Text, usize>, is_full: bool) -> Vec<Text> {
    let all: usize = records.values().sum();
    let is_noisy = |count: usize| match records.len() {
        0 => false,
        1 => is_full,
        // More than 1.5 times an equal part, and more than a third.
        services => 2 * count * services > 3 * all && 3 * count > all,
    };
    let has_short_name = |service: &Text| service.len() <= NAME_BYTES;
    records
        .iter()
        .filter(|(service, count)| has_short_name(service) && is_noisy(**count))
        .map(|(service, _)| service.clone())
        .collect()
}

/// A file, as far as retention is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent<'a> {
    pub(crate) number: u64,
    pub(crate) chain: &'a Chain,
    pub(crate) bytes: u64,
    pub(crate) last_arrival: u64,
    /// Services that it has records of.
    pub(crate) services: Vec<&'a Text>,
}

/// The number of the file to drop so that fewer bytes are kept: the oldest of the chain that has the most for
/// its weight. An own chain weighs 1, the shared one as much as it has services.
pub(crate) fn to_shrink(files: &[Extent<'_>]) -> Option<u64> {
    let mut chains: BTreeMap<&Chain, (u64, Vec<&Text>, u64)> = BTreeMap::new();
    for file in files {
        let (bytes, services, oldest) = chains.entry(file.chain).or_insert((0, Vec::new(), u64::MAX));
        *bytes += file.bytes;
        services.extend(&file.services);
        *oldest = file.number.min(*oldest);
    }
    let load = |(chain, (bytes, mut services, oldest)): (&Chain, (u64, Vec<&Text>, u64))| {
        services.sort_unstable();
        services.dedup();
        let weight = if *chain == Chain::Shared { services.len().max(1) as u64 } else { 1 };
        (bytes / weight, oldest)
    };
    chains
        .into_iter()
        .map(load)
        .max_by_key(|(load, oldest)| (*load, std::cmp::Reverse(*oldest)))
        .map(|(_, oldest)| oldest)
}

/// The number of a file of which everything came before `horizon`.
pub(crate) fn to_expire(files: &[Extent<'_>], horizon: u64) -> Option<u64> {
    files.iter().find(|file| file.last_arrival < horizon).map(|file| file.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(counts: &[(&'static str, usize)]) -> BTreeMap<Text, usize> {
        counts.iter().map(|(service, count)| (Text::from_static(service), *count)).collect()
    }

    #[test]
    fn a_service_with_far_more_than_its_part_is_noisy() {
        assert_eq!(noisy(&records(&[("a", 90), ("b", 10)]), true), ["a"]);
        assert_eq!(noisy(&records(&[("a", 60), ("b", 40)]), true), Vec::<Text>::new());
        assert_eq!(noisy(&records(&[("a", 40), ("b", 20), ("c", 20), ("d", 10), ("e", 10)]), true), ["a"]);
        let seven = [("a", 30), ("b", 20), ("c", 10), ("d", 10), ("e", 10), ("f", 10), ("g", 10)];
        assert_eq!(noisy(&records(&seven), true), Vec::<Text>::new());
        assert_eq!(noisy(&records(&[("a", 9)]), true), ["a"]);
        assert_eq!(noisy(&records(&[("a", 9)]), false), Vec::<Text>::new());
    }

    #[test]
    fn the_chain_with_the_most_for_its_weight_loses_its_oldest_file() {
        let (own, names) = (Chain::Own("n".into()), [Text::from_static("a"), Text::from_static("b")]);
        let file = |number, chain, bytes| Extent {
            number,
            chain,
            bytes,
            last_arrival: number,
            services: names.iter().collect(),
        };
        let files =
            [file(1, &Chain::Shared, 50), file(2, &own, 40), file(3, &own, 5), file(4, &Chain::Shared, 39)];
        assert_eq!(to_shrink(&files), Some(2), "45 is more than 89 for two");
        assert_eq!(to_shrink(&files[2..]), Some(4));
        assert_eq!(to_shrink(&[]), None);
    }

    #[test]
    fn a_file_expires_when_its_newest_record_is_too_old() {
        let file = |number, last_arrival| Extent {
            number,
            chain: &Chain::Shared,
            bytes: 1,
            last_arrival,
            services: Vec::new(),
        };
        assert_eq!(to_expire(&[file(1, 20), file(2, 9)], 10), Some(2));
        assert_eq!(to_expire(&[file(1, 20)], 20), None);
    }
}
