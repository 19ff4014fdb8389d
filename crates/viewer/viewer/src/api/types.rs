//! The types of this API as TypeScript reads them: written from the structs that are serialised, so that the page's
//! modules are checked against what they are answered (`tests/it/page_types.rs`).
//!
//! A new answer is listed in [`declared`], and the file is written by
//! `UPDATE_API_TYPES=1 cargo test -p waypost-viewer types`. What other crates serialise is written by hand in [`FOREIGN`] and
//! held against their own values.

use super::{
    aggregate, alerts, anomalies, columns, compare, differences, facets, figures, filter, findings, groups,
    logs, map, names, pins, points, search, series, services, span, status, tail, trace, transfer, values,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Write as _, path::Path};
use ts_rs::{Config, TS};
use waypost_trace_analysis::{Category, Completeness, FindingKind, Overlap, Part, Repair};
use waypost_trace_model::{Attribute, Kind, RefusalReason, StatusCode, Value};
use waypost_trace_statistics::PeerKind;
use waypost_trace_store::EvictionReason;

/// Ids and values, whose form is in their own serialisers.
const FOREIGN: &str = r#"/** 32 lower-case hexadecimal digits. */
export type TraceId = string;
/** 16 lower-case hexadecimal digits. */
export type SpanId = string;
/** A 64-bit number. */
export type Decimal = string;
/** What a figure is: a part of all, nanoseconds, a multiple, or a number of things. */
export type FigureUnit = "share" | "duration" | "factor" | "count";
/** A service, an operation or an edge of the map. */
export type Place = { service: string | null, operation: string | null, kind: Kind | null, edge_from: string | null, edge_to: string | null };
/** A value with the name of its type: 64-bit integers are decimal text, bytes base64. */
export type TypedValue =
  | { type: "string" | "int" | "bytes"; value: string }
  | { type: "double"; value: number | string }
  | { type: "bool"; value: boolean }
  | { type: "array"; value: Array<TypedValue> }
  | { type: "map"; value: Array<Attribute> }
  | { type: "empty"; value: null };
export type Attribute = { key: string } & TypedValue;
"#;

/// What the analysis of a trace serialises.
#[derive(Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
struct PathPart {
    row: u32,
    #[ts(type = "Category")]
    category: CategoryForm,
    time: u64,
}

#[derive(Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(rename = "Category")]
enum CategoryForm {
    Work,
    Network,
    Dependency,
}

#[derive(Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(rename = "Overlap")]
struct OverlapForm {
    parent: u32,
    rows: Vec<u32>,
    saves_up_to: u64,
}

#[derive(Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(rename = "Completeness")]
struct CompletenessForm {
    complete: bool,
    orphans: u64,
    #[ts(type = "Partial<Record<RefusalReason, number>>")]
    refused: BTreeMap<String, u64>,
    evicted: u64,
    dropped: u64,
}

#[derive(Serialize, Deserialize, TS)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
#[ts(rename = "Repair")]
enum RepairForm {
    Cycle { row: u32 },
    DuplicateId { row: u32 },
    MissingParent { row: u32 },
    ClockSkew { row: u32, offset: i64 },
    NegativeDuration { row: u32 },
}

/// `export type Name = "a" | "b";`
fn union<T: Serialize>(name: &str, values: &[T]) -> String {
    let words: Vec<String> = values.iter().map(|value| serde_json::to_string(value).unwrap()).collect();
    format!("export type {name} = {};\n", words.join(" | "))
}

fn declaration<T: TS>(text: &mut String, config: &Config) {
    writeln!(text, "export {}", T::decl(config)).unwrap();
}

/// The whole file.
#[expect(clippy::too_many_lines, reason = "one line a type")]
fn declared() -> String {
    let config = Config::new().with_large_int("number");
    let mut text = String::from(
        "// The answers of the viewer's API, written from its structs by a test of `src/api/types.rs`. Not to be edited.\n\n",
    );
    text.push_str(FOREIGN);
    text.push_str(&union("Kind", &filter::KINDS.map(|(_, kind)| kind)));
    text.push_str(&union("StatusCode", &filter::STATUSES.map(|(_, status)| status)));
    text.push_str(&union("PeerKind", &PeerKind::ALL));
    text.push_str(&union("FindingKind", &FindingKind::ALL));
    text.push_str(&union("RefusalReason", &RefusalReason::ALL));
    text.push_str(&union("EvictionReason", &EvictionReason::ALL));
    macro_rules! declare {
        ($($answer:ty),* $(,)?) => { $(declaration::<$answer>(&mut text, &config);)* };
    }
    declare![
        CategoryForm,
        PathPart,
        OverlapForm,
        CompletenessForm,
        RepairForm,
        figures::ExampleIds,
        figures::Figure,
        search::RootSpan,
        search::Service,
        search::Matched,
        search::Failed,
        search::Line,
        search::Page,
        points::Point,
        points::Scatter,
        points::Matches,
        columns::SpanColumns,
        columns::TraceColumns,
        tail::SpanEvent<'static>,
        tail::MissedEvent,
        trace::Rows,
        trace::Segment,
        trace::Division,
        trace::Answer,
        findings::TraceFinding,
        findings::TraceFindings,
        span::StatusDetails<'static>,
        span::EventDetails<'static>,
        span::LinkDetails<'static>,
        span::ResourceDetails<'static>,
        span::ScopeDetails<'static>,
        span::SpanDetails<'static>,
        logs::LogDetails<'static>,
        logs::Page<'static>,
        span::LinkedFrom,
        span::Answer<'static>,
        transfer::Imported,
        series::LatencyLine,
        series::StepLine,
        series::DeploymentLine,
        series::Series,
        groups::Group,
        groups::Grouping,
        facets::FacetValue,
        facets::Facet,
        facets::Answer,
        differences::Difference,
        differences::Comparison,
        aggregate::PlaceLine,
        aggregate::WhatIfLine,
        aggregate::FlameLine,
        aggregate::EdgeLine,
        aggregate::RecurringLine,
        aggregate::CommonOfTraces,
        compare::ComparedTrace,
        compare::Typical,
        compare::ComparedPlace,
        compare::ComparedSide,
        compare::ComparedLine,
        compare::ComparedTraces,
        services::ServiceLine,
        services::Services,
        services::Operation,
        services::Operations,
        map::NodeFigure,
        map::Node,
        map::Edge,
        map::Map,
        alerts::SilenceLine,
        alerts::AlertLine,
        alerts::ReadingLine,
        alerts::RuleLine,
        alerts::EntryLine,
        alerts::ReceiverLine,
        alerts::Page,
        alerts::Summary,
        anomalies::AnomalyLine,
        anomalies::Anomalies,
        crate::alerts::PinnedBy,
        pins::PinLine,
        pins::PinList,
        names::Operation,
        names::Names<String>,
        status::Endpoints,
        status::UsageDetails,
        status::Logs,
        status::Total,
        status::Account,
        status::Status,
    ];
    text
}

#[test]
fn the_page_is_checked_against_the_types_of_this_api() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("page/kit/api-types.d.ts");
    let declared = declared();
    if std::env::var_os("UPDATE_API_TYPES").is_some() {
        std::fs::write(&file, &declared).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == declared,
        "{} is not what the API answers; write it with UPDATE_API_TYPES=1 and run `cargo xtask test` again",
        file.display()
    );
}

/// Fails when the form misses or adds a member.
fn has_form<Form: Serialize + DeserializeOwned>(value: &impl Serialize) {
    let sent = serde_json::to_value(value).unwrap();
    let form: Form = serde_json::from_value(sent.clone()).unwrap();
    assert_eq!(serde_json::to_value(form).unwrap(), sent);
}

#[test]
fn what_other_crates_serialise_has_the_form_that_is_written_for_it() {
    for category in [Category::Work, Category::Network, Category::Dependency] {
        has_form::<PathPart>(&Part { row: 1, category, time: 2 });
    }
    has_form::<OverlapForm>(&Overlap { parent: 1, rows: vec![2], saves_up_to: 3 });
    let refused = [(RefusalReason::Disk, 1)].into();
    has_form::<CompletenessForm>(&Completeness {
        complete: false,
        orphans: 1,
        refused,
        evicted: 2,
        dropped: 3,
    });
    for repair in [
        Repair::Cycle { row: 1 },
        Repair::DuplicateId { row: 1 },
        Repair::MissingParent { row: 1 },
        Repair::ClockSkew { row: 1, offset: -2 },
        Repair::NegativeDuration { row: 1 },
    ] {
        has_form::<RepairForm>(&repair);
    }
}

#[test]
fn unions_name_every_value() {
    for number in 0..=5 {
        let kind = Kind::from_number(number);
        assert!(filter::KINDS.contains(&(kind.name(), kind)));
    }
    for number in 0..=2 {
        let status = StatusCode::from_number(number);
        assert!(filter::STATUSES.contains(&(status.name(), status)));
    }
}

#[test]
fn every_type_of_value_is_among_the_typed_values() {
    let values = [
        Value::Empty,
        Value::Bool(true),
        Value::Int(1),
        Value::Double(1.0),
        Value::Text("".into()),
        Value::Bytes(Vec::new().into()),
        Value::Array([Value::Int(1)].into()),
        Value::Map([Attribute { key: "k".into(), value: Value::Int(1) }].into()),
    ];
    for value in &values {
        let name = format!("\"{}\"", values::type_name(value));
        assert!(FOREIGN.contains(&name), "{name}");
    }
}
