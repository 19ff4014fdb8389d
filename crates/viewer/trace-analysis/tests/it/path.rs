//! What the root waited for, at each nanosecond.

use waypost_trace_analysis::{Category, Part, Segment};

use crate::picture::draw;

#[test]
fn the_span_that_returned_last_is_what_its_parent_waited_for() {
    let drawn = draw(
        "
        r        ############
          a      .######.....
          b      .########...
            c    ..##........
            d    .....###....
        ",
    );
    assert_eq!(drawn.path(), "rbccbdddbrrr");
    assert_eq!(drawn.names(&drawn.path.parts.iter().map(|part| part.row).collect::<Vec<_>>()), "r b d c");
    assert_eq!(drawn.path.slowest, Some(2), "b and d have three nanoseconds each; the earlier row is named");
    assert_eq!(drawn.path.segments[0], Segment { row: 0, start: 1_000, end: 1_001 });
}

#[test]
fn a_call_that_ends_in_the_nanosecond_in_which_the_next_begins_is_on_the_path() {
    let drawn = draw(
        "
        r      ##########
          a    .###......
          b    ....###...
          c    .......##.
        ",
    );
    assert_eq!(drawn.path(), "raaabbbccr");
}

#[test]
fn of_children_that_end_together_the_one_that_began_later_then_the_earlier_row_is_taken() {
    let drawn = draw(
        "
        r      ##########
          a    .########.
          c    .....####.
          b    .....####.
          d    ..###.....
        ",
    );
    assert_eq!(drawn.path(), "rrdddbbbbr");
}

#[test]
fn a_child_that_overlaps_what_was_waited_for_is_passed_over() {
    let drawn = draw(
        "
        r      ##########
          a    ######....
          b    ....####..
          c    ..#.......
        ",
    );
    assert_eq!(drawn.path(), "rrcrbbbbrr");
}

#[test]
fn a_child_that_outlives_its_parent_is_clipped_and_listed() {
    let drawn = draw(
        "
        r          ########....
          a        ..####......
            b      ...######...
              c    ....#######.
          d        .......|....
            e      .......#....
        ",
    );
    assert_eq!(drawn.path(), "rrabccrr");
    assert_eq!(drawn.names(&drawn.path.outliving), "b c");
}

#[test]
fn consumers_and_spans_that_follow_from_their_parent_or_begin_after_it_do_not_block() {
    let drawn = draw(
        "
        r                 ##########....
          p producer      .##...........
            m consumer    ..######......
              n           ...#######....
          f follows       ...#####......
            k             ...#####......
          g               .........#....
          h               ..........###.
        ",
    );
    assert_eq!(drawn.path(), "rpprrrrrrg");
    assert_eq!(drawn.path.outliving, Vec::<u32>::new());
}

#[test]
fn a_consumer_below_anything_but_a_producer_blocks() {
    let drawn = draw(
        "
        r               ########
          m consumer    .######.
            n           ..####..
        ",
    );
    assert_eq!(drawn.path(), "rmnnnnmr");
}

#[test]
fn a_skewed_servers_times_are_as_recorded_while_any_of_them_lies_in_its_call() {
    let drawn = draw(
        "
        r client@web        ..########
          s server@stock    ######....
            t               .##.......
        ",
    );
    assert_eq!(drawn.repairs(), ["s: clock +3"]);
    assert_eq!(drawn.path(), "tsssrrrr");
}

#[test]
fn a_server_outside_of_its_call_is_moved_into_its_middle_with_everything_below_it() {
    let drawn = draw(
        "
        r server@web            ############..............
          a client@web          ..########................
            s server@stock      ...............######.....
              t client@stock    ................##........
                u server@web    ....##....................
              v                 ...................###....
        ",
    );
    assert_eq!(drawn.repairs(), ["s: clock -12", "u: clock +12"]);
    assert_eq!(drawn.path(), "rrasuusvvarr");
    assert_eq!(drawn.names(&drawn.path.outliving), "v");
}

#[test]
fn a_server_that_only_touches_its_call_lies_outside_of_it() {
    let drawn = draw(
        "
        r                     ..##########..
          a client@web        ..####........
            s server@stock    ##............
          b client@web        ........####..
            t server@stock    ............##
        ",
    );
    assert_eq!(drawn.repairs(), ["s: clock +3", "t: clock -3"]);
    assert_eq!(drawn.path(), "assarrbttb");
}

#[test]
fn orphans_and_other_roots_are_not_on_the_path() {
    let drawn = draw(
        "
        r             ########
          a           .##.....
        o parent=x    ...####.
        s             ....####
        ",
    );
    assert_eq!(drawn.path(), "raarrrrr");
}

#[test]
fn a_root_without_duration_has_an_empty_path() {
    let drawn = draw(
        "
        r      |....
          a    ####.
        ",
    );
    assert_eq!((drawn.path.root, drawn.path.slowest), (0, None));
    assert!(drawn.path.segments.is_empty() && drawn.path.parts.is_empty() && drawn.path.overlaps.is_empty());
}

#[test]
fn a_calls_own_time_is_network_with_its_server_side_in_the_trace_and_a_dependency_without() {
    let drawn = draw(
        "
        r server@web           ####################
          a client@web         .#######............
            s server@stock     ...###..............
          d client@web         ........######......
            e internal@web     .........#..........
          p producer@web       ..............##....
            m consumer@mail    ...............#####
        ",
    );
    let part = |row, category, time| Part { row, category, time };
    assert_eq!(
        drawn.path.parts,
        [
            part(0, Category::Work, 5),
            part(3, Category::Dependency, 5),
            part(1, Category::Network, 4),
            part(2, Category::Work, 3),
            part(5, Category::Dependency, 2),
            part(4, Category::Work, 1),
        ]
    );
    assert_eq!(
        serde_json::to_string(&drawn.path.parts[2]).unwrap(),
        r#"{"row":1,"category":"network","time":4}"#
    );
}
