//! A collector that takes everything and does nothing: reads HTTP requests and answers 200.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A sink on a free port of loopback.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    bytes: Arc<AtomicU64>,
}

impl Sink {
    pub(crate) fn start() -> anyhow::Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&bytes);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || drop(serve(stream, &counted)));
            }
        });
        Ok(Sink { address, bytes })
    }

    /// Bytes of bodies so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn serve(mut stream: TcpStream, counted: &AtomicU64) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut held = 0;
    loop {
        let head = loop {
            let read = buffer.get(..held).unwrap_or_default();
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let more = stream.read(buffer.get_mut(held..).unwrap_or_default())?;
            if more == 0 {
                return Ok(());
            }
            held += more;
        };
        let text = String::from_utf8_lossy(buffer.get(..head).unwrap_or_default()).to_ascii_lowercase();
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0);
        let mut missing = length.saturating_sub(held - head);
        while missing > 0 {
            let room = missing.min(buffer.len());
            let more = stream.read(buffer.get_mut(..room).unwrap_or_default())?;
            if more == 0 {
                return Ok(());
            }
            missing -= more;
        }
        held = 0;
        counted.fetch_add(length as u64, Ordering::Relaxed);
        stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
        )?;
    }
}
