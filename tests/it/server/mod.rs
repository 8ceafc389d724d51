//! The door and what stands around every handler, over real sockets, with handlers of the test's own.

#[cfg(unix)]
mod command;
mod connection;
mod front;
mod health;
mod stopping;

use std::net::SocketAddr;

use axum::{Router, body::Body, routing::get};
use basalt::{
    config::{Config, Http},
    http::{Front, PeerAddress},
    server::serve_front,
};
use http::Request;
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// A server with a few plain routes.
struct Server {
    address: SocketAddr,
    stopping: CancellationToken,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(|_| {}, routes()).await
    }

    async fn start_with(change: impl FnOnce(&mut Http), router: Router) -> Self {
        let mut config = Config::default().http;
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stopping, shutdown) = (CancellationToken::new(), CancellationToken::new());
        let front = Front::new(router, &config, stopping.clone());
        let (said, asked) = (stopping.clone(), shutdown.clone());
        let task = tokio::spawn(async move { serve_front(front, &config, listener, said, asked).await });
        Self { address, stopping, shutdown, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes on a connection of their own and reads all that comes until the server closes it.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(&mut stream).await
    }
}

/// What the server sends until it closes; a reset after an answer is a close too.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// What the server sends up to and with `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        answer.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

fn status_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

fn routes() -> Router {
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/echo", axum::routing::post(echo))
        .route("/client", get(|request: Request<Body>| async move { request.extensions().get::<PeerAddress>().unwrap().client.to_string() }))
        .route("/panic", get(panics))
        .route("/rest/v1/panic", get(panics))
        .route("/auth/v1/panic", get(panics))
        .route("/storage/v1/panic", get(panics))
        .route("/rest/v1/slow", get(std::future::pending::<()>))
        .route("/rest/v1/rows", get(|| async { axum::Json(serde_json::json!([])) }))
}

async fn echo(body: Body) -> Result<Vec<u8>, http::StatusCode> {
    Ok(body.collect().await.map_err(|_| http::StatusCode::BAD_REQUEST)?.to_bytes().to_vec())
}

async fn panics() {
    panic!("a handler of the test panics");
}
