//! The variables of the specification: each with a right, an odd and a wrong value, and what it amounts to.

mod cases;
#[cfg(feature = "config-file")]
mod declarative;
mod specification;
mod together;

use std::collections::BTreeMap;

use std::sync::LazyLock;

use waypost_telemetry::Settings;

/// Files such as certificate variables name.
struct Pem {
    certificate: String,
    key: String,
    _folder: tempfile::TempDir,
}

fn pem() -> &'static Pem {
    static PEM: LazyLock<Pem> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let certificate = write("certificate.pem", made.cert.pem());
        let key = write("key.pem", made.signing_key.serialize_pem());
        Pem { certificate, key, _folder: folder }
    });
    &PEM
}

/// Settings of a service that says nothing, with variables over them.
fn overlaid(variables: &[(&str, &str)]) -> Settings {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let mut settings = Settings::standard("shop");
    settings.overlay_env(&|name| variables.get(name).map(ToString::to_string)).unwrap();
    settings
}

/// One setting as text, `unset` if it is not there.
fn look(settings: &Settings, key: &str) -> String {
    match key {
        "otlp.headers" => return format!("{:?}", settings.otlp.headers.0),
        "otlp.traces.headers" => return shown(settings.otlp.traces.headers.as_ref()),
        "otlp.metrics.headers" => return shown(settings.otlp.metrics.headers.as_ref()),
        "otlp.logs.headers" => return shown(settings.otlp.logs.headers.as_ref()),
        _ => {}
    }
    let whole = toml::Value::try_from(settings).unwrap();
    let found = key.split('.').try_fold(&whole, |value, part| value.get(part));
    match found {
        Some(toml::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "unset".to_owned(),
    }
}

fn shown(headers: Option<&waypost_telemetry::config::Headers>) -> String {
    headers.map_or_else(|| "unset".to_owned(), |headers| format!("{:?}", headers.0))
}

fn warnings(settings: &Settings) -> Vec<String> {
    settings.warnings.iter().map(ToString::to_string).collect()
}
