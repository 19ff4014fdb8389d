//! Starts shipping on `127.0.0.1:8090`. Telemetry goes where the `OTEL_*` variables say, as that of the other services.

use std::{env, fs, sync::Arc, time::Duration};

use anyhow::Context as _;
use waypost_durable::broker::{Broker, EmbeddedBroker, EmbeddedBrokerOptions};
use waypost_durable::{Location, Sharing};
use waypost_kafka::{Kafka, KafkaOptions};
use waypost_resilience::Tasks;
use waypost_service::health::{Health, HealthSettings};
use waypost_service::{Limits, Pacing, Process, bind};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = waypost_telemetry::start("shipping-service")?;
    let broker = broker(&setting("BROKER", "waypost-data/broker.db"))?;
    let database = Location::File(setting("DATABASE", "shipping.db").into());
    let app =
        add_a_service::build(&telemetry, database, broker, &setting("ORDER_URL", "http://127.0.0.1:9090"))?;

    let listener = bind(setting("LISTEN", "127.0.0.1:8090").parse().context("LISTEN is no address")?)?;
    tracing::info!(address = %listener.address(), "Shipping listens");
    let mut process = Process::new(Health::new(HealthSettings::default()));
    process.start("shipping", &telemetry, Tasks::new(), app, Some((listener.into(), Limits::default())));
    process.started();
    tokio::signal::ctrl_c().await?;
    process.drain(&Pacing { notice: Duration::ZERO.into(), ..Pacing::default() }).await;
    Ok(())
}

/// `kafka://host:9092`, or the file of the shop's embedded broker.
fn broker(place: &str) -> anyhow::Result<Arc<dyn Broker>> {
    if let Some(address) = place.strip_prefix("kafka://") {
        return Ok(Arc::new(Kafka::new(KafkaOptions::new([address]))?));
    }
    fs::metadata(place)
        .with_context(|| format!("no broker at {place}: has the shop broker.shared = true?"))?;
    let mut options = EmbeddedBrokerOptions::new(Location::File(place.into()));
    options.sharing = Sharing::Shared;
    Ok(Arc::new(EmbeddedBroker::open(options).with_context(|| format!("opening the broker {place}"))?))
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}
