//! Requests over plain HTTP, byte by byte where a test needs that.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// An answer, as it came.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The status line and the header fields, in small letters.
    pub head: String,
    /// What follows them.
    pub body: String,
}

/// An address on loopback that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Asks for a path.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path)
}

/// Asks with a method.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    try_send(address, request.as_bytes()).unwrap()
}

/// Sends these bytes and reads to the end.
///
/// # Errors
/// Where nobody listens, or the connection breaks.
pub fn try_send(address: SocketAddr, request: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    Ok(Answer { code, head: head.to_lowercase(), body: body.to_owned() })
}
