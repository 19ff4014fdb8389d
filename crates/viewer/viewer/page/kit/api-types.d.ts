// The answers of the viewer's API, written from its structs by a test of `src/api/types.rs`. Not to be edited.

/** 32 lower-case hexadecimal digits. */
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
export type Kind = "internal" | "server" | "client" | "producer" | "consumer" | "unspecified";
export type StatusCode = "error" | "ok" | "unset";
export type PeerKind = "service" | "caller" | "database" | "cache" | "messaging" | "external";
export type FindingKind = "repeated_call" | "serial_calls" | "slow_dependency" | "retries" | "waiting" | "cache_miss" | "instrumentation_gap" | "clock_skew" | "swallowed_error";
export type RefusalReason = "malformed" | "invalid_id" | "attribute_limit" | "part_limit" | "trace_limit" | "too_large" | "overloaded" | "disk" | "repeated";
export type EvictionReason = "size" | "age" | "damaged";
export type Category = "work" | "network" | "dependency";
export type PathPart = { row: number, category: Category, time: number, };
export type Overlap = { parent: number, rows: Array<number>, saves_up_to: number, };
export type Completeness = { complete: boolean, orphans: number, refused: Partial<Record<RefusalReason, number>>, evicted: number, dropped: number, };
export type Repair = { "what": "cycle", row: number, } | { "what": "duplicate_id", row: number, } | { "what": "missing_parent", row: number, } | { "what": "clock_skew", row: number, offset: number, } | { "what": "negative_duration", row: number, };
export type Examples = { recent: TraceId | null, slowest: TraceId | null, failed: TraceId | null, };
export type Figure = { calls: number, errors: number, 
/**
 * Calls a second, of the time since the first span came if that is within the window.
 */
rate: number, p50: number, p95: number, p99: number, examples: Examples, };
export type FoundRoot = { span_id: SpanId, service: string, name: string, kind: Kind, status: StatusCode, is_root: boolean, };
export type FoundService = { name: string, spans: number, errors: number, };
export type FoundMatch = { span_id: SpanId, start: Decimal, duration: number, status: StatusCode, service: string, name: string, 
/**
 * Of the status.
 */
message: string, };
export type FoundError = { span_id: SpanId, service: string, name: string, 
/**
 * Of the status.
 */
message: string, 
/**
 * What says most of why: the message, else the message or the type of its last exception, else its `error.type`; may be
 * empty.
 */
reason: string, };
export type FoundTrace = { trace_id: TraceId, start: Decimal, duration: number, spans: number, errors: number, orphans: number, complete: boolean, root: FoundRoot, services: Array<FoundService>, match: FoundMatch, 
/**
 * The failed span that says most of why: of those whose status has a message the last to begin, which is where a failure
 * comes from rather than where it was passed on; else the last of all.
 */
error: FoundError | null, 
/**
 * For each column that was asked for its value: of the span that was matched, else of the root, else of `error`.
 */
columns: Array<string | null>, };
export type SearchPage = { traces: Array<FoundTrace>, next: string | null, scanned_to: Decimal | null, };
export type Point = { trace_id: TraceId, span_id: SpanId, start: Decimal, duration: number, status: StatusCode, };
export type Points = { points: Array<Point>, next: string | null, scanned_to: Decimal | null, };
export type Matches = { span_ids: Array<SpanId>, is_partial: boolean, };
export type SpanColumns = { span_id: SpanId, 
/**
 * In the order of the columns that were asked for.
 */
values: Array<string | null>, };
export type TraceColumns = { 
/**
 * Spans that have one of the values, by start.
 */
spans: Array<SpanColumns>, };
export type TailSpan = { trace_id: TraceId, span_id: SpanId, service: string, name: string, kind: Kind, status: StatusCode, start: Decimal, duration: number, is_root: boolean, };
export type TailMissed = { spans: number, };
export type TraceRows = { id: Array<SpanId>, parent: Array<number>, depth: Array<number>, descendants: Array<number>, service: Array<number>, name: Array<number>, kind: Array<Kind>, status: Array<StatusCode>, start: Array<number>, duration: Array<number>, attributes: Array<number>, events: Array<number>, links: Array<number>, logs: Array<number>, dropped: Array<number>, orphan: Array<boolean>, };
export type PathSegment = { row: number, start: number, duration: number, };
export type TracePath = { root: number, segments: Array<PathSegment>, parts: Array<PathPart>, slowest: number | null, overlaps: Array<Overlap>, outliving: Array<number>, };
export type TraceAnswer = { trace_id: TraceId, start: Decimal, duration: number, spans: number, errors: number, services: Array<string>, names: Array<string>, rows: TraceRows, roots: Array<number>, repairs: Array<Repair>, completeness: Completeness, critical_path: TracePath | null, };
export type TraceFinding = { kind: FindingKind, sentence: string, service: string, place: string, 
/**
 * Spans that show it.
 */
spans: number, 
/**
 * The first of them.
 */
span_ids: Array<SpanId>, 
/**
 * Nanoseconds of the critical path in these spans and below them.
 */
on_path: number, 
/**
 * Nanoseconds that the root would have taken less without it, at most.
 */
saves: number, };
export type TraceFindings = { trace_id: TraceId, 
/**
 * Of the main root.
 */
duration: number, spans: number, 
/**
 * Spans whose attributes were looked at.
 */
detailed: number, 
/**
 * Those that save most first.
 */
findings: Array<TraceFinding>, };
export type StatusDetails = { code: StatusCode, message: string, };
export type EventDetails = { time: Decimal, name: string, attributes: Array<Attribute>, dropped_attributes: number, };
export type LinkDetails = { trace_id: TraceId, span_id: SpanId, trace_state: string, flags: number, attributes: Array<Attribute>, dropped_attributes: number, kept: boolean | null, };
export type ResourceDetails = { service: string, attributes: Array<Attribute>, dropped_attributes: number, schema_url: string, };
export type ScopeDetails = { name: string, version: string, attributes: Array<Attribute>, dropped_attributes: number, schema_url: string, };
export type SpanDetails = { span_id: SpanId, parent_span_id: SpanId | null, trace_state: string, flags: number, name: string, kind: Kind, start: Decimal, end: Decimal, status: StatusDetails, attributes: Array<Attribute>, dropped_attributes: number, events: Array<EventDetails>, dropped_events: number, links: Array<LinkDetails>, dropped_links: number, resource: ResourceDetails, scope: ScopeDetails, };
export type LogDetails = { time: Decimal, observed: Decimal, severity: number, severity_text: string, body: TypedValue["value"], body_type: TypedValue["type"], event_name: string, attributes: Array<Attribute>, dropped_attributes: number, trace_id: TraceId | null, span_id: SpanId | null, service: string, scope: string, };
export type LogPage = { logs: Array<LogDetails>, next: string | null, scanned_to: Decimal | null, };
export type SpanAddress = { trace_id: TraceId, span_id: SpanId, };
export type SpanAnswer = { spans: Array<SpanDetails>, logs: Array<LogDetails>, linked_from: Array<SpanAddress>, linked_from_is_partial: boolean, };
export type Imported = { trace_ids: Array<TraceId>, spans: number, logs: number, refused: Partial<Record<RefusalReason, number>>, };
export type LatencyCount = { from: number, to: number, calls: number, errors: number, };
export type FigureStep = { start: Decimal, is_over: boolean, calls: number, errors: number, 
/**
 * Calls a second; `None` before the first span ever came.
 */
rate: number | null, p50: number | null, p95: number | null, p99: number | null, apdex: number | null, examples: Examples, latencies: Array<LatencyCount>, };
export type DeploymentOf = { service: string, version: string, 
/**
 * The version before it; `None` for the first that is known.
 */
before: string | null, at: Decimal, };
export type FiguresOverTime = { from: Decimal, to: Decimal, step: number, since: Decimal | null, apdex_target: number, steps: Array<FigureStep>, deployments: Array<DeploymentOf>, 
/**
 * Where spans are looked through: set when the store stopped early.
 */
scanned_to: Decimal | null, };
export type Group = { value: string, spans: number, errors: number, 
/**
 * Of all spans, from 0 to 1.
 */
share: number, p50: number, p95: number, p99: number, examples: Examples, };
export type Grouping = { by: string, spans: number, errors: number, 
/**
 * Spans that have no such value.
 */
without: number, 
/**
 * Different values.
 */
values: number, groups: Array<Group>, 
/**
 * Spans of the values that are not listed.
 */
others: number, scanned_to: Decimal | null, };
export type FacetValue = { value: string, spans: number, errors: number, };
export type Facet = { by: string, 
/**
 * The most frequent first.
 */
values: Array<FacetValue>, 
/**
 * Different values, those that are not listed included.
 */
distinct: number, 
/**
 * Spans of values that are not listed.
 */
others: number, 
/**
 * Spans that have no such value.
 */
without: number, };
export type Facets = { spans: number, errors: number, 
/**
 * In the order that was asked for.
 */
facets: Array<Facet>, scanned_to: Decimal | null, };
export type Difference = { 
/**
 * As `by` of `/groups` names it.
 */
field: string, value: string, 
/**
 * Selected spans that have this value.
 */
selected: number, 
/**
 * Others that have it.
 */
rest: number, 
/**
 * From 0 to 1.
 */
selected_share: number, rest_share: number, };
export type Comparison = { 
/**
 * Spans that are selected.
 */
selected: number, 
/**
 * The others that meet the filters.
 */
rest: number, differences: Array<Difference>, 
/**
 * Fields with too many different values, such as ids.
 */
varied: Array<string>, scanned_to: Decimal | null, };
export type PlaceLine = { service: string, operation: string, category: Category, 
/**
 * Nanoseconds of all roots.
 */
time: number, traces: number, p50: number, p95: number, worst: TraceId, };
export type WhatIfLine = { service: string, saved: number, p50: number, p95: number, traces: number, };
export type FlameLine = { 
/**
 * Place of its parent in the list.
 */
parent: number | null, service: string, operation: string, spans: number, errors: number, traces: number, time: number, self_time: number, on_path: number, self_on_path: number, };
export type EdgeLine = { from: string, to: string, is_service: boolean, traces: number, calls: number, p50: number, p95: number, max: number, worst: TraceId, 
/**
 * What the worst trace asked most often, without values.
 */
call: string, alike: number, };
export type RecurringLine = { kind: FindingKind, service: string, place: string, traces: number, spans: number, saves: number, p50: number, sentence: string, examples: Array<TraceId>, 
/**
 * Which instance most of the traces with it passed through, with counts.
 */
instance: string | null, };
export type CommonOfTraces = { 
/**
 * Traces that were looked at.
 */
traces: number, 
/**
 * Traces that meet the filters.
 */
matching: number, 
/**
 * Whether more may meet them.
 */
is_partial: boolean, scanned_to: Decimal | null, 
/**
 * Whether each trace is looked at from the span on that meets the filters.
 */
from_match: boolean, 
/**
 * Of the roots, in nanoseconds.
 */
total: number, p50: number, p95: number, places: Array<PlaceLine>, what_if: Array<WhatIfLine>, flame: Array<FlameLine>, 
/**
 * Spans that are not in `flame`, as there are too many different paths.
 */
flame_left_out: number, edges: Array<EdgeLine>, findings: Array<RecurringLine>, };
export type ComparedTrace = { trace_id: TraceId, start: Decimal, 
/**
 * Of the main root.
 */
duration: number, spans: number, errors: number, service: string, name: string, };
export type Typical = { 
/**
 * Traces of the same root operation that were looked at.
 */
of: number, 
/**
 * Those of them with the most common shape, the typical one among them.
 */
same_shape: number, 
/**
 * The middle of their durations.
 */
median: number, };
export type ComparedPlace = { service: string, operation: string, 
/**
 * Nanoseconds of the left root that it takes itself.
 */
left: number, right: number, };
export type ComparedSide = { spans: number, errors: number, 
/**
 * Nanoseconds of the spans, added up.
 */
time: number, 
/**
 * Nanoseconds of the critical path in them and below them.
 */
on_path: number, 
/**
 * Nanoseconds of the critical path in them alone.
 */
self_on_path: number, 
/**
 * The first of them.
 */
span_ids: Array<SpanId>, };
export type ComparedLine = { 
/**
 * Place of the line above.
 */
parent: number | null, depth: number, service: string, name: string, kind: Kind, left: ComparedSide | null, right: ComparedSide | null, };
export type ComparedTraces = { left: ComparedTrace, right: ComparedTrace, 
/**
 * How the right trace was chosen, when it was asked for what is typical.
 */
typical: Typical | null, 
/**
 * The difference of the roots by service and operation: these add up to it. The largest first.
 */
changes: Array<ComparedPlace>, lines: Array<ComparedLine>, left_out: number, };
export type ServiceFigures = { service: string, operations: number, calls: number, errors: number, 
/**
 * Calls a second, of the time since the first span came if that is within the window.
 */
rate: number, p50: number, p95: number, p99: number, examples: Examples, };
export type ServiceList = { services: Array<ServiceFigures>, };
export type OperationFigures = { name: string, kind: Kind, calls: number, errors: number, 
/**
 * Calls a second, of the time since the first span came if that is within the window.
 */
rate: number, p50: number, p95: number, p99: number, examples: Examples, };
export type OperationList = { operations: Array<OperationFigures>, };
export type NodeFigure = Figure | { calls: null, errors: null, rate: null, p50: null, p95: null, p99: null, examples: null, };
export type MapNode = { id: string, kind: PeerKind, name: string, } & (Figure | { calls: null, errors: null, rate: null, p50: null, p95: null, p99: null, examples: null, });
export type MapEdge = { from: string, to: string, calls: number, errors: number, 
/**
 * Calls a second, of the time since the first span came if that is within the window.
 */
rate: number, p50: number, p95: number, p99: number, examples: Examples, };
export type ServiceMap = { nodes: Array<MapNode>, edges: Array<MapEdge>, };
export type AlertSilence = { id: string, rule: string | null, labels: { [key in string]: string }, reason: string, created: Decimal, until: Decimal, };
export type AlertLine = { fingerprint: string, rule: string, state: string, severity: string, place: Place, labels: { [key in string]: string }, since: Decimal, 
/**
 * When it began to fire.
 */
fired: Decimal | null, value: number | null, threshold: number | null, unit: FigureUnit | null, sentence: string, summary: string, runbook: string, examples: Array<TraceId>, silence: AlertSilence | null, };
export type RuleReading = { place: Place, state: string, value: number | null, calls: number, sentence: string, };
export type AlertRule = { name: string, kind: string, severity: string, place: Place, threshold: number, unit: FigureUnit, window: number, hold: number, summary: string, runbook: string, 
/**
 * How many places it measures; the readings are of the worst.
 */
places: number, readings: Array<RuleReading>, };
export type AlertEntry = { at: Decimal, state: string, rule: string, place: Place, sentence: string, fired: Decimal, is_silenced: boolean, examples: Array<TraceId>, };
export type AlertReceiver = { name: string, kind: string, waiting: number, 
/**
 * Since the viewer started, as the numbers below.
 */
delivered: number, failed: number, refused: number, 
/**
 * Given up because too many waited.
 */
given_up: number, trouble: string | null, last: Decimal | null, };
export type AlertPage = { 
/**
 * When the rules were last held against figures.
 */
evaluated: Decimal | null, 
/**
 * Nanoseconds between two evaluations.
 */
every: number, alerts: Array<AlertLine>, rules: Array<AlertRule>, silences: Array<AlertSilence>, history: Array<AlertEntry>, receivers: Array<AlertReceiver>, };
export type AlertSummary = { firing: number, pending: number, 
/**
 * Of the firing ones, those under a silence.
 */
silenced: number, anomalies: number, };
export type Anomaly = { what: "errors" | "latency" | "rate", place: Place, 
/**
 * The place as a sentence names it.
 */
name: string, since: Decimal, until: Decimal | null, 
/**
 * Of one that goes on as it is now, of one that ended as it was at its worst.
 */
sentence: string, 
/**
 * A share, a 95th percentile in nanoseconds, or calls in ten minutes.
 */
value: number, usual: number, examples: Array<TraceId>, };
export type AnomalyList = { active: Array<Anomaly>, ended: Array<Anomaly>, };
export type PinnedBy = "alert" | "person";
export type Pin = { trace_id: TraceId, pinned: Decimal, by: PinnedBy, reason: string, 
/**
 * Of its root span, as the name.
 */
service: string, name: string, start: Decimal, duration: number, spans: number, errors: number, bytes: number, };
export type PinList = { max_traces: number, max_bytes: number, bytes: number, pins: Array<Pin>, };
export type OperationName = { name: string, kind: Kind, };
export type NameList<T> = { names: Array<T>, is_partial: boolean, };
export type Endpoints = { otlp_grpc: string, otlp_http: string, zipkin: string, ui: string, };
export type Usage = { spans: number, logs: number, bytes: number, budget: number, keeps_for: number, oldest: Decimal | null, newest: Decimal | null, files: number, holds_for: number | null, trouble: string | null, };
export type LogCounts = { received: number, stored: number, refused: number, evicted: number, };
export type LedgerTotal = { received: number, stored: number, refused: Partial<Record<RefusalReason, number>>, evicted: Partial<Record<EvictionReason, number>>, logs: LogCounts, };
export type LedgerAccount = { service: string, received: number, stored: number, refused: Partial<Record<RefusalReason, number>>, evicted: Partial<Record<EvictionReason, number>>, logs: LogCounts, };
export type ViewerStatus = { version: string, now: Decimal, started: Decimal, endpoints: Endpoints, usage: Usage, total: LedgerTotal, services: Array<LedgerAccount>, };
