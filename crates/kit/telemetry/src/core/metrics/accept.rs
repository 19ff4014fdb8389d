//! Which of the two text formats a request asks for.

use http::{HeaderMap, header};

/// Whether OpenMetrics of a version that is had is named, and not less wanted than Prometheus' text format.
pub(super) fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut open_metrics, mut text) = (0.0, 0.0);
    for media in values.flat_map(|value| value.split(',')) {
        let mut parts = media.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let parameter = |wanted: &str| {
            let mut named = parameters.iter().filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            named.next().map(|(_, value)| value.trim().trim_matches('"'))
        };
        let weight = parameter("q").map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
        let version = parameter("version");
        match name.as_str() {
            "application/openmetrics-text" if version.is_none_or(|version| version == "1.0.0") => {
                open_metrics = weight.max(open_metrics);
            }
            "text/plain" if version.is_none_or(|version| version == "0.0.4") => text = weight.max(text),
            _ => {}
        }
    }
    open_metrics > 0.0 && open_metrics >= text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &'static str) -> bool {
        wants_open_metrics(&[(header::ACCEPT, accept.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn open_metrics_is_given_to_those_who_name_it() {
        // What Prometheus 3 sends.
        assert!(wants(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        ));
        assert!(
            wants("Application/OpenMetrics-Text") && wants("text/html, application/openmetrics-text; q=0.1")
        );
    }

    #[test]
    fn everybody_else_gets_the_older_format() {
        for accept in [
            "*/*",
            "text/plain",
            "text/html,application/xhtml+xml",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=x",
            "application/openmetrics-text;q=0.2, text/plain;q=0.3",
        ] {
            assert!(!wants(accept), "{accept}");
        }
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }
}
