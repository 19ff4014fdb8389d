//! What the programs share: where the receiver is, and a span that has to arrive there.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WantsClientCert;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned, WantsVerifier};
use waypost_telemetry::config::Exporter;
use waypost_telemetry::{Settings, Telemetry};

/// An https receiver on this machine.
pub struct Receiver {
    port: u16,
    authority: String,
}

impl Receiver {
    /// Its port, and the file with the certificate of its authority.
    pub fn from_arguments() -> Result<Self, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1);
        let port = arguments.next().ok_or("no port")?.parse()?;
        Ok(Self { port, authority: arguments.next().ok_or("no authority")? })
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new("user");
        settings.traces.exporters = vec![Exporter::OtlpHttp];
        settings.otlp.endpoint = Some(format!("https://localhost:{}", self.port));
        settings.otlp.certificate = Some(self.authority.clone().into());
        settings
    }

    /// A request with the program's own TLS.
    pub fn connect(&self, config: ConfigBuilder<ClientConfig, WantsVerifier>) -> Result<(), Box<dyn Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority)?)?;
        let config: ConfigBuilder<ClientConfig, WantsClientCert> = config.with_root_certificates(roots);
        let connection =
            ClientConnection::new(Arc::new(config.with_no_client_auth()), "localhost".try_into()?)?;
        let mut stream = StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", self.port))?);
        stream.write_all(b"POST /own HTTP/1.1\r\ncontent-length: 0\r\n\r\n")?;
        let mut begin = [0; 12];
        stream.read_exact(&mut begin)?;
        if &begin != b"HTTP/1.1 200" {
            return Err(String::from_utf8_lossy(&begin).into());
        }
        Ok(())
    }
}

pub fn send(telemetry: &Telemetry) -> Result<(), Box<dyn Error>> {
    telemetry.span("work").in_scope(|| ());
    let report = telemetry.shutdown_blocking(Duration::from_secs(20));
    if report.traces.exported() != 1 {
        return Err(report.to_string().into());
    }
    Ok(())
}
