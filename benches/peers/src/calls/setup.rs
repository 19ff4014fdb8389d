//! What stands behind an integration: the kit, OpenTelemetry's SDK of this version or the one before, `tracing` in front of it, oxtel.

use std::time::Duration;

use anyhow::{Context as _, bail};
use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_0_32::global as global_before;
use opentelemetry_0_32::trace::TracerProvider as _;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk_0_32::trace::SdkTracerProvider as TracersBefore;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use waypost_telemetry::{Settings, Telemetry};

use crate::libraries::Transport;
use crate::libraries::sdk::Provider;

const DEADLINE: Duration = Duration::from_secs(60);

/// What a variant records with. One a process, since most of them set globals.
pub(crate) enum Peer {
    Bare,
    Kit(Telemetry),
    Sdk(Provider),
    Before(TracersBefore),
    Oxtel(oxtel::Guard),
}

impl Peer {
    pub(crate) fn start(variant: &str) -> anyhow::Result<Self> {
        match variant {
            "bare" => Ok(Self::Bare),
            "kit" => {
                let mut settings = Settings::new("shop");
                settings.overlay_env(&|name| std::env::var(name).ok())?;
                Ok(Self::Kit(waypost_telemetry::init(settings)?))
            }
            "opentelemetry-instrumentation-tower" => Ok(Self::Sdk(sdk()?)),
            "tower-otel" | "axum-tracing-opentelemetry" | "tonic-tracing-opentelemetry" => {
                let provider = sdk()?;
                let layer = tracing_opentelemetry::layer().with_tracer(provider.tracers.tracer("shop"));
                tracing_subscriber::registry().with(LevelFilter::INFO).with(layer).try_init()?;
                Ok(Self::Sdk(provider))
            }
            "sqlx-otel" => Ok(Self::Before(before()?)),
            "reqwest-tracing" => {
                let provider = before()?;
                let layer = tracing_opentelemetry_0_33::layer().with_tracer(provider.tracer("shop"));
                tracing_subscriber::registry().with(LevelFilter::INFO).with(layer).try_init()?;
                Ok(Self::Before(provider))
            }
            "oxtel-sql" => Ok(Self::Oxtel(oxtel::init()?)),
            other => bail!("no variant is called {other}"),
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&self) -> anyhow::Result<()> {
        match self {
            Self::Bare => {}
            Self::Kit(telemetry) => {
                let report = telemetry.shutdown_blocking(DEADLINE);
                if !report.complete {
                    bail!("the kit did not send everything: {report:?}");
                }
            }
            Self::Sdk(provider) => provider.shutdown(),
            Self::Before(provider) => provider.shutdown().context("the SDK's shutdown")?,
            Self::Oxtel(guard) => {
                let _ = guard.force_flush();
                if let Some(traces) = guard.tracer_provider() {
                    let _ = traces.shutdown();
                }
            }
        }
        Ok(())
    }

    pub(crate) fn kit(&self) -> Option<&Telemetry> {
        if let Self::Kit(telemetry) = self { Some(telemetry) } else { None }
    }
}

/// The SDK with its exporter, propagator and metrics, as globals.
fn sdk() -> anyhow::Result<Provider> {
    let provider = Provider::start(Transport::Http)?;
    global::set_tracer_provider(provider.tracers.clone());
    global::set_text_map_propagator(TraceContextPropagator::new());
    // Measurements are taken, as the kit takes them for its page, and read by nobody.
    let reader = ManualReader::builder().build();
    global::set_meter_provider(SdkMeterProvider::builder().with_reader(reader).build());
    Ok(provider)
}

/// The same of the version before. It has no reader that waits to be asked, so nothing is measured.
fn before() -> anyhow::Result<TracersBefore> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter =
        opentelemetry_otlp_0_32::SpanExporter::builder().with_http().build().context("the HTTP exporter")?;
    let provider = TracersBefore::builder().with_batch_exporter(exporter).build();
    global_before::set_tracer_provider(provider.clone());
    global_before::set_text_map_propagator(opentelemetry_sdk_0_32::propagation::TraceContextPropagator::new());
    Ok(provider)
}
