//! Stopping in good order.

use std::sync::Arc;

use axum::{Router, routing::get};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Notify};

use super::{Server, read_to_end, read_until, routes, status_line};

#[tokio::test]
async fn what_is_in_flight_is_finished_and_then_the_server_ends() {
    let (began, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, waits) = (Arc::clone(&began), Arc::clone(&go_on));
    let held = get(move || async move {
        begins.notify_one();
        waits.notified().await;
        "finished"
    });
    let server = Server::start_with(|http| http.stop_delay_seconds = 0, Router::new().route("/held", held)).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    began.notified().await;

    server.shutdown.cancel();
    server.stopping.cancelled().await;
    go_on.notify_one();

    let answer = read_to_end(&mut stream).await;
    assert_eq!(status_line(&answer), "HTTP/1.1 200 OK");
    assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("finished"), "{answer}");
    server.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn while_notice_is_given_requests_are_answered_and_connections_ended() {
    let server = Server::start_with(|http| http.stop_delay_seconds = 60, routes()).await;
    let mut early = server.connect().await;
    early.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut early, "hello").await;

    server.shutdown.cancel();
    server.stopping.cancelled().await;
    let late = server.exchange("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(late.contains("\r\nconnection: close\r\n") && late.ends_with("hello"), "{late}");
    early.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut early).await.ends_with("hello"));
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let change = |http: &mut basalt::config::Http| (http.stop_delay_seconds, http.drain_seconds) = (0, 0);
    let server = Server::start_with(change, routes()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut stream, "hello").await;
    stream.write_all(b"GET /rest/v1/slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    server.shutdown.cancel();
    server.task.await.unwrap().unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
}
