//! Its own rustls finds its provider as without the kit, before and after telemetry has started and sent.

use std::error::Error;

mod common;

fn main() -> Result<(), Box<dyn Error>> {
    let receiver = common::Receiver::from_arguments()?;
    receiver.connect(rustls::ClientConfig::builder())?;
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let telemetry = waypost_telemetry::Builder::new(receiver.settings()).tls_provider(provider).init()?;
    receiver.connect(rustls::ClientConfig::builder())?;
    common::send(&telemetry)?;
    receiver.connect(rustls::ClientConfig::builder())?;
    println!("ok");
    Ok(())
}
