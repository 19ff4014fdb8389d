//! A trace played again with parts of it shorter: drawn ones, and what holds for any.

use proptest::prelude::*;
use waypost_trace_analysis::{Change, CriticalPath, Facts, Projection, Share, Tree, findings};
use waypost_trace_model::{StatusCode, Text};

use crate::picture::{Picture, draw};
use crate::properties::forest;

fn saved(drawn: &Picture, change: impl Fn(&str) -> Change) -> u64 {
    Projection::new(&drawn.nodes, &drawn.tree).saved(|row| change(&drawn.name(row)))
}

#[test]
fn a_call_that_is_gone_shows_what_was_hidden_behind_it() {
    let drawn = draw(
        "
        r      ##########
          a    .#######..
          b    .####.....
        ",
    );
    let gone = |gone: &'static str| {
        saved(&drawn, move |name| if name == gone { Change::GONE } else { Change::NONE })
    };
    assert_eq!(gone("a"), 3, "b takes four");
    assert_eq!(gone("b"), 0);
    assert_eq!(gone("r"), 10);
}

#[test]
fn what_follows_comes_sooner_by_what_is_saved_before_it() {
    let drawn = draw(
        "
        r      ############
          a    .####.......
            b  ..##........
          c    .....#####..
        ",
    );
    let half = Change { own: Share::HALF, ..Change::NONE };
    assert_eq!(saved(&drawn, |name| if name == "b" { half } else { Change::NONE }), 1);
    assert_eq!(saved(&drawn, |_| half), 8, "single nanoseconds round down to nothing");
    let soon = Change { begins_within: 0, ..Change::NONE };
    assert_eq!(saved(&drawn, |name| if name == "b" { soon } else { Change::NONE }), 1);
}

/// A change for each row, by its number.
fn changed(numbers: &[u8], row: u32) -> Change {
    match numbers.get(row as usize % numbers.len().max(1)).copied().unwrap_or_default() % 5 {
        0 => Change::GONE,
        1 => Change { own: Share::HALF, ..Change::NONE },
        2 => Change { begins_within: 1, ..Change::NONE },
        3 => Change { takes_at_most: 3, ..Change::NONE },
        _ => Change::NONE,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn without_changes_everything_takes_what_it_took(nodes in forest()) {
        let tree = Tree::new(&nodes);
        let projection = Projection::new(&nodes, &tree);
        let path = CriticalPath::of(&nodes, &tree);
        let total = path.map_or(0, |path| path.parts.iter().map(|part| part.time).sum());
        prop_assert_eq!(projection.duration(), total);
        prop_assert_eq!(projection.duration_with(|_| Change::NONE), total);
    }

    #[test]
    fn less_never_takes_longer_and_saves_what_is_on_the_path_at_most(nodes in forest(), numbers in prop::collection::vec(any::<u8>(), 1..20)) {
        let tree = Tree::new(&nodes);
        let Some(path) = CriticalPath::of(&nodes, &tree) else { return Ok(()) };
        let projection = Projection::new(&nodes, &tree);
        let all = projection.duration_with(|row| changed(&numbers, row));
        prop_assert!(all <= projection.duration());
        let even = projection.duration_with(|row| if row.is_multiple_of(2) { changed(&numbers, row) } else { Change::NONE });
        prop_assert!(all <= even);

        let faster = |row: u32| row.is_multiple_of(3);
        let none = Change { own: Share::NONE, ..Change::NONE };
        let saved = projection.saved(|row| if faster(row) { none } else { Change::NONE });
        let on_path: u64 = path.parts.iter().filter(|part| faster(part.row)).map(|part| part.time).sum();
        prop_assert!(saved <= on_path, "{} of {}", saved, on_path);
    }

    #[test]
    fn findings_of_anything_are_ranked_within_the_root_and_do_not_depend_on_order(
        (nodes, facts, order) in forest().prop_flat_map(|mut nodes| {
            // Long enough for the thresholds, and no two equal ones that say different things.
            for (node, number) in nodes.iter_mut().zip(1_u32..) {
                let column = |time: u64| time.clamp(900, 1_100) * 20_000_000;
                (node.start, node.end) = (column(node.start), column(node.end));
                node.attributes = number;
                node.status = if number.is_multiple_of(7) { StatusCode::Error } else { StatusCode::Unset };
            }
            let count = nodes.len();
            let facts = prop::collection::vec((0_u8..4, any::<bool>(), 0_u64..200, any::<bool>()), count);
            let order: Vec<usize> = (0..count).collect();
            (Just(nodes), facts, Just(order).prop_shuffle())
        })
    ) {
        let fact = |&(call, only_reads, waited, misses): &(u8, bool, u64, bool)| Facts {
            call: (call > 0).then(|| format!("call {call}")),
            only_reads,
            waited: waited * 1_000_000,
            lookup: waited.is_multiple_of(5).then(|| (Text::from_static("cache"), !misses)),
            ..Facts::default()
        };
        let facts: Vec<Facts> = facts.iter().map(fact).collect();
        let tree = Tree::new(&nodes);
        let found = findings(&nodes, &tree, &facts);
        let total = Projection::new(&nodes, &tree).duration();
        prop_assert!(found.is_sorted_by_key(|finding| std::cmp::Reverse(finding.saves)));
        for finding in &found {
            prop_assert!(!finding.rows.is_empty() && finding.rows.is_sorted());
            prop_assert!(finding.saves <= total && finding.on_path <= total);
            prop_assert!(finding.rows.iter().all(|row| *row <= tree.rows[0].descendants));
        }
        let shuffled: Vec<_> = order.iter().map(|&place| nodes[place].clone()).collect();
        let their_facts: Vec<_> = order.iter().map(|&place| facts[place].clone()).collect();
        prop_assert_eq!(findings(&shuffled, &Tree::new(&shuffled), &their_facts), found);
    }
}
