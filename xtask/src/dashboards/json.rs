//! A dashboard as Grafana reads it (schema 39, Grafana 10 and later).

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Dashboard, Kind, Panel, Unit};

/// Grafana lays panels out on a grid of this width.
const WIDTH: usize = 24;
const HEIGHT: usize = 8;
/// How the metrics begin that come from spans, and so with exemplars: those of the viewer and of the Collector.
const SPAN_METRICS: &str = "traces_span";

/// The file of a dashboard.
pub(super) fn text(dashboard: &Dashboard) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(&model(dashboard)).context("writing a dashboard")?;
    Ok(text + "\n")
}

fn model(dashboard: &Dashboard) -> Value {
    let mut panels = Vec::new();
    let mut top = 0;
    for row in dashboard.rows {
        panels.push(json!({
            "id": panels.len() + 1,
            "type": "row",
            "title": row.title,
            "collapsed": false,
            "gridPos": { "x": 0, "y": top, "w": WIDTH, "h": 1 },
            "panels": [],
        }));
        top += 1;
        let width = WIDTH / row.panels.len().clamp(1, 4);
        for (index, shown) in row.panels.iter().enumerate() {
            let in_line = WIDTH / width;
            let (line, column) = (index / in_line, index % in_line);
            let place = json!({ "x": column * width, "y": top + line * HEIGHT, "w": width, "h": HEIGHT });
            panels.push(panel(shown, panels.len() + 1, &place));
        }
        top += row.panels.len().div_ceil(WIDTH / width) * HEIGHT;
    }
    json!({
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.purpose,
        "tags": ["waypost"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": { "from": "now-1h", "to": "now" },
        "timezone": "browser",
        "links": [
            { "type": "dashboards", "title": "Waypost", "tags": ["waypost"], "asDropdown": true, "keepTime": true,
              "includeVars": false, "icon": "external link", "targetBlank": false, "tooltip": "", "url": "" },
            { "type": "link", "title": "Traces", "url": "${viewer}/search", "targetBlank": true, "icon": "bolt",
              "tooltip": "The traces behind these numbers", "tags": [], "asDropdown": false, "keepTime": false,
              "includeVars": false },
        ],
        "templating": { "list": variables(dashboard.by_service) },
        "annotations": { "list": [] },
        "panels": panels,
    })
}

fn variables(by_service: bool) -> Vec<Value> {
    let mut list = vec![
        json!({ "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1 }),
        json!({ "name": "viewer", "label": "Viewer", "type": "textbox", "query": "http://localhost:16686",
                "current": { "text": "http://localhost:16686", "value": "http://localhost:16686" } }),
    ];
    if by_service {
        list.push(json!({
            "name": "service", "label": "Service", "type": "query", "datasource": source(),
            "query": { "query": "label_values(target_info, service_name)", "refId": "services" },
            "definition": "label_values(target_info, service_name)",
            "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
            "current": { "text": ["All"], "value": ["$__all"] },
        }));
    }
    list
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn panel(panel: &Panel, id: usize, place: &Value) -> Value {
    let targets = panel.queries.iter().zip('A'..).map(|((query, legend), letter)| {
        json!({
            "refId": letter.to_string(),
            "datasource": source(),
            "expr": query,
            "legendFormat": legend,
            "exemplar": query.contains(SPAN_METRICS),
            "instant": matches!(panel.kind, Kind::Number | Kind::Bars),
            "range": !matches!(panel.kind, Kind::Number | Kind::Bars),
        })
    });
    // From a series of a service to its traces.
    let link = json!({ "title": "Traces of this service", "targetBlank": true,
                       "url": "${viewer}/search?service=${__field.labels.service_name}" });
    let names_service = panel.queries.iter().any(|(_, legend)| legend.contains("{{service_name}}"));
    json!({
        "id": id,
        "type": match panel.kind { Kind::Lines | Kind::Stack => "timeseries", Kind::Number => "stat", Kind::Bars => "bargauge" },
        "title": panel.title,
        "description": panel.note,
        "datasource": source(),
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": unit(panel.unit),
                "min": 0,
                "custom": custom(panel.kind),
                "links": if names_service { vec![link] } else { Vec::new() },
            },
            "overrides": [],
        },
        "options": options(panel.kind),
        "targets": targets.collect::<Vec<_>>(),
    })
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "short",
        Unit::PerSecond => "reqps",
        Unit::Seconds => "s",
        Unit::Bytes => "bytes",
        Unit::Share => "percentunit",
    }
}

fn custom(kind: Kind) -> Value {
    match kind {
        Kind::Lines => {
            json!({ "drawStyle": "line", "fillOpacity": 0, "lineWidth": 1, "showPoints": "never" })
        }
        Kind::Stack => json!({ "drawStyle": "line", "fillOpacity": 40, "lineWidth": 1, "showPoints": "never",
                               "stacking": { "mode": "normal", "group": "A" } }),
        Kind::Number | Kind::Bars => json!({}),
    }
}

fn options(kind: Kind) -> Value {
    match kind {
        Kind::Lines | Kind::Stack => json!({
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Kind::Number => json!({
            "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "textMode": "auto",
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
        }),
        Kind::Bars => json!({
            "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true,
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
        }),
    }
}
