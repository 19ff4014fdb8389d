//! Events as lines: for people, or as JSON.

use std::fmt::Write as _;
use std::time::SystemTime;

use opentelemetry::Value;
use serde::ser::{Serialize, SerializeMap, Serializer};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::event::{Scene, level_name, surrounding, with_metadata};
use super::fields::{keep_late, keep_new};
use super::{LogFormat, write_line};
use crate::base::fields::Fields;

/// A layer that writes each event as one line, with the trace and span id and the service name of the moment.
///
/// The fields of the `tracing` spans around an event are in its line as `span.<field>`, so that they cannot be taken for
/// the event's own; an inner span's field wins over an outer one's.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
/// use waypost_telemetry::config::LogFormat;
/// use waypost_telemetry::logs::Lines;
///
/// let subscriber = tracing_subscriber::registry().with(Lines::new(LogFormat::Json, std::io::sink));
/// tracing::subscriber::with_default(subscriber, || tracing::info!(order.id = "order-1", "placed"));
/// ```
#[derive(Debug)]
pub struct Lines<W> {
    format: LogFormat,
    colours: bool,
    output: W,
}

impl<W> Lines<W>
where
    W: for<'a> MakeWriter<'a> + 'static,
{
    /// Lines of this form, without colours. The layer has no filter of its own; give it one by `with_filter`.
    pub fn new(format: LogFormat, output: W) -> Self {
        Self { format, colours: false, output }
    }

    /// Whether pretty lines are coloured.
    #[must_use]
    pub fn colours(self, colours: bool) -> Self {
        Self { colours, ..self }
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, layer: Context<'_, S>) {
        keep_new(attributes, id, &layer);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, layer: Context<'_, S>) {
        keep_late(id, values, &layer);
    }

    fn on_event(&self, event: &Event<'_>, layer: Context<'_, S>) {
        let text = with_metadata(event, |metadata| {
            let line = Line {
                time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
                metadata,
                scene: Scene::of(metadata.target(), event, &layer),
                said: Fields::of(event),
                around: surrounding(event, &layer),
            };
            match self.format {
                LogFormat::Pretty => line.pretty(self.colours),
                LogFormat::Json => line.json(),
            }
        });
        write_line(&self.output, text.as_bytes());
    }
}

struct Line<'a> {
    time: String,
    metadata: &'a Metadata<'a>,
    scene: Option<Scene>,
    said: Fields,
    /// Fields of the spans around.
    around: Vec<(&'static str, Value)>,
}

impl Line<'_> {
    fn service_name(&self) -> Option<&str> {
        self.scene.as_ref()?.service_name()
    }

    /// Trace and span id.
    fn ids(&self) -> Option<(String, String)> {
        let span = &self.scene.as_ref()?.span;
        span.is_valid().then(|| (span.trace_id().to_string(), span.span_id().to_string()))
    }

    fn pretty(&self, colours: bool) -> String {
        let (bold, dim, plain) =
            if colours { (colour(*self.metadata.level()), "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let level = level_name(*self.metadata.level());
        let mut line = format!("{dim}{}{plain} {bold}{level:>5}{plain} ", self.time);
        if let Some(service) = self.service_name() {
            let _ = write!(line, "{service} ");
        }
        let _ = write!(line, "{dim}{}:{plain} {}", self.metadata.target(), one_line(&self.said.message));
        for (name, value) in &self.said.fields {
            let _ = write!(line, " {dim}{name}={plain}{}", shown(value));
        }
        for (name, value) in &self.around {
            let _ = write!(line, " {dim}span.{name}={plain}{}", shown(value));
        }
        if let Some((trace, span)) = self.ids() {
            let _ = write!(line, " {dim}trace_id={trace} span_id={span}{plain}");
        }
        line.push('\n');
        line
    }

    fn json(&self) -> String {
        // Only maps with keys that are not texts fail, and there are none.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// Keys of every JSON line; a field of the same name gets `field.` before it.
const RESERVED: [&str; 7] =
    ["timestamp", "level", "service.name", "target", "message", "trace_id", "span_id"];

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &self.time)?;
        map.serialize_entry("level", level_name(*self.metadata.level()))?;
        if let Some(service) = self.service_name() {
            map.serialize_entry("service.name", service)?;
        }
        map.serialize_entry("target", self.metadata.target())?;
        map.serialize_entry("message", &self.said.message)?;
        if let Some((trace, span)) = self.ids() {
            map.serialize_entry("trace_id", &trace)?;
            map.serialize_entry("span_id", &span)?;
        }
        for (name, value) in &self.said.fields {
            if RESERVED.contains(name) {
                map.serialize_entry(&format!("field.{name}"), &Json(value))?;
            } else {
                map.serialize_entry(name, &Json(value))?;
            }
        }
        for (name, value) in &self.around {
            map.serialize_entry(&format!("span.{name}"), &Json(value))?;
        }
        map.end()
    }
}

struct Json<'a>(&'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I64(value) => serializer.serialize_i64(*value),
            Value::F64(value) => serializer.serialize_f64(*value),
            other => serializer.serialize_str(&other.as_str()),
        }
    }
}

/// A value for people: quoted if it would not stand as one word.
fn shown(value: &Value) -> String {
    let text = value.as_str();
    if text.is_empty() || text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return format!("{text:?}");
    }
    text.into_owned()
}

/// Control characters could forge lines or drive a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[1;31m",
        Level::WARN => "\x1b[1;33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[36m",
    }
}
