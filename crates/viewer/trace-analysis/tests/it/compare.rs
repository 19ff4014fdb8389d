//! Two traces side by side: drawn ones, and what holds for any.

use proptest::prelude::*;
use waypost_trace_analysis::{CriticalPath, Line, Tree, compared, shape};
use waypost_trace_model::{Node, StatusCode, Text};

use crate::picture::draw;
use crate::properties::forest;

/// Names without the digits that make ids differ.
fn named(picture: &str) -> Vec<Node> {
    let mut nodes = draw(picture).nodes;
    for node in &mut nodes {
        node.name = Text::from(node.name.trim_end_matches(|last: char| last.is_ascii_digit()).to_owned());
    }
    nodes
}

fn lines(left: &[Node], right: &[Node]) -> Vec<Line> {
    compared((left, &Tree::new(left)), (right, &Tree::new(right)))
}

/// Each line as text: depth, name, spans and time of both sides.
fn told(left: &[Node], right: &[Node]) -> Vec<String> {
    let line = |line: &Line| {
        let (one, other) = (&line.left, &line.right);
        let indent = "  ".repeat(line.depth as usize);
        format!("{indent}{} {}x{} {}x{}", line.name, one.rows.len(), one.time, other.rows.len(), other.time)
    };
    lines(left, right).iter().map(line).collect()
}

#[test]
fn equal_calls_are_paired_and_what_only_one_has_stands_where_it_happened() {
    let left = named(
        "
        r           ##########
          a client  .##.......
          b client  ....##....
          c client  .......##.
        ",
    );
    let right = named(
        "
        r           ############
          a client  .####.......
          d client  .....#......
          c client  .......##...
          e client  .........##.
        ",
    );
    assert_eq!(
        told(&left, &right),
        ["r 1x10 1x12", "  a 1x2 1x4", "  d 0x0 1x1", "  b 1x2 0x0", "  c 1x2 1x2", "  e 0x0 1x2"]
    );
}

#[test]
fn as_many_alike_calls_are_paired_in_order_and_others_added_up() {
    let two = named(
        "
        r             ##########
          a1 client   .##.......
            b1        .#........
          a2 client   ....####..
            b2        ....##....
        ",
    );
    let three = named(
        "
        r             ##########
          a1 client   .##.......
            b1        .#........
          a2 client   ....###...
            b2        ....##....
          a3 client   .......##.
        ",
    );
    assert_eq!(
        told(&two, &two),
        ["r 1x10 1x10", "  a 1x2 1x2", "    b 1x1 1x1", "  a 1x4 1x4", "    b 1x2 1x2"]
    );
    assert_eq!(told(&two, &three), ["r 1x10 1x10", "  a 2x6 3x7", "    b 2x3 2x3"]);
}

#[test]
fn more_alike_calls_than_are_read_one_by_one_are_one_line() {
    let many = |calls: usize| {
        let call = |call: usize| format!("  a{call} client ............\n");
        let rows: String = (0..calls).map(call).collect();
        let mut nodes =
            named(&format!("r           ############\n{rows}").replace("............", "#..........."));
        for (node, number) in nodes.iter_mut().zip(0_u64..).skip(1) {
            (node.start, node.end) = (node.start + number, node.end + number);
        }
        nodes
    };
    assert_eq!(told(&many(8), &many(8)).len(), 1 + 8);
    assert_eq!(told(&many(9), &many(9)), ["r 1x12 1x12", "  a 9x9 9x9"]);
}

#[test]
fn roots_are_a_pair_whatever_their_names_and_failures_are_counted() {
    let left = named("r ####");
    let mut right = named("q ######");
    right[0].status = StatusCode::Error;
    let lines = lines(&left, &right);
    assert_eq!((lines.len(), &*lines[0].name), (1, "r"));
    assert_eq!((lines[0].left.errors, lines[0].right.errors), (0, 1));
    assert_eq!(compared((&left, &Tree::new(&left)), (&[], &Tree::new(&[]))), []);
}

#[test]
fn shapes_are_equal_when_the_same_things_were_done() {
    let of = |picture: &str| {
        let nodes = named(picture);
        shape(&nodes, &Tree::new(&nodes))
    };
    let one = of("
        r       ####
          a     .#..
            c   .#..
          b     ..#.
        ");
    let often = of("
        r        ########
          b      .#......
          a1     ..#.....
            c    ..#.....
          a2     ....#...
        ");
    assert_eq!(one, often, "numbers, times and order do not count");
    let other = of("
        r       ####
          a     .#..
          b     ..#.
            c   ..#.
        ");
    assert_ne!(one, other);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_row_is_on_one_line_and_differences_add_up(left in forest(), right in forest()) {
        let (left_tree, right_tree) = (Tree::new(&left), Tree::new(&right));
        let lines = compared((&left, &left_tree), (&right, &right_tree));
        prop_assume!(!left.is_empty() && !right.is_empty());
        for (place, line) in lines.iter().enumerate() {
            let above = line.parent.map(|parent| &lines[parent as usize]);
            prop_assert!(line.parent.is_none_or(|parent| (parent as usize) < place));
            prop_assert_eq!(line.depth, above.map_or(0, |above| above.depth + 1));
            prop_assert!(!line.left.rows.is_empty() || !line.right.rows.is_empty());
        }
        let sides = [(&left, &left_tree, 0), (&right, &right_tree, 1)];
        for (nodes, tree, side) in sides {
            let of = |line: &Line| if side == 0 { line.left.clone() } else { line.right.clone() };
            let mut rows: Vec<u32> = lines.iter().flat_map(|line| of(line).rows).collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..=tree.rows[0].descendants).collect::<Vec<_>>());
            let total: u64 = CriticalPath::of(nodes, tree).unwrap().parts.iter().map(|part| part.time).sum();
            prop_assert_eq!(lines.iter().map(|line| of(line).self_on_path).sum::<u64>(), total);
            prop_assert_eq!(of(&lines[0]).on_path, total);
        }
        let mut turned: Vec<_> = compared((&right, &right_tree), (&left, &left_tree))
            .into_iter()
            .map(|line| (line.right.rows, line.left.rows))
            .collect();
        let mut these: Vec<_> = lines.into_iter().map(|line| (line.left.rows, line.right.rows)).collect();
        turned.sort_unstable();
        these.sort_unstable();
        prop_assert_eq!(turned, these);
    }

    #[test]
    fn a_trace_beside_itself_has_both_sides_everywhere_and_no_difference(nodes in forest()) {
        for line in lines(&nodes, &nodes) {
            prop_assert_eq!(line.left, line.right);
        }
    }
}
