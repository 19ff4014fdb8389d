//! The standard variables, which a platform sets for everybody: obeyed, or ignored with a word, never a reason not to
//! start.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tempfile::tempdir;

use super::http::get;
use super::program::{PATIENCE, Program, Stopped, ended, waypost};
use super::run::{address_of, run};

/// Takes requests of OTLP over HTTP and hands on head and body.
fn receiver() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = channel();
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            thread::spawn(move || take_requests(connection, &sender));
        }
    });
    (address, requests)
}

fn take_requests(connection: TcpStream, requests: &Sender<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
            let line = head[start..].to_lowercase();
            length = line.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        requests.send([head.into_bytes(), body].concat()).ok()?;
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

fn contains(request: &[u8], text: &str) -> bool {
    request.windows(text.len()).any(|window| window == text.as_bytes())
}

fn checked(variables: &[(&str, &str)]) -> Stopped {
    let folder = tempdir().unwrap();
    ended(waypost(folder.path()).args(["config", "print"]).envs(variables.iter().copied()))
}

#[test]
fn resource_attributes_reach_the_receiver_over_what_is_built_in() {
    let folder = tempdir().unwrap();
    let (otlp, requests) = receiver();
    let mut provider = Program::start(
        run(folder.path(), &["provider"])
            .env("OTEL_TRACES_EXPORTER", "otlp")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{otlp}"))
            .env("OTEL_RESOURCE_ATTRIBUTES", "team%2Cname=a%2Cb,service.namespace=ns1,service.version=9.9")
            .env("WAYPOST_TELEMETRY__SERVICE_NAMESPACE", "ours")
            .env("OTEL_SERVICE_NAME", "renamed"),
    );
    let address = address_of(&mut provider, "provider");
    provider.line_with("\"ready\"");
    get(&format!("http://{address}/no-such-page"));
    let request = requests.recv_timeout(PATIENCE).unwrap();
    for text in ["team,name", "a,b", "ns1", "9.9", "renamed"] {
        assert!(contains(&request, text), "{text:?} is missing");
    }
    for text in ["waypost\"", "ours", "payment-provider"] {
        assert!(!contains(&request, text), "{text:?} is there");
    }
    provider.signal("TERM");
    assert_eq!(provider.end().code, 0);
}

#[test]
fn what_a_platform_sets_for_everybody_does_not_stop_the_start() {
    let folder = tempdir().unwrap();
    let mut provider = Program::start(
        run(folder.path(), &["provider"])
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
            .env("OTEL_PROPAGATORS", "tracecontext,baggage,ottrace")
            .env("OTEL_TRACES_SAMPLER", "ALWAYS_ON")
            .env("OTEL_TRACES_SAMPLER_ARG", "x")
            .env("OTEL_SDK_DISABLED", "1")
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization: Bearer topsecret"),
    );
    for said in [
        r#"OTEL_SDK_DISABLED=\"1\" is neither true nor false; false is used"#,
        r#"OTEL_PROPAGATORS=\"tracecontext,baggage,ottrace\" asks for ottrace, which is not had here; tracecontext,baggage is used"#,
        r#"OTEL_TRACES_SAMPLER_ARG=\"x\" is ignored: ALWAYS_ON takes no argument; 1 is used"#,
        r#"OTEL_EXPORTER_OTLP_HEADERS=\"***\" is not a list"#,
    ] {
        let line = provider.line_with(said);
        assert!(line.contains("\"WARN\""), "{line}");
    }
    provider.line_with("\"ready\"");
    provider.signal("TERM");
    let ended = provider.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.out.matches("OTEL_SDK_DISABLED").count(), 1, "{}", ended.out);
    assert!(!ended.out.contains("topsecret"), "{}", ended.out);
}

#[test]
fn variables_set_the_settings_that_print_shows() {
    let print = checked(&[
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
        ("OTEL_TRACES_SAMPLER", "TraceIdRatio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=ns1,team=blue"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0"),
    ]);
    assert_eq!(print.code, 0, "{print:?}");
    for text in [
        "# from OTEL_EXPORTER_OTLP_COMPRESSION\ncompression = \"gzip\"",
        "# from OTEL_TRACES_SAMPLER\nsampler = \"traceidratio\"",
        "# from OTEL_TRACES_SAMPLER_ARG\nratio = 0.25",
        "# from OTEL_RESOURCE_ATTRIBUTES\nservice_namespace = \"ns1\"",
        "# from OTEL_RESOURCE_ATTRIBUTES\nresource_attributes = { team = \"blue\" }",
        "# from OTEL_BSP_EXPORT_TIMEOUT\nexport_timeout = \"0s\"",
    ] {
        assert!(print.out.contains(text), "{text:?} is missing in\n{}", print.out);
    }
}

#[test]
fn a_sampler_argument_that_is_none_keeps_the_default() {
    let print = checked(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "5")]);
    assert_eq!(print.code, 0, "{print:?}");
    assert!(print.out.contains("\nratio = 1.0\n"), "{}", print.out);
}

#[test]
fn our_own_variables_stay_strict() {
    let print = checked(&[("WAYPOST_TELEMETRY__TRACES__RATIO", "5")]);
    assert_eq!(print.code, 64, "{print:?}");
    assert!(print.err.contains("telemetry.traces.ratio"), "{}", print.err);
}

#[test]
fn the_reference_names_every_standard_variable() {
    let folder = tempdir().unwrap();
    let docs = ended(waypost(folder.path()).args(["config", "docs", "--markdown"]));
    assert_eq!(docs.code, 0, "{docs:?}");
    for text in
        ["| `telemetry.otlp.additional` |", "| `OTEL_EXPORTER_OTLP_COMPRESSION` |", "| `OTEL_LOG_LEVEL` |"]
    {
        assert!(docs.out.contains(text), "{text:?} is missing in\n{}", docs.out);
    }
}

#[test]
fn a_declarative_configuration_speaks_in_place_of_the_variables() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("otel.yaml");
    let text = "\
file_format: \"1.0\"
resource:
  attributes_list: service.namespace=from-yaml
tracer_provider:
  processors:
    - batch:
        exporter:
          otlp_http:
            compression: gzip
logger_provider:
  processors:
    - batch:
        exporter:
          otlp_file/development:
";
    std::fs::write(&path, text).unwrap();
    let file = path.to_str().unwrap();
    let print = checked(&[("OTEL_CONFIG_FILE", file), ("OTEL_TRACES_EXPORTER", "console")]);
    assert_eq!(print.code, 0, "{print:?}");
    for text in [
        "# from OTEL_CONFIG_FILE\nservice_namespace = \"from-yaml\"",
        "# from OTEL_CONFIG_FILE\nexporters = [\"otlp_http\"]",
        "# from OTEL_CONFIG_FILE\ncompression = \"gzip\"",
    ] {
        assert!(print.out.contains(text), "{text:?} is missing in\n{}", print.out);
    }

    std::fs::write(&path, "file_format: \"1.0\"\ndisabled: perhaps\n").unwrap();
    let refused = checked(&[("OTEL_CONFIG_FILE", file)]);
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.err.contains("otel.yaml:2: disabled: is not true or false"), "{}", refused.err);
}
