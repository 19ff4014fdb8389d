//! One HTTP request over a plain socket, as curl would send it.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::program::PATIENCE;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: serde_json::Value,
    pub text: String,
}

/// Posts JSON to `http://host:port/path`.
pub fn post(url: &str, json: &str) -> Answer {
    request("POST", url, &[], json)
}

/// The same with further headers.
pub fn post_with(url: &str, headers: &[(&str, &str)], json: &str) -> Answer {
    request("POST", url, headers, json)
}

pub fn get(url: &str) -> Answer {
    request("GET", url, &[], "")
}

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let further = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let further = further.collect::<Vec<_>>().concat();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\
         Content-Type: application/json\r\n{further}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let text = body.to_owned();
    Answer { status, body: serde_json::from_str(body).unwrap_or(serde_json::Value::Null), text }
}
