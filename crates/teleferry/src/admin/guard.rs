//! Who may ask for what, and how much may be sent.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::Access;
use super::problem::Problem;
use super::token::Proof;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The control socket: whoever may open it may do everything.
    Socket,
    /// TCP from this machine: may look, but not at links.
    Loopback,
    /// TCP from anywhere: may do nothing without the token.
    Network,
}

/// Lets a request in, or says why not.
pub(super) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    if access.needs_token(&request)
        && let Some(refused) = access.refuse(&request)
    {
        return refused.into_response();
    }
    let mut response = match bounded(&access, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Access {
    fn needs_token(&self, request: &Request) -> bool {
        let looks_only = matches!(*request.method(), Method::GET | Method::HEAD);
        let path = request.uri().path();
        match self.origin {
            Origin::Socket => false,
            Origin::Loopback => !looks_only || path.starts_with("/api/v1/links"),
            // The page holds nothing by itself, and health says only that the process turns.
            Origin::Network => !looks_only || !matches!(path, "/" | "/healthz"),
        }
    }

    fn refuse(&self, request: &Request) -> Option<Problem> {
        let given = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        match self.shared.token.check(given.and_then(|value| value.strip_prefix(b"Bearer "))) {
            Proof::Given => None,
            Proof::Wrong => Some(Problem::new(
                StatusCode::UNAUTHORIZED,
                "this needs the token of admin.token_file, as \"Authorization: Bearer TOKEN\"",
            )),
            Proof::Impossible => Some(Problem::new(
                StatusCode::FORBIDDEN,
                "this needs a token, and there is none: set admin.token_file and reload, or use the control socket",
            )),
        }
    }
}

/// Reads the body, which is never large and never slow.
async fn bounded(access: &Access, request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let bounds = &access.shared.bounds;
    match timeout(bounds.body_time, to_bytes(body, bounds.body)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a request's body has {} bytes at most, and must be whole", bounds.body),
        )),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the request's body came too slowly")),
    }
}
