// Which answer of the API belongs to which path. The answers themselves are in api-types.d.ts, written from the Rust structs.

import type {
  CommonOfTraces,
  ComparedTraces,
  AlertPage,
  AlertSilence,
  AlertSummary,
  AnomalyList,
  Comparison,
  Facets,
  FiguresOverTime,
  Grouping,
  Imported,
  LogPage,
  Matches,
  NameList,
  OperationList,
  OperationName,
  Pin,
  PinList,
  Points,
  SearchPage,
  ServiceList,
  ServiceMap,
  SpanAnswer,
  TailMissed,
  TailSpan,
  TraceAnswer,
  TraceFindings,
  TraceColumns,
  ViewerStatus,
} from "./api-types";

/** What a GET of this path answers; a path that is not known here is a mistake of the caller. */
export type AnswerOf<Path extends string> = Path extends "/search"
  ? SearchPage
  : Path extends "/aggregate"
  ? CommonOfTraces
  : Path extends "/compare"
  ? ComparedTraces
  : Path extends "/alerts"
    ? AlertPage
  : Path extends "/alerts/summary"
    ? AlertSummary
  : Path extends "/anomalies"
    ? AnomalyList
  : Path extends "/pins"
    ? PinList
  : Path extends `/traces/${string}/pin`
    ? Pin
  : Path extends "/points"
    ? Points
    : Path extends "/facets"
    ? Facets
    : Path extends "/groups"
    ? Grouping
    : Path extends "/differences"
    ? Comparison
    : Path extends "/services"
      ? ServiceList
      : Path extends "/series" | "/search/series"
      ? FiguresOverTime
      : Path extends "/map"
        ? ServiceMap
        : Path extends "/status"
          ? ViewerStatus
          : Path extends "/names/operations"
            ? NameList<OperationName>
            : Path extends `/names/${string}`
              ? NameList<string>
              : Path extends `/services/${string}/operations`
                ? OperationList
                : Path extends `/traces/${string}/columns`
                  ? TraceColumns
                : Path extends `/traces/${string}/spans/${string}`
                  ? SpanAnswer
                  : Path extends `/traces/${string}/matches`
                    ? Matches
                    : Path extends `/traces/${string}/findings`
                    ? TraceFindings
                    : Path extends "/logs" | `/traces/${string}/logs`
                      ? LogPage
                      : Path extends `/traces/${string}`
                        ? TraceAnswer
                        : never;

/** What a POST of this path answers. */
export type PostAnswerOf<Path extends string> = Path extends "/traces"
  ? Imported
  : Path extends "/silences"
    ? AlertSilence
    : Path extends `/traces/${string}/pin`
      ? Pin
      : never;

/** The events of a stream, by name. */
export type TailEvents = { span: TailSpan; missed: TailMissed };
