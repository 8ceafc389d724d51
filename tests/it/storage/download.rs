use http::Method;
use insta::assert_snapshot;

use super::{app, get, put_ok, refusal};
use crate::support::{Client, Reply};

async fn with(client: &Client, header: &str, value: &str, path: &str) -> Reply {
    get(&client.clone().header(header, value), path).await
}

#[tokio::test]
async fn a_file_is_told_about_in_its_headers() {
    let app = app().await;
    let service = app.service();
    put_ok(&service, "files/a.txt", "hello").await;
    put_ok(&service, "open/a.txt", "hello").await;
    let read = get(&service, "authenticated/files/a.txt").await;
    assert_eq!(read.text(), "hello");
    assert_eq!(read.header("content-type"), "text/plain");
    assert_eq!(read.header("accept-ranges"), "bytes");
    assert_eq!(read.header("cache-control"), "private, no-cache");
    assert_eq!(read.header("x-robots-tag"), "none");
    assert_eq!(read.header("x-content-type-options"), "nosniff");
    assert!(read.header("last-modified").ends_with(" GMT"));
    assert_snapshot!(read.header("etag"), @r#""2cf24dba5fb0a30e26e83b2ac5b9e29e""#);
    for path in ["public/open/a.txt", "open/a.txt"] {
        let read = get(&app.nobody(), path).await;
        assert_eq!((read.text().as_str(), read.header("cache-control")), ("hello", "no-cache"));
    }
    let info = get(&service, "info/files/a.txt").await.json();
    assert_eq!((&info["name"], &info["bucket_id"], &info["size"]), (&"a.txt".into(), &"files".into(), &5.into()));
    assert_eq!(info["metadata"], serde_json::json!({}), "stock clients want an object");
    assert_eq!(get(&app.nobody(), "info/public/open/a.txt").await.json()["content_type"], "text/plain");
    assert_eq!(get(&service, "info/authenticated/files/a.txt").await.json()["etag"], read.header("etag"));
}

#[tokio::test]
async fn head_tells_the_same_without_the_bytes() {
    let app = app().await;
    put_ok(&app.service(), "files/a.txt", "hello").await;
    let head = app.service().header("range", "bytes=0-1").head("/storage/v1/object/files/a.txt").await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "5", 0));
    let missing = app.service().head("/storage/v1/object/files/b.txt").await;
    assert_eq!((missing.status.as_u16(), missing.body.len()), (400, 0));
    assert_eq!(app.service().head("/storage/v1/object/info/files/a.txt").await.status, 200);
}

#[tokio::test]
async fn one_range_is_cut_out() {
    let app = app().await;
    let service = app.service();
    let whole: String = (0..300_000).map(|n: u32| char::from(b'a' + u8::try_from(n % 26).unwrap())).collect();
    put_ok(&service, "files/small", "0123456789").await;
    put_ok(&service, "files/large", &whole).await;
    for (range, told, text) in [
        ("bytes=0-3", "bytes 0-3/10", "0123"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=5-100", "bytes 5-9/10", "56789"),
    ] {
        let read = with(&service, "range", range, "files/small").await;
        assert_eq!((read.status.as_u16(), read.header("content-range"), read.text().as_str()), (206, told, text));
        assert_eq!(read.header("content-length"), text.len().to_string());
    }
    let read = with(&service, "range", "bytes=1000-200999", "files/large").await;
    assert!(read.status == 206 && read.text() == whole[1000..201_000]);
    for range in ["bytes=10-", "bytes=4-2", "bytes=0-1,3-4", "bytes=x"] {
        let read = with(&service, "range", range, "files/small").await;
        assert_eq!(refusal(&read), "416 416 InvalidRange InvalidRange: The requested range cannot be satisfied");
        assert_eq!(read.header("content-range"), "bytes */10");
    }
    assert_eq!(with(&service, "range", "rows=1-2", "files/small").await.status, 200);

    let etag = get(&service, "files/small").await.header("etag").to_owned();
    let part = service.clone().header("range", "bytes=0-0");
    assert_eq!(with(&part, "if-range", &etag, "files/small").await.status, 206);
    assert_eq!(with(&part, "if-range", "\"other\"", "files/small").await.text(), "0123456789");
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again() {
    let app = app().await;
    let service = app.service();
    put_ok(&service, "files/a", "hello").await;
    let first = get(&service, "files/a").await;
    let (etag, modified) = (first.header("etag").to_owned(), first.header("last-modified").to_owned());
    for tags in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let read = with(&service, "if-none-match", &tags, "files/a").await;
        assert_eq!((read.status.as_u16(), read.body.len(), read.header("etag")), (304, 0, etag.as_str()), "{tags}");
    }
    assert_eq!(with(&service, "if-modified-since", &modified, "files/a").await.status, 304);
    assert_eq!(with(&service, "if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", "files/a").await.status, 200);
    assert_eq!(with(&service, "if-modified-since", "yesterday", "files/a").await.status, 200);
    // The tag decides where both are told.
    assert_eq!(with(&service.clone().header("if-modified-since", &modified), "if-none-match", "\"x\"", "files/a").await.status, 200);
}

#[tokio::test]
async fn a_file_is_saved_under_a_name() {
    let app = app().await;
    put_ok(&app.service(), "files/a", "hello").await;
    let named = async |query: &str| get(&app.service(), &format!("files/a{query}")).await.header("content-disposition").to_owned();
    assert_eq!(named("").await, "");
    assert_eq!(named("?download").await, "attachment;");
    assert_eq!(named("?download=").await, "attachment;");
    assert_snapshot!(named("?download=Lohn%20%E6%9D%8E.pdf").await, @r#"attachment; filename="Lohn _.pdf"; filename*=UTF-8''Lohn%20%E6%9D%8E.pdf"#);
}

#[tokio::test]
async fn nothing_that_could_run_is_served_as_it_is() {
    let app = app().await;
    let service = app.service();
    let bare = service.clone();
    for (n, (name, kind)) in ACTIVE.iter().enumerate() {
        let path = format!("open/{n}/{name}");
        let uploader = if kind.is_empty() { bare.clone() } else { service.clone().header("content-type", kind) };
        assert_eq!(uploader.send(Method::POST, &format!("/storage/v1/object/{path}"), "<script>").await.status, 200, "{kind}");
        let signed = service.post(&format!("/storage/v1/object/sign/{path}"), serde_json::json!({ "expiresIn": 60 })).await.json();
        let signed = signed["signedURL"].as_str().unwrap().strip_prefix("/object/").unwrap().to_owned();
        for door in [format!("public/{path}"), path.clone(), format!("authenticated/{path}"), signed] {
            let read = get(&service, &door).await;
            assert_eq!(read.text(), "<script>", "{door}");
            let inert = ["text/plain; charset=utf-8", "application/octet-stream"].contains(&read.header("content-type"));
            let caged =
                read.header("content-security-policy").contains("default-src 'none'") && read.header("content-security-policy").contains("sandbox");
            assert!(inert || caged, "{name} {kind}: {:?}", read.headers);
            assert_eq!(read.header("x-content-type-options"), "nosniff");
        }
    }
}

/// Names and types of files in which a browser would run something, or might be talked into it.
const ACTIVE: [(&str, &str); 46] = [
    ("a.html", "text/html"),
    ("a.HTML", "TEXT/HTML"),
    ("a.htm", "text/html; charset=utf-8"),
    ("a.html", "text/html;x"),
    ("a.html", "text/html;"),
    ("a.html", "text/html ; charset=x"),
    ("a.html", " text/html"),
    ("a.html", "text/html,text/plain"),
    ("a.html", "text/plain,text/html"),
    ("a.html", "text/ html"),
    ("a.html", "text /html"),
    ("a.html", "text"),
    ("a.html", "html"),
    ("a.html", "/"),
    ("a.html", "*/*"),
    ("a.html", "<script>"),
    ("a.html", "text/html\u{e9}"),
    ("a.html", ""),
    ("x.html.", ""),
    ("x.html;.png", ""),
    ("a.shtml", "text/x-server-parsed-html"),
    ("a.svg", "image/svg+xml"),
    ("a.svg", "image/svg+xml;charset=utf-8"),
    ("a.SVG", "IMAGE/SVG+XML"),
    ("a.svgz", "image/svg+xml-compressed"),
    ("a.svg", "image/svg-xml"),
    ("a.xhtml", "application/xhtml+xml"),
    ("a.xht", "application/XHTML+xml; x"),
    ("a.xml", "text/xml"),
    ("a.xml", "application/xml"),
    ("a.xsl", "text/xsl"),
    ("a.xslt", "application/xslt+xml"),
    ("a.rss", "application/rss+xml"),
    ("a.atom", "application/atom+xml"),
    ("a.rdf", "application/rdf+xml"),
    ("a.mathml", "application/mathml+xml"),
    ("a.mht", "message/rfc822"),
    ("a.mhtml", "multipart/related"),
    ("a.eml", "message/global"),
    ("a.bin", "multipart/x-mixed-replace; boundary=x"),
    ("a.js", "text/javascript"),
    ("a.mjs", "application/javascript"),
    ("a.js", "application/x-javascript"),
    ("a.css", "text/css"),
    ("a.swf", "application/x-shockwave-flash"),
    ("a.hta", "application/hta"),
];

#[tokio::test]
async fn a_row_whose_bytes_are_gone_says_so() {
    let app = app().await;
    put_ok(&app.service(), "files/a", "hello").await;
    let version = get(&app.service(), "info/files/a").await.json()["version"].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
    app.app.blobs.delete(vec![version.into()]).await.unwrap();
    assert_snapshot!(refusal(&get(&app.service(), "files/a").await), @"400 404 Not found NoSuchKey: The resource was not found");
}
