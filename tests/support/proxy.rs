//! A TCP line that fails: it carries so many bytes from the server, then breaks or falls silent, once or several times.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// What becomes of a connection.
#[derive(Debug, Clone, Copy)]
pub enum Line {
    /// It carries everything.
    Good,
    /// It breaks after so many bytes from the server.
    CutAfter(usize),
    /// It carries so many bytes from the server, and then none, without breaking.
    SilentAfter(usize),
    /// Each chunk of up to 4 KiB from the server is held back for so long.
    Slow(Duration),
    /// Everything arrives so much later, each way; as much as is sent can be on its way.
    Far(Duration),
}

/// A proxy to a port on 127.0.0.1. Its threads end with the connections, or with the test.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    /// The n-th connection gets the n-th line; the last one also whatever comes later.
    pub fn start(target: u16, lines: &[Line]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (lines, counter) = (lines.to_vec(), connections.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let line = lines.get(number).or(lines.last()).copied().unwrap_or(Line::Good);
                carry(client.unwrap(), TcpStream::connect(("127.0.0.1", target)).unwrap(), line);
            }
        });
        Self { port, connections }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn carry(client: TcpStream, server: TcpStream, line: Line) {
    let (back, forth) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    if let Line::Far(delay) = line {
        far(client, forth, delay);
        far(server, back, delay);
        return;
    }
    thread::spawn(move || copy(client, forth, Line::Good));
    thread::spawn(move || copy(server, back, line));
}

fn copy(mut from: TcpStream, mut to: TcpStream, line: Line) {
    let mut carried = 0;
    let mut block = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut block) {
        match line {
            Line::CutAfter(limit) if carried + read > limit => break,
            Line::SilentAfter(limit) if carried + read > limit => {
                carried += read;
                continue;
            }
            Line::Slow(pause) => thread::sleep(pause),
            _ => {}
        }
        carried += read;
        if to.write_all(&block[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn far(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut block = vec![0; 65536];
        while let Ok(read @ 1..) = from.read(&mut block) {
            if sender.send((Instant::now() + delay, block[..read].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
