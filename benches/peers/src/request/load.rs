//! A closed loop: every connection sends its next request when it has the answer to the last one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::clock;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// What was answered, all of it with success.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) requests: u32,
    pub(crate) elapsed: Duration,
}

/// Loads the gateway and writes what it did. Any other answer than 200 is an error.
pub(crate) fn run(gateway: SocketAddr, connections: usize, milliseconds: u64) -> anyhow::Result<()> {
    clock::pin(clock::BESIDE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let loaded = runtime.block_on(async {
        let begun = Instant::now();
        let end = begun + Duration::from_millis(milliseconds);
        let mut loops = JoinSet::new();
        for number in 0..connections {
            loops.spawn(send_until(gateway, end, number));
        }
        let mut requests = 0;
        while let Some(answered) = loops.join_next().await {
            requests += answered??;
        }
        anyhow::Ok(Loaded { requests, elapsed: begun.elapsed() })
    })?;
    println!("{}", serde_json::to_string(&loaded)?);
    Ok(())
}

async fn send_until(gateway: SocketAddr, end: Instant, number: usize) -> anyhow::Result<u32> {
    let request =
        format!("POST /orders/order-{number} HTTP/1.1\r\nhost: {gateway}\r\ncontent-length: 0\r\n\r\n");
    let mut stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4_096];
    let mut answered = 0;
    while Instant::now() < end {
        stream.write_all(request.as_bytes()).await?;
        receive(&mut stream, &mut buffer).await?;
        answered += 1;
    }
    Ok(answered)
}

/// Reads one answer to its end.
async fn receive(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut held = 0;
    loop {
        let read = stream.read(buffer.get_mut(held..).context("the answer is too long")?).await?;
        if read == 0 {
            bail!("the gateway closed the connection");
        }
        held += read;
        let answer = buffer.get(..held).unwrap_or_default();
        if length_of(answer)?.is_some_and(|length| held >= length) {
            return Ok(());
        }
    }
}

/// The length of the whole answer once its head is there.
fn length_of(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = answer.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(answer.get(..head).unwrap_or_default())?;
    if !text.starts_with("HTTP/1.1 200 ") {
        bail!("the gateway answered {}", text.lines().next().unwrap_or_default());
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let body: usize = length.context("an answer without a length")?.parse()?;
    Ok(Some(head + END_OF_HEAD.len() + body))
}

#[cfg(test)]
mod tests {
    use super::length_of;

    #[test]
    fn an_answer_ends_with_its_body() {
        assert_eq!(length_of(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n").unwrap(), None);
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(length_of(head).unwrap(), Some(head.len() + 2));
        assert!(length_of(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
