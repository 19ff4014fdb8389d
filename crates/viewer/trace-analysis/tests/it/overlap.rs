//! Calls one after the other.

use waypost_trace_analysis::Overlap;

use crate::picture::draw;

#[test]
fn calls_one_after_the_other_are_a_group_and_the_longest_is_what_remains() {
    let drawn = draw(
        "
        r server        ####################
          a client      .####...............
          b client      ......######........
          c producer    ............##......
        ",
    );
    assert_eq!(drawn.path.overlaps, [Overlap { parent: 0, rows: vec![1, 2, 3], saves_up_to: 6 }]);
    assert_eq!(
        serde_json::to_string(&drawn.path.overlaps[0]).unwrap(),
        r#"{"parent":0,"rows":[1,2,3],"saves_up_to":6}"#
    );
}

#[test]
fn a_span_in_which_a_call_is_made_counts_as_a_call_and_own_work_does_not() {
    let drawn = draw(
        "
        r                      ####################
          a                    .#####..............
            s client           ..###...............
          w                    ......#####.........
            v                  .......##...........
          b                    ...........####.....
            u                  ............##......
              t server@mail    ............##......
        ",
    );
    assert_eq!(drawn.names(&drawn.path.overlaps[0].rows), "a b");
    assert_eq!(drawn.path.overlaps[0].saves_up_to, 4);
    assert_eq!(drawn.path.overlaps.len(), 1);
}

#[test]
fn calls_that_already_overlap_a_single_call_and_calls_off_the_path_are_no_group() {
    let drawn = draw(
        "
        r               ################
          a client      .#####..........
          b client      ...#####........
            c client    ....##..........
          d             ..........#####.
            e client    ..........#####.
            f client    ...........###..
        ",
    );
    assert_eq!(drawn.names(&drawn.path.overlaps[0].rows), "b d");
    assert_eq!(drawn.path.overlaps.len(), 1);
}

#[test]
fn a_message_handled_later_is_no_call_of_the_span_that_sent_it() {
    let drawn = draw(
        "
        r                 ############
          a               .####.......
            m follows     ..##........
              c client    ..##........
          b client        .....####...
        ",
    );
    assert_eq!(drawn.path.overlaps, []);
}

#[test]
fn groups_come_by_what_they_save_and_count_time_on_the_path_only() {
    let drawn = draw(
        "
        r               ##############....
          a client      .#................
          b client      ...##.............
          c             .....#########....
            d client    .....####.........
            e client    .........#########
        ",
    );
    let of =
        |overlap: &Overlap| (drawn.name(overlap.parent), drawn.names(&overlap.rows), overlap.saves_up_to);
    assert_eq!(
        drawn.path.overlaps.iter().map(of).collect::<Vec<_>>(),
        [("c".into(), "d e".into(), 4), ("r".into(), "a b c".into(), 3)],
        "e counts its five nanoseconds within the root"
    );
}
