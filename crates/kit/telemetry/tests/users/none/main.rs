//! Its own HTTP client can be made as without the kit, whose spans leave over https.

use std::error::Error;
use std::time::Duration;

use waypost_telemetry::Settings;
use waypost_telemetry::config::Exporter;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (port, authority) = (arguments.next().ok_or("no port")?, arguments.next().ok_or("no authority")?);
    let plain = arguments.next().ok_or("no address")?;
    let mut settings = Settings::new("user");
    settings.traces.exporters = vec![Exporter::OtlpHttp];
    settings.otlp.endpoint = Some(format!("https://localhost:{port}"));
    settings.otlp.certificate = Some(authority.into());
    let telemetry = waypost_telemetry::init(settings)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(reqwest::Client::new().post(format!("{plain}/own")).send())?;
    if !answer.status().is_success() {
        return Err(answer.status().to_string().into());
    }
    telemetry.span("work").in_scope(|| ());
    let report = telemetry.shutdown_blocking(Duration::from_secs(20));
    if report.traces.exported() != 1 {
        return Err(report.to_string().into());
    }
    println!("ok");
    Ok(())
}
