//! Who of a group holds which partitions: the rule, without clock or storage.
//!
//! Every member applies it to itself with what it sees, and all arrive at a fair share. Members take only what is free
//! and give away only their own, so no two hold one partition at the same time.

/// A partition that a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) partition: u32,
    /// It handed out records of it that are not committed yet.
    pub(super) is_busy: bool,
}

/// What a member does next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Moves {
    /// Free partitions to take.
    pub(super) acquire: Vec<u32>,
    /// Partitions to give away, once their records are not handled here any more.
    pub(super) surrender: Vec<u32>,
}

/// How many of a topic's partitions the member at `rank` (from 0) of `members` is to hold.
pub(super) fn fair_share(partitions: usize, members: usize, rank: usize) -> usize {
    let members = members.max(1);
    partitions / members + usize::from(rank < partitions % members)
}

/// The moves of a member that is to hold `share` partitions.
pub(super) fn moves(share: usize, owned: &[Owned], free: &[u32]) -> Moves {
    let missing = share.saturating_sub(owned.len());
    let acquire = free.iter().copied().take(missing).collect();

    let surplus = owned.len().saturating_sub(share);
    let idle = owned.iter().rev().filter(|held| !held.is_busy);
    let busy = owned.iter().rev().filter(|held| held.is_busy);
    let surrender = idle.chain(busy).take(surplus).map(|held| held.partition).collect();
    Moves { acquire, surrender }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(partitions: &[u32]) -> Vec<Owned> {
        partitions.iter().map(|&partition| Owned { partition, is_busy: false }).collect()
    }

    #[test]
    fn shares_add_up_and_differ_by_at_most_one() {
        for partitions in 0..20 {
            for members in 1..10 {
                let shares: Vec<usize> =
                    (0..members).map(|rank| fair_share(partitions, members, rank)).collect();
                assert_eq!(shares.iter().sum::<usize>(), partitions);
                assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn a_member_with_its_share_does_nothing() {
        assert_eq!(moves(2, &owned(&[0, 3]), &[1]), Moves::default());
    }

    #[test]
    fn a_member_takes_only_what_it_lacks() {
        assert_eq!(moves(2, &owned(&[0]), &[1, 2, 3]), Moves { acquire: vec![1], ..Moves::default() });
    }

    #[test]
    fn a_busy_partition_is_given_away_only_when_idle_ones_do_not_suffice() {
        let mut held = owned(&[0, 1, 2, 3]);
        held[3].is_busy = true;
        assert_eq!(moves(2, &held, &[]), Moves { surrender: vec![2, 1], ..Moves::default() });
        held[2].is_busy = true;
        held[1].is_busy = true;
        assert_eq!(moves(2, &held, &[]), Moves { surrender: vec![0, 3], ..Moves::default() });
    }
}
