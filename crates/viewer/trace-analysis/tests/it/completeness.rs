//! Whether a trace is whole.

use waypost_trace_analysis::{Tree, completeness};
use waypost_trace_model::{Node, RefusalReason, Skeleton, TraceLosses};

use crate::picture::draw;

fn judged(nodes: &[Node], losses: TraceLosses) -> serde_json::Value {
    let skeleton = Skeleton { id: "1".parse().unwrap(), nodes: nodes.to_vec(), losses };
    serde_json::to_value(completeness(&skeleton, &Tree::new(nodes))).unwrap()
}

#[test]
fn a_trace_is_complete_unless_spans_are_known_to_be_missing() {
    let whole = draw("r ##").nodes;
    let orphaned = draw("r parent=x ##").nodes;
    let none = TraceLosses::default();
    let refused = |reason| TraceLosses { refused: [(reason, 3)].into(), evicted: 0 };

    let is_complete = |nodes: &[Node], losses| judged(nodes, losses)["complete"].as_bool().unwrap();
    assert!(is_complete(&whole, none.clone()));
    assert!(!is_complete(&orphaned, none));
    assert!(!is_complete(&whole, refused(RefusalReason::TraceLimit)));
    assert!(!is_complete(&whole, TraceLosses { evicted: 1, ..TraceLosses::default() }));
    assert!(is_complete(&whole, refused(RefusalReason::Repeated)), "those are kept already");
    assert!(is_complete(&whole, TraceLosses { refused: [(RefusalReason::Disk, 0)].into(), evicted: 0 }));
}

#[test]
fn every_reason_is_counted() {
    let mut nodes = draw(
        "
        r             ##
        o parent=x    ##
        p parent=y    ##
        ",
    )
    .nodes;
    nodes[0].dropped = 2;
    nodes[2].dropped = 5;
    let losses = TraceLosses { refused: [(RefusalReason::TraceLimit, 4)].into(), evicted: 6 };
    assert_eq!(
        judged(&nodes, losses),
        serde_json::json!({"complete": false, "orphans": 2, "refused": {"trace_limit": 4}, "evicted": 6, "dropped": 7})
    );
}
