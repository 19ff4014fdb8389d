//! What is found in drawn traces, one column of which is ten milliseconds, and what is not.

use waypost_trace_analysis::{Facts, Finding, FindingKind, Tree, findings};
use waypost_trace_model::{Node, StatusCode, Text};

use crate::picture::draw;

const COLUMN: u64 = 10_000_000;

/// A drawn trace and what its spans say.
struct Told {
    nodes: Vec<Node>,
    facts: Vec<Facts>,
}

fn told(picture: &str) -> Told {
    let mut nodes = draw(picture).nodes;
    for node in &mut nodes {
        (node.start, node.end) = (node.start * COLUMN, node.end * COLUMN);
    }
    let facts = vec![Facts::default(); nodes.len()];
    Told { nodes, facts }
}

impl Told {
    /// Spans whose names begin so say this.
    fn says(mut self, name: &str, say: impl Fn(&mut Facts)) -> Told {
        for (node, facts) in self.nodes.iter().zip(&mut self.facts) {
            if node.name.starts_with(name) {
                say(facts);
            }
        }
        self
    }

    fn calls(self, name: &str, call: &str) -> Told {
        self.says(name, |facts| {
            facts.call = Some(call.to_owned());
            facts.only_reads = call.starts_with("SELECT") || call.starts_with("GET");
            facts.peer = Some(Text::from_static("warehouse"));
        })
    }

    fn fails(mut self, names: &[&str]) -> Told {
        for (node, facts) in self.nodes.iter_mut().zip(&mut self.facts) {
            if names.contains(&&*node.name) {
                node.status = StatusCode::Error;
                facts.shows_failure = true;
            }
        }
        self
    }

    fn findings(&self) -> Vec<Finding> {
        findings(&self.nodes, &Tree::new(&self.nodes), &self.facts)
    }

    /// Kind, evidence by name, milliseconds saved.
    fn found(&self) -> Vec<(FindingKind, String, u64)> {
        let tree = Tree::new(&self.nodes);
        let name = |row: &u32| self.nodes[tree.rows[*row as usize].node as usize].name.to_string();
        let found = self.findings().into_iter().map(|finding| {
            let names: Vec<String> = finding.rows.iter().map(name).collect();
            (finding.kind, names.join(" "), finding.saves / 1_000_000)
        });
        found.collect()
    }
}

fn five_queries() -> Told {
    told(
        "
        r           ##########
          a client  #.........
          b client  .##.......
          c client  ...#......
          d client  ....#.....
          e client  .....#....
        ",
    )
}

#[test]
fn five_alike_calls_one_after_the_other_are_a_repeated_call() {
    let alike = ["a", "b", "c", "d", "e"];
    let trace = alike.iter().fold(five_queries(), |trace, name| trace.calls(name, "SELECT a WHERE id = ?"));
    assert_eq!(trace.found(), [(FindingKind::RepeatedCall, "a b c d e".into(), 40)]);
    let sentence = &trace.findings()[0].sentence;
    let expected = "5 times the same call, 60 ms of 100 ms on the critical path: SELECT a WHERE id = ?. One call for all \
                    would save up to 40 ms.";
    assert_eq!(sentence, expected);

    let four = trace.says("e", |facts| facts.call = Some("INSERT b".to_owned()));
    let kinds: Vec<FindingKind> = four.findings().iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::SerialCalls], "four are no loop, but reads one after the other");
}

#[test]
fn calls_that_already_overlap_are_no_repeated_call() {
    let trace = told(
        "
        r           ####
          a client  .#..
          b client  .#..
          c client  .#..
          d client  .#..
          e client  .#..
          f client  .#..
        ",
    );
    let trace =
        ["a", "b", "c", "d", "e", "f"].iter().fold(trace, |trace, name| trace.calls(name, "SELECT a"));
    assert_eq!(trace.found(), []);
}

#[test]
fn a_repeated_call_below_a_repeated_step_is_seen_at_the_step() {
    let trace = told(
        "
        r             ##########
          a           ##........
            f client  .#........
          b           ..##......
            g client  ...#......
          c           ....##....
            h client  .....#....
          d           ......##..
            i client  .......#..
          e           ........##
            j client  .........#
        ",
    );
    let trace = ["a", "b", "c", "d", "e"].iter().fold(trace, |trace, name| trace.calls(name, "load line"));
    assert_eq!(trace.found(), [(FindingKind::RepeatedCall, "a b c d e".into(), 80)]);
}

#[test]
fn reads_one_after_the_other_could_overlap_and_writes_could_not() {
    let picture = "
        r           ##########
          a client  ###.......
          b client  ...####...
        ";
    let reads = told(picture).calls("a", "SELECT a").calls("b", "GET b");
    assert_eq!(reads.found(), [(FindingKind::SerialCalls, "a b".into(), 30)]);
    let writes = told(picture).calls("a", "SELECT a").calls("b", "UPDATE b");
    assert_eq!(writes.found(), []);
}

#[test]
fn a_read_in_a_step_of_its_own_is_a_read_and_a_write_between_two_reads_parts_them() {
    let picture = "
        r             #############
          a           ####.........
            d client  .###.........
          b client    ....##.......
          c           ......#####..
            e client  ......#####..
        ";
    let parted = told(picture).calls("d", "GET d").calls("b", "POST b").calls("e", "GET e");
    assert_eq!(parted.found(), []);
    let together = told(picture).calls("d", "GET d").calls("b", "GET b").calls("e", "GET e");
    assert_eq!(together.found(), [(FindingKind::SerialCalls, "a b c".into(), 60)]);
}

#[test]
fn a_slow_call_to_what_sends_no_spans_is_told_and_one_that_does_is_not() {
    let trace = told(
        "
        r                   ################################
          a client          .##############.................
          b client          ...............################.
            c server@stock  ...............################.
              d             ...............################.
              e             ...............................|
        ",
    );
    let trace = trace.calls("a", "POST bank.example /charges");
    let found = trace.found();
    assert_eq!(found[0], (FindingKind::InstrumentationGap, "d".into(), 160));
    assert_eq!(found[1], (FindingKind::SlowDependency, "a".into(), 140));
    assert_eq!(found.len(), 2);
}

#[test]
fn an_attempt_that_failed_costs_itself_and_the_wait_for_the_next() {
    let trace = told(
        "
        r           ###################
          a client  .########..........
          b client  ...........####....
        ",
    );
    let trace = trace.calls("a", "rpc pay").calls("b", "rpc pay").fails(&["a"]);
    assert_eq!(trace.found(), [(FindingKind::Retries, "a b".into(), 100)]);
    let sentence = &trace.findings()[0].sentence;
    assert_eq!(
        sentence,
        "2 attempts of rpc pay, 1 failed and was tried again: without the failure, 100 ms of 190 ms less."
    );
}

#[test]
fn three_failed_attempts_are_told_whatever_they_cost_and_are_no_swallowed_error() {
    let trace = told(
        "
        r           ########################################
          a client  #.......................................
          b client  .#......................................
          c client  ...#....................................
          d client  .......#................................
        ",
    );
    let all = ["a", "b", "c", "d"];
    let trace = all.iter().fold(trace, |trace, name| trace.calls(name, "rpc pay")).fails(&["a", "b", "c"]);
    let found = trace.found();
    assert_eq!(found[0], (FindingKind::InstrumentationGap, "r".into(), 360));
    assert_eq!(found[1], (FindingKind::Retries, "a b c d".into(), 70));
    assert_eq!(found.len(), 2);
}

#[test]
fn a_wait_for_a_turn_counts_as_far_as_the_root_waited_for_it() {
    let trace = told(
        "
        r           #########
          a client  .####....
          b client  ..##.....
        ",
    );
    let trace = trace.calls("a", "INSERT a").calls("b", "INSERT b");
    let trace = trace.says("a", |facts| facts.waited = 3 * COLUMN).says("b", |facts| facts.waited = COLUMN);
    assert_eq!(
        trace.found(),
        [(FindingKind::Waiting, "a".into(), 10)],
        "b takes two columns and hides the rest"
    );
    let sentence = &trace.findings()[0].sentence;
    let expected = "1 call of shop waited for a connection, a lock or its turn at warehouse, the longest 30 ms: 10 ms of \
                    90 ms on the critical path.";
    assert_eq!(sentence, expected);
}

#[test]
fn a_cache_that_misses_costs_what_fetched_the_answer() {
    let miss =
        |name: &'static str| move |facts: &mut Facts| facts.lookup = Some((Text::from_static(name), false));
    let beside = told(
        "
        r           ########
          a         |.......
          b client  .###....
        ",
    );
    let beside = beside.says("a", miss("users")).calls("b", "SELECT users");
    assert_eq!(beside.found(), [(FindingKind::CacheMiss, "a b".into(), 30)]);
    assert_eq!(
        beside.findings()[0].sentence,
        "The cache users was asked 1 time and missed 1: with the answers there, 30 ms of 80 ms less."
    );
    let within = told(
        "
        r             ##########
          a           .#####....
            b client  ..###.....
          c           ........#.
        ",
    );
    let within = within.says("a", miss("prices")).says("c", |facts| {
        facts.lookup = Some((Text::from_static("prices"), true));
    });
    assert_eq!(within.found(), [(FindingKind::CacheMiss, "a".into(), 30)]);
    assert!(within.findings()[0].sentence.contains("asked 2 times and missed 1"));
    let hit = within.says("a", |facts| facts.lookup = Some((Text::from_static("prices"), true)));
    assert_eq!(hit.found(), []);
}

#[test]
fn a_gap_is_one_long_stretch_and_not_many_short_ones() {
    let gap = told(
        "
        r           ####################
          a client  ..........##########
        ",
    );
    assert!(gap.found().contains(&(FindingKind::InstrumentationGap, "r".into(), 100)));
    let short = told(
        "
        r           ####################
          a client  ....#...............
          b client  .........#..........
          c client  ..............#.....
          d client  ...................#
        ",
    );
    assert!(short.findings().iter().all(|finding| finding.kind != FindingKind::InstrumentationGap));
}

#[test]
fn clocks_that_differ_are_told_once_for_two_services() {
    let trace = told(
        "
        r                   ##########
          a client          ..##......
            b server@stock  #.........
          c client          .....##...
            d server@stock  ...#......
        ",
    );
    let found = trace.findings();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].kind, &*found[0].service, &*found[0].place),
        (FindingKind::ClockSkew, "stock", "shop")
    );
    let expected = "The clock of stock is about 25 ms behind that of shop, seen by 2 calls: times of the two cannot be \
                    compared as they are.";
    assert_eq!(found[0].sentence, expected);

    let late_end = told(
        "
        r                   ##########
          a client          ..#####...
            b server@stock  ....####..
        ",
    );
    assert_eq!(late_end.found(), [], "a server can be busy with the end of an answer that is there already");
}

#[test]
fn an_error_that_nothing_above_shows_was_swallowed() {
    let picture = "
        r             ##########
          a           .######...
            b client  ..###.....
        ";
    let swallowed = told(picture).fails(&["b"]);
    assert_eq!(swallowed.found(), [(FindingKind::SwallowedError, "b".into(), 0)]);
    assert_eq!(told(picture).fails(&["a", "b"]).found(), [(FindingKind::SwallowedError, "a".into(), 0)]);
    let shown = told(picture).fails(&["b"]).says("r", |facts| facts.shows_failure = true);
    assert_eq!(shown.found(), [], "the root answered 402");
}

#[test]
fn findings_of_one_place_are_one_and_those_that_save_most_come_first() {
    let trace = told(
        "
        r             ##############################
          p           .######.......................
            a client  .###..........................
            b client  ....###.......................
          q           .......######.................
            c client  .......###....................
            d client  ..........###.................
          s           .............################.
            e client  .............#######..........
            f client  ....................#########.
        ",
    );
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut trace = names.iter().fold(trace, |trace, name| trace.calls(name, &format!("GET {name}")));
    // Two places of the same name, and writes between them.
    for node in &mut trace.nodes {
        if *node.name == *"q" {
            node.name = Text::from_static("p");
        }
    }
    let trace = trace.says("e", |facts| facts.only_reads = true);
    let found = trace.found();
    assert_eq!(found[0].0, FindingKind::SerialCalls);
    assert!(found.is_sorted_by_key(|(_, _, saves)| std::cmp::Reverse(*saves)), "{found:?}");
    let inner: Vec<&(FindingKind, String, u64)> = found.iter().filter(|found| found.1 == "a b c d").collect();
    assert_eq!(inner, [&(FindingKind::SerialCalls, "a b c d".to_owned(), 60)], "{found:?}");
}
