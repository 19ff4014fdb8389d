//! Many traces at once: drawn ones, and what holds for any.

use proptest::prelude::*;
use waypost_trace_analysis::{
    Aggregate, Category, Common, CriticalPath, Facts, FindingKind, Projection, Sample, Tree, quantile,
};
use waypost_trace_model::{Node, Text, TraceId};

use crate::picture::draw;
use crate::properties::forest;

fn trace(number: usize) -> TraceId {
    format!("{:x}", number + 1).parse().unwrap()
}

fn common(traces: &[(TraceId, Vec<Node>)], facts: impl Fn(&Node) -> Facts) -> Common {
    let mut aggregate = Aggregate::default();
    for (id, nodes) in traces {
        let tree = Tree::new(nodes);
        let facts: Vec<Facts> = nodes.iter().map(&facts).collect();
        aggregate.add(&Sample { id: *id, nodes, tree: &tree, facts: &facts });
    }
    aggregate.finish()
}

fn numbered(traces: Vec<Vec<Node>>) -> Vec<(TraceId, Vec<Node>)> {
    traces.into_iter().enumerate().map(|(number, nodes)| (trace(number), nodes)).collect()
}

/// Two orders; the second asks the stock twice.
fn orders() -> Vec<(TraceId, Vec<Node>)> {
    let first = draw(
        "
        r                   ##########
          a client          .######...
            s server@stock  ..####....
        ",
    );
    let second = draw(
        "
        r                   ####################
          a client          .######.............
            s server@stock  ..####..............
          b client          ........##########..
            t server@stock  ........##########..
        ",
    );
    let mut second = second.nodes;
    for node in &mut second {
        let name = match &*node.name {
            "b" => "a",
            "t" => "s",
            name => name,
        };
        node.name = Text::from(name.to_owned());
    }
    numbered(vec![first.nodes, second])
}

#[test]
fn time_is_added_up_by_service_and_operation() {
    let common = common(&orders(), |_| Facts::default());
    assert_eq!(common.durations, [10, 20]);
    let places = common.places.iter().map(|place| {
        (&*place.service, &*place.operation, place.category, place.time, place.traces, place.worst)
    });
    assert_eq!(
        places.collect::<Vec<_>>(),
        [
            ("stock", "s", Category::Work, 4 + 4 + 10, 2, trace(1)),
            ("shop", "r", Category::Work, 4 + 4, 2, trace(1)),
            ("shop", "a", Category::Network, 2 + 2, 2, trace(1)),
        ]
    );
}

#[test]
fn a_service_that_were_twice_as_fast_would_save_half_of_its_part() {
    let common = common(&orders(), |_| Facts::default());
    let what_if: Vec<_> =
        common.what_if.iter().map(|what| (&*what.service, what.saved, what.p50, what.traces)).collect();
    assert_eq!(what_if, [("stock", 2 + 7, 2, 2), ("shop", 6, 3, 2)], "the shop's network is not the shop");
}

#[test]
fn trees_are_laid_over_one_another_by_service_and_operation() {
    let common = common(&orders(), |_| Facts::default());
    let nodes = common.flame.nodes.iter().map(|node| {
        (node.parent, &*node.operation, node.spans, node.traces, node.time, node.self_time, node.on_path)
    });
    assert_eq!(
        nodes.collect::<Vec<_>>(),
        [
            (None, "r", 2, 2, 30, 4 + 4, 30),
            (Some(0), "a", 3, 2, 22, 2 + 2, 22),
            (Some(1), "s", 3, 2, 18, 18, 18)
        ]
    );
    assert_eq!(common.flame.left_out, 0);
}

#[test]
fn edges_count_the_calls_of_a_trace_and_name_the_one_with_most() {
    let common = common(&orders(), |node| Facts {
        call: (&*node.name == "a").then(|| "GET /stock/{}".to_owned()),
        ..Facts::default()
    });
    assert_eq!(common.edges.len(), 1);
    let edge = &common.edges[0];
    assert_eq!((&*edge.from, &*edge.to, edge.is_service), ("shop", "stock", true));
    assert_eq!((edge.traces, edge.calls, edge.p50, edge.p95, edge.max), (2, 3, 1, 2, 2));
    assert_eq!((edge.worst, &*edge.call, edge.alike), (trace(1), "GET /stock/{}", 2));
}

#[test]
fn what_sends_no_spans_is_called_by_what_the_span_says() {
    let drawn = draw(
        "
        r           ##########
          a client  .##.......
          b client  ...##.....
          c client  .....##...
        ",
    );
    let traces = [(trace(0), drawn.nodes)];
    let common = common(&traces, |node| Facts {
        peer: (&*node.name != "c").then(|| Text::from_static("warehouse")),
        ..Facts::default()
    });
    let edges: Vec<_> = common.edges.iter().map(|edge| (&*edge.to, edge.is_service, edge.max)).collect();
    assert_eq!(edges, [("warehouse", false, 2), ("c", false, 1)]);
}

#[test]
fn a_finding_of_one_place_in_many_traces_is_one() {
    let loops = |rows: u32, id: usize| {
        let mut nodes = draw("r ############").nodes;
        let calls = (1..=rows).map(|number| {
            let mut node = nodes[0].clone();
            node.span_id = format!("{:x}", 0x100 + number).parse().unwrap();
            node.parent_span_id = Some(nodes[0].span_id);
            node.kind = waypost_trace_model::Kind::Client;
            node.name = Text::from_static("SELECT prices");
            (node.start, node.end) = (u64::from(number) * 1_000_000, u64::from(number + 1) * 1_000_000);
            node
        });
        let calls: Vec<Node> = calls.collect();
        (nodes[0].start, nodes[0].end) = (0, 100_000_000);
        nodes.extend(calls);
        (trace(id), nodes)
    };
    let traces = [loops(10, 0), loops(3, 1), loops(50, 2)];
    let common = common(&traces, |_| Facts::default());
    let repeated: Vec<_> =
        common.findings.iter().filter(|finding| finding.kind == FindingKind::RepeatedCall).collect();
    assert_eq!(repeated.len(), 1);
    let finding = repeated[0];
    assert_eq!((finding.traces, finding.spans, &*finding.place), (2, 60, "SELECT prices"));
    assert_eq!((finding.saves, finding.p50), (58_000_000, 9_000_000));
    assert_eq!(finding.examples, [trace(2), trace(0)]);
    assert!(finding.sentence.starts_with("50 times the same call"), "{}", finding.sentence);
}

#[test]
fn quantiles_are_the_nearest_rank() {
    assert_eq!((quantile(&[], 50), quantile(&[7], 95)), (0, 7));
    assert_eq!((quantile(&[1, 2, 3, 4], 50), quantile(&[1, 2, 3, 4], 95)), (2, 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn places_and_the_flame_graph_add_up_to_the_roots(traces in prop::collection::vec(forest(), 0..6)) {
        let traces = numbered(traces);
        let found = common(&traces, |_| Facts::default());
        let sum = |nodes: &Vec<Node>| {
            let path = CriticalPath::of(nodes, &Tree::new(nodes));
            path.map_or(0, |path| u128::from(path.parts.iter().map(|part| part.time).sum::<u64>()))
        };
        let total: u128 = traces.iter().map(|(_, nodes)| sum(nodes)).sum();
        // A forest may hold spans of centuries: what does not fit is none of the traces' that a store would find.
        prop_assume!(total < u128::from(u64::MAX));
        let places: u128 = found.places.iter().map(|place| u128::from(place.time)).sum();
        prop_assert_eq!(places, total);
        let roots = found.flame.nodes.iter().filter(|node| node.parent.is_none());
        prop_assert_eq!(roots.map(|node| u128::from(node.on_path)).sum::<u128>(), total);
        let alone: u128 = found.flame.nodes.iter().map(|node| u128::from(node.self_on_path)).sum();
        prop_assert_eq!(alone, total);
        for what_if in &found.what_if {
            prop_assert!(u128::from(what_if.saved) * 2 <= total + 2 * found.durations.len() as u128 * 60);
        }
    }

    #[test]
    fn the_order_of_the_traces_changes_nothing(
        (traces, shuffled) in prop::collection::vec(forest(), 0..6).prop_flat_map(|traces| {
            let traces = numbered(traces);
            (Just(traces.clone()), Just(traces).prop_shuffle())
        })
    ) {
        let (one, other) = (common(&traces, |_| Facts::default()), common(&shuffled, |_| Facts::default()));
        prop_assert_eq!(one.durations, other.durations);
        prop_assert_eq!(one.places, other.places);
        prop_assert_eq!(one.what_if, other.what_if);
        prop_assert_eq!(one.edges, other.edges);
        prop_assert_eq!(one.findings, other.findings);
        prop_assert_eq!(one.flame.nodes.len(), other.flame.nodes.len());
    }
}

#[test]
fn a_trace_without_spans_counts_for_nothing() {
    let found = common(&[(trace(0), Vec::new())], |_| Facts::default());
    assert!(found.durations.is_empty() && found.places.is_empty() && found.flame.nodes.is_empty());
    assert_eq!(Projection::new(&[], &Tree::new(&[])).duration(), 0);
}
