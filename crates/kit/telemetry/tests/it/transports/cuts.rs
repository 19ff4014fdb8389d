//! Connections that break under a request over gRPC: nobody has answered, so the request is sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use waypost_telemetry::config::Exporter;

use super::{record, settings, start};
use crate::receiver::{GrpcReceiver, PATIENCE};

/// Less than a request of [`SPANS`] spans, more than what opens a connection.
const BYTES_BEFORE_THE_CUT: usize = 2_000;
const SPANS: i32 = 200;

/// Carries connections to `receiver`; each of the first `cuts` is dropped in the middle of its first request.
async fn front(receiver: SocketAddr, cuts: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    waypost_telemetry::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            if count.fetch_add(1, Ordering::SeqCst) < cuts {
                let _ = client.read_exact(&mut [0; BYTES_BEFORE_THE_CUT]).await;
                continue;
            }
            waypost_telemetry::spawn(async move {
                let mut server = TcpStream::connect(receiver).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_request_whose_connection_was_cut_is_sent_again() {
    let (receiver, endpoint) = GrpcReceiver::start().await;
    let receiver_address = endpoint.trim_start_matches("http://").parse().unwrap();
    let (address, connections) = front(receiver_address, 2).await;
    let telemetry = start(settings(Exporter::OtlpGrpc, &format!("http://{address}")));
    record(&telemetry, SPANS);
    let report = telemetry.flush(PATIENCE).await;
    assert_eq!((report.traces.exported(), report.traces.dropped()), (200, 0), "{report:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 3);
    assert_eq!(receiver.times.lock().unwrap().len(), 1);
}
