//! Who may ask for what, and how much may be sent.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
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
    /// TCP from this machine: may look, but not at links and not at tables, which may name customers.
    Loopback,
    /// TCP from anywhere: may do nothing without the token.
    Network,
}

/// Lets a request in, or says why not.
pub(super) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    if access.origin == Origin::Loopback && !names_this_machine(&request) {
        return Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this is asked for by an address or as localhost, so that no page of a stranger's name can read it in a browser here",
        )
        .into_response();
    }
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

/// Whether a request asks for an address or for localhost. A web site whose name leads to this machine could otherwise have
/// its visitors' browsers read what is here (DNS rebinding). Browsers always tell the name.
fn names_this_machine(request: &Request) -> bool {
    let told = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    let asked = request.uri().authority().map(Authority::as_str);
    told.chain(asked).all(|host| {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
    })
}

impl Access {
    fn needs_token(&self, request: &Request) -> bool {
        let looks_only = matches!(*request.method(), Method::GET | Method::HEAD);
        let path = request.uri().path();
        match self.origin {
            Origin::Socket => false,
            Origin::Loopback => {
                !looks_only || path.starts_with("/api/v1/links") || path.starts_with("/api/v1/tables")
            }
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
