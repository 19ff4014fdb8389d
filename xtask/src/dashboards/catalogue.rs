//! The dashboards: what is shown, what is asked, how it is to be read.
//!
//! A query about something that has not happened yet has no series, and a panel without data looks broken. Such queries end with
//! `or` something that is there, and show 0.

use super::Kind::{Bars, Lines, Number, Stack};
use super::Unit::{Bytes, Count, PerSecond, Seconds, Share};
use super::{Dashboard, Panel, Row};

/// All of them, in the order of their menu.
pub(super) const DASHBOARDS: &[Dashboard] = &[OVERVIEW, ORDERS, SERVICE, RUNTIME, TELEMETRY];

const OVERVIEW: Dashboard = Dashboard {
    uid: "waypost-overview",
    title: "Waypost: overview",
    purpose: "Is the shop well, and if not, where to look next.",
    by_service: false,
    rows: &[
        Row {
            title: "Customers",
            panels: &[
                Panel {
                    title: "Orders failed",
                    note: "Share of the orders that customers sent which were answered with a 5xx. The objective allows 0.1 %.",
                    kind: Number,
                    unit: Share,
                    queries: &[(
                        r#"(sum(rate(http_server_request_duration_seconds_count{service_name="api-gateway",http_route="/api/orders",http_request_method="POST",http_response_status_code=~"5.."}[$__rate_interval])) or vector(0)) / sum(rate(http_server_request_duration_seconds_count{service_name="api-gateway",http_route="/api/orders",http_request_method="POST"}[$__rate_interval]))"#,
                        "failed",
                    )],
                },
                Panel {
                    title: "Orders sent",
                    note: "What customers send to POST /api/orders, by the status that they are answered.",
                    kind: Stack,
                    unit: PerSecond,
                    queries: &[(
                        r#"sum by (http_response_status_code) (rate(http_server_request_duration_seconds_count{service_name="api-gateway",http_route="/api/orders",http_request_method="POST"}[$__rate_interval]))"#,
                        "{{http_response_status_code}}",
                    )],
                },
                Panel {
                    title: "How long an order takes",
                    note: "From the first byte at the gateway to the end of the answer.",
                    kind: Lines,
                    unit: Seconds,
                    queries: &[
                        (
                            r#"histogram_quantile(0.5, sum by (le) (rate(http_server_request_duration_seconds_bucket{service_name="api-gateway",http_route="/api/orders",http_request_method="POST"}[$__rate_interval])))"#,
                            "half of them",
                        ),
                        (
                            r#"histogram_quantile(0.99, sum by (le) (rate(http_server_request_duration_seconds_bucket{service_name="api-gateway",http_route="/api/orders",http_request_method="POST"}[$__rate_interval])))"#,
                            "99 of 100",
                        ),
                    ],
                },
            ],
        },
        Row {
            title: "What needs a person",
            panels: &[
                Panel {
                    title: "Orders that are parked",
                    note: "What must succeed keeps failing. `waypost orders stuck` lists them.",
                    kind: Number,
                    unit: Count,
                    queries: &[("max(waypost_saga_stuck)", "parked")],
                },
                Panel {
                    title: "Oldest event in the outbox",
                    note: "Above a minute the broker is away.",
                    kind: Number,
                    unit: Seconds,
                    queries: &[("max(waypost_outbox_oldest_unpublished_age_seconds)", "age")],
                },
                Panel {
                    title: "Dead letters",
                    note: "Events that could not be handled, or never be published. `waypost dead-letters list` shows them.",
                    kind: Number,
                    unit: Count,
                    queries: &[
                        ("max(waypost_messaging_dead_letters)", "dead letters"),
                        ("max(waypost_outbox_parked)", "parked in the outbox"),
                    ],
                },
                Panel {
                    title: "Payments contradicted",
                    note: "The provider says of them what our books exclude.",
                    kind: Number,
                    unit: Count,
                    queries: &[("max(waypost_payment_contradictions)", "payments")],
                },
            ],
        },
        Row {
            title: "Services",
            panels: &[
                Panel {
                    title: "Calls between services",
                    note: "Calls that each service answers.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        "sum by (service_name) (rate(rpc_server_call_duration_seconds_count[$__rate_interval]))",
                        "{{service_name}}",
                    )],
                },
                Panel {
                    title: "Calls that failed",
                    note: "By the service's own fault or absence. A refusal for a reason, such as no stock, is an answer and not here.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        r#"sum by (service_name) (rate(rpc_server_call_duration_seconds_count{rpc_response_status_code=~"UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"}[$__rate_interval])) or 0 * sum by (service_name) (rate(rpc_server_call_duration_seconds_count[$__rate_interval]))"#,
                        "{{service_name}}",
                    )],
                },
                Panel {
                    title: "Breakers",
                    note: "0: calls pass. 1: one call probes. 2: calls are refused at once.",
                    kind: Lines,
                    unit: Count,
                    queries: &[(
                        "max by (service_name, waypost_target) (waypost_breaker_state)",
                        "{{service_name}} to {{waypost_target}}",
                    )],
                },
            ],
        },
    ],
};

const ORDERS: Dashboard = Dashboard {
    uid: "waypost-orders",
    title: "Waypost: orders",
    purpose: "What becomes of orders: how many get how far, why the others do not, and what they are worth.",
    by_service: false,
    rows: &[
        Row {
            title: "Funnel",
            panels: &[
                Panel {
                    title: "How far orders get",
                    note: "Orders a second at each step. What a bar is shorter than the one above got no further.",
                    kind: Bars,
                    unit: PerSecond,
                    queries: &[
                        (
                            r#"sum(rate(http_server_request_duration_seconds_count{service_name="api-gateway",http_route="/api/orders",http_request_method="POST"}[$__rate_interval]))"#,
                            "1 sent",
                        ),
                        (
                            r#"sum(rate(rpc_server_call_duration_seconds_count{rpc_method="waypost.order.v1.OrderService/CreateOrder"}[$__rate_interval]))"#,
                            "2 of users who may order",
                        ),
                        (
                            r#"sum(rate(rpc_server_call_duration_seconds_count{rpc_method="waypost.inventory.v1.InventoryService/Reserve",rpc_response_status_code="OK"}[$__rate_interval]))"#,
                            "3 stock reserved",
                        ),
                        (
                            r#"sum(rate(rpc_server_call_duration_seconds_count{rpc_method="waypost.payment.v1.PaymentService/Authorize",rpc_response_status_code="OK"}[$__rate_interval]))"#,
                            "4 payment authorised",
                        ),
                        (
                            r#"sum(rate(rpc_server_call_duration_seconds_count{rpc_method="waypost.payment.v1.PaymentService/Capture",rpc_response_status_code="OK"}[$__rate_interval]))"#,
                            "5 payment captured",
                        ),
                        (
                            r#"sum(rate(waypost_order_settled_total{order_status="completed"}[$__rate_interval]))"#,
                            "6 completed",
                        ),
                        (
                            r#"sum(rate(messaging_process_duration_seconds_count{messaging_destination_name="order-events"}[$__rate_interval]))"#,
                            "7 customer notified",
                        ),
                    ],
                },
                Panel {
                    title: "Completed of those that were settled",
                    note: "The share of orders that ended well.",
                    kind: Number,
                    unit: Share,
                    queries: &[(
                        r#"sum(rate(waypost_order_settled_total{order_status="completed"}[$__rate_interval])) / sum(rate(waypost_order_settled_total[$__rate_interval]))"#,
                        "completed",
                    )],
                },
            ],
        },
        Row {
            title: "Ends",
            panels: &[
                Panel {
                    title: "Orders by how they ended",
                    note: "Status, and the reason of those that failed.",
                    kind: Stack,
                    unit: PerSecond,
                    queries: &[(
                        "sum by (order_status, error_type) (rate(waypost_order_settled_total[$__rate_interval]))",
                        "{{order_status}} {{error_type}}",
                    )],
                },
                Panel {
                    title: "Out of stock",
                    note: "Orders that failed because nothing was left.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        r#"sum(rate(waypost_order_settled_total{error_type="out_of_stock"}[$__rate_interval])) or vector(0)"#,
                        "out of stock",
                    )],
                },
                Panel {
                    title: "Declined payments by code",
                    note: "The provider's own code. One that is new, or the same for everybody, is not the customers' fault.",
                    kind: Stack,
                    unit: PerSecond,
                    queries: &[(
                        "sum by (payment_provider_code) (rate(waypost_payment_declined_total[$__rate_interval])) or vector(0)",
                        "{{payment_provider_code}}",
                    )],
                },
            ],
        },
        Row {
            title: "Worth",
            panels: &[
                Panel {
                    title: "Amount of completed orders, an hour",
                    note: "In major units of the currency. A statistic: the books are in the payment service.",
                    kind: Lines,
                    unit: Count,
                    queries: &[(
                        r#"3600 * sum by (payment_currency) (rate(waypost_order_amount_total{order_status="completed"}[$__rate_interval]))"#,
                        "{{payment_currency}}",
                    )],
                },
                Panel {
                    title: "Amount of failed orders, an hour",
                    note: "What was not sold.",
                    kind: Lines,
                    unit: Count,
                    queries: &[(
                        r#"3600 * sum by (payment_currency) (rate(waypost_order_amount_total{order_status="failed"}[$__rate_interval])) or vector(0)"#,
                        "{{payment_currency}}",
                    )],
                },
            ],
        },
    ],
};

const SERVICE: Dashboard = Dashboard {
    uid: "waypost-service",
    title: "Waypost: a service",
    purpose: "Rate, errors and duration of what the chosen services answer and call.",
    by_service: true,
    rows: &[
        Row {
            title: "What it answers",
            panels: &[
                Panel {
                    title: "Requests and calls",
                    note: "HTTP by route, gRPC by method.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[
                        (
                            r#"sum by (service_name, http_route) (rate(http_server_request_duration_seconds_count{service_name=~"$service"}[$__rate_interval]))"#,
                            "{{service_name}} {{http_route}}",
                        ),
                        (
                            r#"sum by (service_name, rpc_method) (rate(rpc_server_call_duration_seconds_count{service_name=~"$service"}[$__rate_interval]))"#,
                            "{{service_name}} {{rpc_method}}",
                        ),
                    ],
                },
                Panel {
                    title: "By status",
                    note: "HTTP status or gRPC code of the answers.",
                    kind: Stack,
                    unit: PerSecond,
                    queries: &[
                        (
                            r#"sum by (service_name, http_response_status_code) (rate(http_server_request_duration_seconds_count{service_name=~"$service"}[$__rate_interval]))"#,
                            "{{service_name}} {{http_response_status_code}}",
                        ),
                        (
                            r#"sum by (service_name, rpc_response_status_code) (rate(rpc_server_call_duration_seconds_count{service_name=~"$service"}[$__rate_interval]))"#,
                            "{{service_name}} {{rpc_response_status_code}}",
                        ),
                    ],
                },
                Panel {
                    title: "Duration, 99 of 100",
                    note: "Of each route and method.",
                    kind: Lines,
                    unit: Seconds,
                    queries: &[
                        (
                            r#"histogram_quantile(0.99, sum by (service_name, http_route, le) (rate(http_server_request_duration_seconds_bucket{service_name=~"$service"}[$__rate_interval])))"#,
                            "{{service_name}} {{http_route}}",
                        ),
                        (
                            r#"histogram_quantile(0.99, sum by (service_name, rpc_method, le) (rate(rpc_server_call_duration_seconds_bucket{service_name=~"$service"}[$__rate_interval])))"#,
                            "{{service_name}} {{rpc_method}}",
                        ),
                    ],
                },
                Panel {
                    title: "Duration by its spans, 99 of 100, with traces",
                    note: "A point is a slow request: it leads to its trace. From the viewer's span metrics, or those of a Collector in front of it.",
                    kind: Lines,
                    unit: Seconds,
                    queries: &[
                        (
                            r#"histogram_quantile(0.99, sum by (service, span_name, le) (rate(traces_spanmetrics_latency_bucket{service=~"$service",span_kind="SPAN_KIND_SERVER"}[$__rate_interval])))"#,
                            "{{service}} {{span_name}}",
                        ),
                        (
                            r#"histogram_quantile(0.99, sum by (service_name, span_name, le) (rate(traces_span_metrics_duration_seconds_bucket{service_name=~"$service",span_kind="SPAN_KIND_SERVER"}[$__rate_interval])))"#,
                            "{{service_name}} {{span_name}}",
                        ),
                    ],
                },
            ],
        },
        Row {
            title: "What it calls",
            panels: &[
                Panel {
                    title: "Calls",
                    note: "By method, HTTP and gRPC.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[
                        (
                            r#"sum by (service_name, rpc_method) (rate(rpc_client_call_duration_seconds_count{service_name=~"$service"}[$__rate_interval]))"#,
                            "{{service_name}} {{rpc_method}}",
                        ),
                        (
                            r#"sum by (service_name, url_template) (rate(http_client_request_duration_seconds_count{service_name=~"$service"}[$__rate_interval]))"#,
                            "{{service_name}} {{url_template}}",
                        ),
                    ],
                },
                Panel {
                    title: "Calls that failed",
                    note: "With the reason, as the caller saw it: also what never reached the other side.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        r#"sum by (service_name, error_type) (rate(rpc_client_call_duration_seconds_count{service_name=~"$service",error_type!=""}[$__rate_interval])) or 0 * sum by (service_name) (rate(rpc_client_call_duration_seconds_count{service_name=~"$service"}[$__rate_interval]))"#,
                        "{{service_name}} {{error_type}}",
                    )],
                },
                Panel {
                    title: "Repeated calls",
                    note: "Calls that failed in a way that allows a retry, by what became of them.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        r#"sum by (service_name, waypost_target, waypost_retry_outcome) (rate(waypost_retries_total{service_name=~"$service"}[$__rate_interval])) or 0 * sum by (service_name) (rate(rpc_client_call_duration_seconds_count{service_name=~"$service"}[$__rate_interval]))"#,
                        "{{service_name}} to {{waypost_target}} {{waypost_retry_outcome}}",
                    )],
                },
            ],
        },
    ],
};

const RUNTIME: Dashboard = Dashboard {
    uid: "waypost-runtime",
    title: "Waypost: runtime and stores",
    purpose: "What the processes use, what waits, and what the databases and the broker do.",
    by_service: false,
    rows: &[
        Row {
            title: "Processes",
            panels: &[
                Panel {
                    title: "CPU",
                    note: "Cores in use. The label is that of the process's first role.",
                    kind: Stack,
                    unit: Count,
                    queries: &[(
                        "sum by (instance, service_name, cpu_mode) (rate(process_cpu_time_seconds_total[$__rate_interval]))",
                        "{{service_name}} {{instance}} {{cpu_mode}}",
                    )],
                },
                Panel {
                    title: "Memory",
                    note: "Resident memory.",
                    kind: Lines,
                    unit: Bytes,
                    queries: &[("process_memory_usage_bytes", "{{service_name}} {{instance}}")],
                },
                Panel {
                    title: "Threads and open files",
                    note: "Both are bounded by settings; a line that only rises is a leak.",
                    kind: Lines,
                    unit: Count,
                    queries: &[
                        ("process_thread_count", "threads {{service_name}} {{instance}}"),
                        ("process_unix_file_descriptor_count", "files {{service_name}} {{instance}}"),
                    ],
                },
                Panel {
                    title: "Up for",
                    note: "Time since the start. A saw is a process that is started again and again.",
                    kind: Lines,
                    unit: Seconds,
                    queries: &[("process_uptime_seconds", "{{service_name}} {{instance}}")],
                },
            ],
        },
        Row {
            title: "Limits",
            panels: &[
                Panel {
                    title: "Requests in flight",
                    note: "Worked on now, to the end of the answer's body.",
                    kind: Lines,
                    unit: Count,
                    queries: &[("sum by (service_name) (waypost_shed_in_flight)", "{{service_name}}")],
                },
                Panel {
                    title: "Requests shed",
                    note: "Refused with 503 because there were too many at once.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        "sum by (service_name, waypost_shed_reason) (rate(waypost_shed_requests_total[$__rate_interval])) or 0 * sum by (service_name) (waypost_shed_in_flight)",
                        "{{service_name}} {{waypost_shed_reason}}",
                    )],
                },
                Panel {
                    title: "Requests over their rate",
                    note: "Refused with 429, by the limit that did.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        "sum by (waypost_rate_limit_policy) (rate(waypost_rate_limit_requests_total[$__rate_interval])) or vector(0)",
                        "{{waypost_rate_limit_policy}}",
                    )],
                },
            ],
        },
        Row {
            title: "Databases and broker",
            panels: &[
                Panel {
                    title: "Operations",
                    note: "Units of work and reads, by database.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        "sum by (service_name, db_namespace) (rate(db_client_operation_duration_seconds_count[$__rate_interval]))",
                        "{{service_name}} {{db_namespace}}",
                    )],
                },
                Panel {
                    title: "Duration of operations, 99 of 100",
                    note: "With the commit, which is synced to the disk.",
                    kind: Lines,
                    unit: Seconds,
                    queries: &[(
                        "histogram_quantile(0.99, sum by (service_name, db_namespace, le) (rate(db_client_operation_duration_seconds_bucket[$__rate_interval])))",
                        "{{service_name}} {{db_namespace}}",
                    )],
                },
                Panel {
                    title: "Events",
                    note: "Sent by the relay, and handled by their consumers. The two lines should be one.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[
                        (
                            "sum by (service_name) (rate(messaging_client_sent_messages_total[$__rate_interval]))",
                            "sent by {{service_name}}",
                        ),
                        (
                            "sum by (service_name) (rate(messaging_process_duration_seconds_count[$__rate_interval]))",
                            "handled by {{service_name}}",
                        ),
                    ],
                },
                Panel {
                    title: "Outbox",
                    note: "Age of the oldest event that the broker does not have yet.",
                    kind: Lines,
                    unit: Seconds,
                    queries: &[(
                        "max by (service_name) (waypost_outbox_oldest_unpublished_age_seconds)",
                        "{{service_name}}",
                    )],
                },
            ],
        },
    ],
};

const TELEMETRY: Dashboard = Dashboard {
    uid: "waypost-telemetry",
    title: "Waypost: the ledger of the telemetry",
    purpose: "What became of every span and log record: started, queued, sent, lost.",
    by_service: false,
    rows: &[
        Row {
            title: "Spans",
            panels: &[
                Panel {
                    title: "Started",
                    note: "By where their parent is: none (a new trace), local, or remote.",
                    kind: Stack,
                    unit: PerSecond,
                    queries: &[(
                        "sum by (otel_span_parent_origin) (rate(otel_sdk_span_started_total[$__rate_interval]))",
                        "{{otel_span_parent_origin}}",
                    )],
                },
                Panel {
                    title: "Arrived",
                    note: "Taken by the receiver.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        r#"sum by (service_name) (rate(otel_sdk_exporter_span_exported_total{error_type=""}[$__rate_interval]))"#,
                        "{{service_name}}",
                    )],
                },
                Panel {
                    title: "Lost",
                    note: "Before the exporter because the queue was full, or in it because the receiver was away or said no.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        r#"sum by (service_name, error_type) (rate(otel_sdk_processor_span_processed_total{error_type!=""}[$__rate_interval]) or rate(otel_sdk_exporter_span_exported_total{error_type!=""}[$__rate_interval])) or 0 * sum by (service_name) (rate(otel_sdk_processor_span_processed_total[$__rate_interval]))"#,
                        "{{service_name}} {{error_type}}",
                    )],
                },
            ],
        },
        Row {
            title: "Queues",
            panels: &[
                Panel {
                    title: "Fill of the queue of spans",
                    note: "1 is full: from there on spans are lost.",
                    kind: Lines,
                    unit: Share,
                    queries: &[(
                        "max by (service_name) (otel_sdk_processor_span_queue_size / (otel_sdk_processor_span_queue_capacity > 0))",
                        "{{service_name}}",
                    )],
                },
                Panel {
                    title: "Being sent",
                    note: "Spans in requests to the receiver.",
                    kind: Lines,
                    unit: Count,
                    queries: &[(
                        "sum by (service_name) (otel_sdk_exporter_span_inflight)",
                        "{{service_name}}",
                    )],
                },
                Panel {
                    title: "Duration of sending, on average",
                    note: "Of a batch, with its retries. This histogram has no buckets, as the conventions have it.",
                    kind: Lines,
                    unit: Seconds,
                    queries: &[(
                        "sum by (service_name) (rate(otel_sdk_exporter_operation_duration_seconds_sum[$__rate_interval])) / sum by (service_name) (rate(otel_sdk_exporter_operation_duration_seconds_count[$__rate_interval]))",
                        "{{service_name}}",
                    )],
                },
            ],
        },
        Row {
            title: "Open and logs",
            panels: &[
                Panel {
                    title: "Spans that are open",
                    note: "Started and not ended. A line that only rises is a span that is never ended.",
                    kind: Lines,
                    unit: Count,
                    queries: &[("sum by (service_name) (otel_sdk_span_live)", "{{service_name}}")],
                },
                Panel {
                    title: "Log records",
                    note: "That were taken.",
                    kind: Lines,
                    unit: PerSecond,
                    queries: &[(
                        "sum by (service_name) (rate(otel_sdk_log_created_total[$__rate_interval]))",
                        "{{service_name}}",
                    )],
                },
            ],
        },
    ],
};
