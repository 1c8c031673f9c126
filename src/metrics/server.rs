//! Alone knows HTTP. Whoever asks may be slow or ask for nonsense: each connection answers one request within a time, and
//! there are only so many.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// A request's line and header fields.
const HEAD_BYTES: usize = 16 * 1024;
/// To send those.
const HEAD_TIME: Duration = Duration::from_secs(2);
/// For a connection as a whole, a reader's slowness included.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// At once; further ones wait.
const CONNECTIONS: usize = 16;

/// What is answered.
pub(super) struct Answer {
    /// Of HTTP.
    pub code: u16,
    /// The body's media type.
    pub kind: &'static str,
    /// In whole.
    pub body: String,
}

/// Answers requests on a thread of its own as `answer` says to their path, until the program ends.
pub(super) fn start(
    listener: TcpListener,
    answer: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let serve = move || runtime.block_on(accept(listener, Arc::new(answer)));
    std::thread::Builder::new().name("metrics".to_owned()).spawn(serve)?;
    Ok(())
}

async fn accept<A>(listener: tokio::net::TcpListener, answer: Arc<A>)
where
    A: Fn(&str) -> Option<Answer> + Send + Sync + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Never closed, so that there is always a next one.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    // A connection that breaks or takes too long is its maker's own trouble.
                    let _ = timeout(CONNECTION_TIME, converse(stream, answer)).await;
                    drop(place);
                });
            }
            // Most often no descriptor is free; there may be one soon.
            Err(_) => sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn converse<A>(stream: TcpStream, answer: Arc<A>) -> hyper::Result<()>
where
    A: Fn(&str) -> Option<Answer>,
{
    let service = service_fn(|request| {
        let response = respond(&request, &*answer);
        async { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        // On loopback a new connection costs nothing, and an idle one would take a place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// Hyper leaves out the body where it is HEAD that asks.
fn respond(request: &Request<Incoming>, answer: &impl Fn(&str) -> Option<Answer>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match answer(request.uri().path()) {
        Some(Answer { code, kind, body }) => {
            let mut response = plain(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            response
        }
        None => plain(StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned()),
    }
}

fn plain(code: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
