//! What a visitor sees who is no front: a web server without a page.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a visitor may take for a request's head.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// The page of a path that is not there.
pub(super) const PAGE: &str = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n</body>\r\n</html>\r\n";

/// The answer to every request, without its body.
pub(super) fn answer() -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NOT_FOUND;
    *response.headers_mut() = headers();
    response
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(PAGE.len()));
    headers
}

/// Serves a visitor who speaks HTTP/1.1.
pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(async |request: http::Request<hyper::body::Incoming>| {
        let body = if request.method() == http::Method::HEAD { "" } else { PAGE };
        Ok::<_, Infallible>(answer().map(|()| Full::new(Bytes::from_static(body.as_bytes()))))
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    // How it ends is the visitor's business.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}
