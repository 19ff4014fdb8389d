//! `OTEL_CONFIG_FILE`: declarative configuration, version 1, as YAML.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/> and the schema of `opentelemetry-configuration`. With
//! the file every other variable is ignored, but for those it refers to. What the kit has is read; what it does not
//! have is named in one warning. As the specification asks, a file that cannot be read, is not YAML, or has a value of
//! the wrong type is an error and not a warning: somebody wrote it for this program.
//!
//! A provider that the file leaves out sends nothing. What is found out about the surroundings stays as it is unless
//! the file says so itself, because that part of the schema is still in development. Queues that the file says nothing of keep the kit's sizes. Left
//! out: rule-based samplers, attributes that are lists of anything but texts, instrumentation. A second OTLP exporter of a signal is a
//! receiver beside the first, which it shares sizes and times of its queue with, but for the delay.

mod exporters;
mod model;
mod otlp;
mod reader;
mod substitution;
mod views;

use waypost_settings::{Origin, Problem};

use super::overlay::Overlay;
use crate::base::config::SettingsError;
use crate::base::yaml;
use reader::Reader;
use substitution::substituted;

/// The variable, also as the source of what the file sets.
pub(super) const VARIABLE: &str = "OTEL_CONFIG_FILE";

/// Reads the file over the settings.
pub(super) fn apply(overlay: &mut Overlay<'_>, path: &str) -> Result<(), SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let reason = format!("the file {path} cannot be read: {error}");
        SettingsError::new(vec![Problem { origin: Origin::Program, key: VARIABLE.to_owned(), reason }])
    })?;
    let at = |line: usize| Origin::File { name: path.to_owned(), line };
    let root =
        yaml::parse(&text, &|text| substituted(text, &|name| overlay.text(name))).map_err(|error| {
            SettingsError::new(vec![Problem {
                origin: at(error.line),
                key: String::new(),
                reason: error.reason,
            }])
        })?;
    let mut reader = Reader::new(overlay);
    model::read(&mut reader, root);
    let Reader { wrong, not_had, .. } = reader;
    if !wrong.is_empty() {
        let problem =
            |wrong: reader::Wrong| Problem { origin: at(wrong.line), key: wrong.path, reason: wrong.reason };
        return Err(SettingsError::new(wrong.into_iter().map(problem).collect()));
    }
    if !not_had.is_empty() {
        let reason = format!("asks for what is not had here: {}", not_had.join(", "));
        overlay.warn(VARIABLE, path, reason, None);
    }
    Ok(())
}
