//! What a client sends byte by byte.

use tokio::io::AsyncWriteExt as _;

use super::{Server, read_to_end, read_until, routes, status_line};

#[tokio::test]
async fn plain_requests_are_answered_one_after_the_other_on_one_connection() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(read_until(&mut stream, "hello").await.starts_with("HTTP/1.1 200 OK\r\n"));
        stream.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none").await.unwrap();
        read_until(&mut stream, "one").await;
        stream.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nt\r\n2\r\nwo\r\n0\r\n\r\n").await.unwrap();
        read_until(&mut stream, "two").await;
    }
    stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(read_to_end(&mut stream).await.matches("hello").count(), 2);
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_break_the_connection() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    for _ in 0..20 {
        // Nothing takes a POST at this path, which is known before the body is there.
        stream.write_all(b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n").await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(&vec![b'x'; 70_000]).await.unwrap();
        stream.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let answers = read_until(&mut stream, "hello").await;
        assert_eq!(status_line(&answers), "HTTP/1.1 405 Method Not Allowed");
        assert!(!answers.contains("connection: close"), "{answers}");
    }
}

#[tokio::test]
async fn an_answer_says_when_an_unread_body_ends_the_connection() {
    let server = Server::start().await;
    for head in ["Content-Length: 10000000", "Content-Length: 3\r\nExpect: 100-continue"] {
        let answer = server.exchange(format!("POST /hello HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")).await;
        assert_eq!(status_line(&answer), "HTTP/1.1 405 Method Not Allowed");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let server = Server::start().await;
    let requests = [
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\none",
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: a\n\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost : a\r\n\r\n",
    ];
    for request in requests {
        // What follows would be answered if the connection were not closed.
        let answer = server.exchange(format!("{request}GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(status_line(&answer), "HTTP/1.1 400 Bad Request", "{request:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{request:?}");
    }
}

#[tokio::test]
async fn framing_is_judged_the_same_when_it_comes_byte_by_byte() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    for byte in b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(status_line(&read_to_end(&mut stream).await), "HTTP/1.1 400 Bad Request");
}

#[tokio::test]
async fn a_request_line_that_names_another_host_is_refused() {
    let server = Server::start().await;
    let answer = server.exchange("GET http://b/hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status_line(&answer), "HTTP/1.1 400 Bad Request");
    let answer = server.exchange("GET http://a/hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status_line(&answer), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_by_its_name() {
    let server = Server::start_with(|http| http.max_header_bytes = 8192, routes()).await;
    let one = format!("GET /hello HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let many = format!("GET /hello HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));
    let endless = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1_000_000));
    for request in [one, many, endless] {
        let mut stream = server.connect().await;
        let _ = stream.write_all(request.as_bytes()).await;
        assert_eq!(status_line(&read_to_end(&mut stream).await), "HTTP/1.1 431 Request Header Fields Too Large");
    }
}

#[tokio::test]
async fn half_a_head_is_not_waited_for() {
    let server = Server::start_with(|http| http.header_timeout_seconds = 1, routes()).await;
    for part in ["", "G", "GET /hello HTTP/1.1\r\nHost: a\r\n"] {
        assert_eq!(server.exchange(part).await, "", "{part:?}");
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let server = Server::start_with(|http| http.transfer_stall_seconds = 1, routes()).await;
    let answer = server.exchange("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab").await;
    assert!(["", "HTTP/1.1 400 Bad Request"].contains(&status_line(&answer)), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let server = Server::start_with(|http| http.idle_timeout_seconds = 1, routes()).await;
    let answer = server.exchange("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status_line(&answer), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn one_connection_more_than_allowed_waits_its_turn() {
    let server = Server::start_with(|http| http.max_connections = 1, routes()).await;
    let mut first = server.connect().await;
    first.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut first, "hello").await;
    let mut second = server.connect().await;
    second.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    first.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    read_to_end(&mut first).await;
    assert_eq!(status_line(&read_to_end(&mut second).await), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn the_client_address_comes_from_trusted_proxies_only() {
    let request = "GET /client HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nConnection: close\r\n\r\n";
    let plain = Server::start().await;
    assert!(plain.exchange(request).await.ends_with("\r\n\r\n127.0.0.1"));
    let behind = Server::start_with(|http| http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()], routes()).await;
    assert!(behind.exchange(request).await.ends_with("\r\n\r\n1.2.3.4"));
}
