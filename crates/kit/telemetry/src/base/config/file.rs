//! Settings from a TOML file.

use std::path::Path;

use waypost_settings::{File, Origin, Sources};

use super::{Problem, Settings, SettingsError};

impl Settings {
    /// Settings from TOML text; an unknown key is a problem.
    ///
    /// ```
    /// use waypost_telemetry::Settings;
    ///
    /// let settings = Settings::from_toml("service_name = \"order-service\"\n[traces]\nratio = 0.1")?;
    /// assert_eq!(settings.traces.ratio, 0.1);
    /// let error = Settings::from_toml("[traces]\nrati = 0.1").unwrap_err();
    /// assert!(error.to_string().contains("rati"), "{error}");
    /// # Ok::<(), waypost_telemetry::SettingsError>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        Self::load(File { name: "TOML".to_owned(), text: text.to_owned() })
    }

    /// Settings from a TOML file.
    ///
    /// ```
    /// let error = waypost_telemetry::Settings::from_file("/no/such/file.toml").unwrap_err();
    /// assert!(error.to_string().contains("cannot be read"), "{error}");
    /// ```
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SettingsError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::load(File { name, text }),
            Err(error) => Err(unreadable(name, &error)),
        }
    }

    fn load(file: File) -> Result<Self, SettingsError> {
        let sources = Sources { file: Some(file), ..Sources::default() };
        waypost_settings::load(&sources, Self::complaints).map(|loaded| loaded.value)
    }
}

fn unreadable(key: String, error: &std::io::Error) -> SettingsError {
    let reason = format!("cannot be read: {error}");
    SettingsError::new(vec![Problem { origin: Origin::Program, key, reason }])
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
