//! The shape of traces, whole and broken.

use waypost_trace_analysis::{CriticalPath, Repair, Row, Tree};

use crate::picture::draw;

#[test]
fn rows_are_a_depth_first_walk_with_children_by_start_then_id() {
    let drawn = draw(
        "
        r        ##########
          c      ......###.
          b      ..###.....
            d    ...#......
          a      ..#.......
        ",
    );
    assert_eq!(drawn.tree(), "r\n  a\n  b\n    d\n  c");
    assert_eq!(drawn.tree.roots, [0]);
    assert_eq!(drawn.tree.repairs, []);
    let row = |node, parent, depth, descendants| Row { node, parent, depth, descendants, is_orphan: false };
    assert_eq!(
        drawn.tree.rows,
        [
            row(0, None, 0, 4),
            row(4, Some(0), 1, 0),
            row(2, Some(0), 1, 1),
            row(3, Some(2), 2, 0),
            row(1, Some(0), 1, 0)
        ]
    );
}

#[test]
fn no_spans_make_an_empty_tree_without_a_path() {
    let tree = Tree::new(&[]);
    assert!(tree.rows.is_empty() && tree.roots.is_empty() && tree.repairs.is_empty());
    assert_eq!(CriticalPath::of(&[], &tree), None);
}

#[test]
fn orphans_become_roots_after_the_earliest_true_root_and_the_others_go_by_start() {
    let drawn = draw(
        "
        o parent=x    ####......
          p           .##.......
        r             ..#######.
        s             ..########
        q parent=y    .....#....
        t             ......#...
        ",
    );
    assert_eq!(drawn.tree(), "s\no?\n  p\nr\nq?\nt", "the longer of two that begin together is the main one");
    assert_eq!(drawn.tree.roots, [0, 1, 3, 4, 5]);
    assert_eq!(drawn.repairs(), ["o: missing parent", "q: missing parent"]);
    assert_eq!(drawn.path(), "ssssssss");
}

#[test]
fn without_a_true_root_the_earliest_orphan_is_the_main_one() {
    let drawn = draw(
        "
        b parent=x    .####
        a parent=y    ###..
        ",
    );
    assert_eq!(drawn.tree(), "a?\nb?");
    assert_eq!(drawn.path(), "aaa");
}

#[test]
fn a_cycle_is_cut_above_its_earliest_span() {
    let drawn = draw(
        "
        c parent=b    ..###...
        a parent=c    .######.
        b parent=a    .#####..
        d parent=c    ...#....
        s parent=s    #.......
        ",
    );
    assert_eq!(drawn.tree(), "s\na\n  b\n    c\n      d");
    assert_eq!(drawn.repairs(), ["s: cycle", "a: cycle"]);
    assert_eq!(drawn.tree.roots, [0, 1]);
}

#[test]
fn children_of_an_id_that_occurs_twice_go_to_the_earliest_in_whose_time_they_begin() {
    let drawn = draw(
        "
        r               ############
          a id=x        .###........
          b id=x        ..#######...
          c id=x        ..........#.
          d parent=x    ..#.........
          e parent=x    .....##.....
          f parent=x    ...........|
          g parent=x    |...........
          h parent=x    ..........#.
        ",
    );
    assert_eq!(drawn.tree(), "r\n  a\n    g\n    d\n  b\n    e\n  c\n    h\n    f");
    assert_eq!(drawn.repairs(), ["b: duplicate id", "c: duplicate id"]);
}

#[test]
fn the_halves_of_a_zipkin_call_share_an_id_and_the_servers_hangs_under_the_clients() {
    let drawn = draw(
        "
        r server@web                  ##########
          a client@web id=x           .########.
          b server@stock id=x         ..######..
          c client@stock parent=x     ..####....
          d internal@web parent=x     ..#.......
          e server@stock id=x root    .....#....
        ",
    );
    assert_eq!(drawn.tree(), "r\n  a\n    d\n    b\n      c\n    e");
    assert_eq!(drawn.repairs(), ["e: duplicate id"], "a second server half is one too many");
    assert_eq!(drawn.path(), "raccccbbar");
}

#[test]
fn a_server_half_may_name_its_own_id_as_its_parent() {
    let drawn = draw(
        "
        r server@web                      ######
          a client@web id=x               .####.
          b server@stock id=x parent=x    ..##..
        ",
    );
    assert_eq!(drawn.tree(), "r\n  a\n    b");
    assert_eq!(drawn.repairs(), Vec::<String>::new());
}

#[test]
fn a_server_with_the_id_of_a_client_and_another_parent_is_no_half_of_its_call() {
    let drawn = draw(
        "
        r server@web               ##########
          a client@web id=x        .########.
          q client@web             .########.
            b server@stock id=x    ..######..
        ",
    );
    assert_eq!(drawn.tree(), "r\n  q\n    b\n  a");
    assert_eq!(drawn.repairs(), ["b: duplicate id"]);
}

#[test]
fn a_server_whose_clock_puts_it_outside_of_its_call_is_said_to_be_skewed_and_keeps_its_times() {
    let drawn = draw(
        "
        r client@web          ...########.......
          s server@stock      #####.............
            t client@stock    .####.............
              u server@web    ...............##.
        ",
    );
    assert_eq!(drawn.repairs(), ["s: clock +4", "u: clock -13"]);
    assert_eq!(drawn.nodes[1].start, 1_000);
}

#[test]
fn no_skew_is_seen_where_another_reason_is_as_likely() {
    let drawn = draw(
        "
        r                       ..########......
          a client@web          ..####..........
            b server@stock      .######.........
          c client@web          ..####..........
            d server@web        .##.............
          e client@web          ..####..........
            f consumer@stock    .......##.......
          g client@web          ..####..........
            h server@stock      ..####..........
          i producer@web        ..####..........
            j server@stock      .......##.......
        ",
    );
    assert_eq!(
        drawn.repairs(),
        Vec::<String>::new(),
        "longer than the call, the same service, a consumer, exactly as long, no call"
    );
}

#[test]
fn a_span_that_ended_before_it_began_counts_as_one_without_duration() {
    let drawn = draw(
        "
        r      ..####
          a    ...<..
        ",
    );
    assert_eq!(drawn.repairs(), ["a: negative duration"]);
    assert_eq!(drawn.path(), "rrrr");
}

#[test]
fn repairs_come_by_row_and_say_what_the_page_reads() {
    let drawn = draw(
        "
        r                  ..######
          a client@web     ..####..
            b server       .###....
        o parent=x id=r    ...<....
        ",
    );
    assert_eq!(
        drawn.tree.repairs,
        [
            Repair::ClockSkew { row: 2, offset: 1 },
            Repair::MissingParent { row: 3 },
            Repair::DuplicateId { row: 3 },
            Repair::NegativeDuration { row: 3 }
        ]
    );
    assert_eq!(
        serde_json::to_string(&drawn.tree.repairs[..2]).unwrap(),
        r#"[{"what":"clock_skew","row":2,"offset":1},{"what":"missing_parent","row":3}]"#
    );
}
