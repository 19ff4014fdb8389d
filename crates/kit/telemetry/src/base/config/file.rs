//! Settings from a TOML file.

use std::path::Path;

use super::{Problem, Settings, SettingsError};

impl Settings {
    /// Settings from TOML text; an unknown key is a problem.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text)
            .map_err(|error| SettingsError { problems: vec![syntax_problem("TOML", text, &error)] })?;
        settings.check()?;
        Ok(settings)
    }

    /// Settings from a TOML file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SettingsError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError { problems: vec![Problem::new(&name, "", error.to_string())] })?;
        let settings: Self = toml::from_str(&text)
            .map_err(|error| SettingsError { problems: vec![syntax_problem(&name, &text, &error)] })?;
        settings.check()?;
        Ok(settings)
    }
}

/// The error's message with its line; the library's own text repeats the line, which may hold a secret.
fn syntax_problem(name: &str, text: &str, error: &toml::de::Error) -> Problem {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    Problem::new(format!("{name} line {line}"), "", error.message())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::config::{Exporter, LogFormat, SamplerKind};

    #[test]
    fn a_file_sets_what_it_names_and_keeps_the_rest() {
        let settings = Settings::from_toml(
            r#"
            service_name = "order-service"
            [traces]
            exporters = ["otlp_grpc", "memory"]
            sampler = "parentbased_traceidratio"
            ratio = 0.25
            [traces.batch]
            delay = "200ms"
            [logs]
            format = "json"
            [otlp]
            headers = { authorization = "Bearer secret" }
            [otlp.metrics]
            timeout = "3s"
            "#,
        )
        .unwrap();

        assert_eq!(settings.traces.exporters, [Exporter::OtlpGrpc, Exporter::Memory]);
        assert_eq!(settings.traces.sampler, SamplerKind::ParentBasedRatio);
        assert_eq!(settings.traces.batch.delay, Duration::from_millis(200));
        assert_eq!(settings.traces.batch.queue_size, 16_384);
        assert_eq!(settings.logs.format, LogFormat::Json);
        assert_eq!(settings.otlp.metrics.timeout, Some(Duration::from_secs(3)));
        assert!(settings.enabled);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Settings::from_toml("servicename = \"x\"").unwrap_err();
        assert!(error.to_string().contains("servicename"), "{error}");
    }

    #[test]
    fn what_is_serialized_is_read_back_and_hides_secrets() {
        let mut settings = Settings::new("a");
        settings.otlp.headers.0.insert("authorization".to_owned(), "Bearer secret".to_owned());
        let text = toml::to_string(&settings).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert!(!format!("{settings:?}").contains("secret"));

        settings.otlp.headers.0.clear();
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(Settings::from_toml(&text).unwrap(), settings);
    }
}
