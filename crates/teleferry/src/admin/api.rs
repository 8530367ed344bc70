//! What can be asked for, and its description.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::Access;
use super::guard::guard;
use super::health::{self, Health};
use super::history::Sample;
use super::links::{self, ShownLink};
use super::metrics;
use super::problem::Problem;
use super::status::{self, Dc, Status};
use super::tables;
use crate::config::{Levels, LevelsError};
use crate::control::ReloadError;
use crate::upgrade::UpgradeError;

/// Everything that can be asked for.
pub(super) fn router(access: Arc<Access>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(scrape))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/status", get(show_status))
        .route("/api/v1/openapi.json", get(describe))
        .route("/api/v1/status", get(show_status))
        .route("/api/v1/dcs", get(show_dcs))
        .route("/api/v1/history", get(show_history))
        .route("/api/v1/links", get(show_links))
        .route("/api/v1/tables", get(tables::all))
        .route("/api/v1/tables/{table}/entries", get(tables::list))
        .route(
            "/api/v1/tables/{table}/entries/{*entry}",
            get(tables::contains).put(tables::add).delete(tables::remove),
        )
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/drain", post(drain))
        .route("/api/v1/upgrade", post(upgrade))
        .route("/api/v1/log", get(show_levels).put(set_levels))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing under this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&access), guard))
        .with_state(access)
}

type Shared = State<Arc<Access>>;

/// What a reload did.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// What is in force now, in words.
    pub changes: Vec<String>,
    /// What changed in the file and needs a restart.
    pub restart: Vec<String>,
}

/// The page for people.
async fn page() -> Response {
    let mut response = Html(PAGE).into_response();
    // Hashes are printable, so that this never fails.
    if let Ok(policy) = HeaderValue::from_str(&content_security_policy(PAGE)) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

const PAGE: &str = include_str!("page.html");

/// Nothing may run and nothing may be loaded but what the page itself holds, and it talks to its own server only.
fn content_security_policy(page: &str) -> String {
    let hash = |element: &str| {
        let (_, rest) = page.split_once(&format!("<{element}>")).unwrap_or_default();
        let (inside, _) = rest.split_once(&format!("</{element}>")).unwrap_or_default();
        BASE64.encode(digest(&SHA256, inside.as_bytes()).as_ref())
    };
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style")
    )
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
async fn scrape(State(access): Shared) -> Response {
    let text = metrics::scrape(&access.shared.observer);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

/// Whether the process turns.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn healthz(State(access): Shared) -> Response {
    told(health::turns(&access.shared.observer))
}

/// Whether a client that comes now can be served.
#[utoipa::path(get, path = "/readyz", responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn readyz(State(access): Shared) -> Response {
    told(health::ready(&access.shared.observer, &access.shared.probe).await)
}

fn told(health: Health) -> Response {
    let status = if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

/// How the server is. `/status` is the same.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = Status)))]
async fn show_status(State(access): Shared) -> Json<Status> {
    Json(Status::now(&access.shared.observer))
}

/// Data centres with their links.
#[utoipa::path(get, path = "/api/v1/dcs", responses((status = 200, body = Vec<Dc>)))]
async fn show_dcs(State(access): Shared) -> Json<Vec<Dc>> {
    Json(status::dcs(&access.shared.observer.read()))
}

/// The last day, a sample a minute, the oldest first.
#[utoipa::path(get, path = "/api/v1/history", responses((status = 200, body = Vec<Sample>)))]
async fn show_history(State(access): Shared) -> Json<Vec<Sample>> {
    Json(access.shared.history.samples())
}

/// The links that clients connect with. They hold secrets: over TCP this needs the token.
#[utoipa::path(get, path = "/api/v1/links", security(("token" = [])), responses(
    (status = 200, body = Vec<ShownLink>),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "They cannot be told", body = Problem, content_type = "application/problem+json"),
))]
async fn show_links(State(access): Shared) -> Result<Json<Vec<ShownLink>>, Problem> {
    let links = links::shown(&access.shared.observer.snapshot());
    links.map(Json).map_err(|why| Problem::new(StatusCode::CONFLICT, why))
}

/// Reads the settings again and applies them, or leaves everything as it was.
#[utoipa::path(post, path = "/api/v1/reload", security(("token" = [])), responses(
    (status = 200, body = Reloaded),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The settings are refused", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The server stops", body = Problem, content_type = "application/problem+json"),
))]
async fn reload(State(access): Shared) -> Result<Json<Reloaded>, Problem> {
    match access.shared.control.reload().await {
        Ok(report) => Ok(Json(Reloaded { changes: report.changes, restart: report.restart })),
        Err(error) => {
            let status = match error {
                ReloadError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Err(Problem::with(status, error.sentences()))
        }
    }
}

/// Accepts nothing more, lets connections end by themselves for the configured time, and leaves.
#[utoipa::path(post, path = "/api/v1/drain", security(("token" = [])), responses(
    (status = 202, description = "It is about to leave"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
))]
async fn drain(State(access): Shared) -> StatusCode {
    access.shared.control.drain();
    StatusCode::ACCEPTED
}

/// The process that took this one's place.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Upgraded {
    /// Its number.
    pub process: u32,
}

/// Starts the program that stands in this one's place now, hands everything over to it, and leaves once its own connections
/// have ended or had their time.
#[utoipa::path(post, path = "/api/v1/upgrade", security(("token" = [])), responses(
    (status = 200, description = "The new one accepts connections", body = Upgraded),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "It did not start; this one goes on", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The server stops", body = Problem, content_type = "application/problem+json"),
))]
async fn upgrade(State(access): Shared) -> Result<Json<Upgraded>, Problem> {
    match access.shared.control.upgrade().await {
        Ok(process) => Ok(Json(Upgraded { process })),
        Err(error) => {
            let status = match error {
                UpgradeError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            Err(Problem::new(status, error.to_string()))
        }
    }
}

/// Which log lines are told.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogLevels {
    /// The least severe level in all, and for parts of the program: "info,backend=debug".
    #[schema(
        pattern = "^((admin|announce|back|backend|cli|client|config|control|cover|demo|doctor|gate|identity|listen|net|process|server|shard|sys|telegram|trunk|upgrade|watchdog)(::[a-z_]+)*=)?(off|error|warn|info|debug|trace)(,((admin|announce|back|backend|cli|client|config|control|cover|demo|doctor|gate|identity|listen|net|process|server|shard|sys|telegram|trunk|upgrade|watchdog)(::[a-z_]+)*=)?(off|error|warn|info|debug|trace))*$"
    )]
    pub level: String,
}

/// Which log lines are told.
#[utoipa::path(get, path = "/api/v1/log", responses(
    (status = 200, body = LogLevels),
    (status = 503, description = "The server stops", body = Problem, content_type = "application/problem+json"),
))]
async fn show_levels(State(access): Shared) -> Result<Json<LogLevels>, Problem> {
    levels(&access, None).await
}

/// Tells other log lines, until the settings are reloaded.
#[utoipa::path(put, path = "/api/v1/log", security(("token" = [])), request_body = LogLevels, responses(
    (status = 200, body = LogLevels),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The server stops", body = Problem, content_type = "application/problem+json"),
))]
async fn set_levels(
    State(access): Shared,
    wanted: Result<Json<LogLevels>, JsonRejection>,
) -> Result<Json<LogLevels>, Problem> {
    let refused = |why: String| Problem::new(StatusCode::BAD_REQUEST, why);
    let Json(wanted) = wanted.map_err(|rejection| refused(rejection.body_text()))?;
    let wanted = wanted.level.parse().map_err(|error: LevelsError| refused(error.to_string()))?;
    levels(&access, Some(wanted)).await
}

async fn levels(access: &Access, wanted: Option<Levels>) -> Result<Json<LogLevels>, Problem> {
    match access.shared.control.log(wanted).await {
        Some(levels) => Ok(Json(LogLevels { level: levels.to_string() })),
        None => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server stops")),
    }
}

/// This description.
async fn describe() -> Json<utoipa::openapi::OpenApi> {
    Json(Api::openapi())
}

/// The description of the API in the OpenAPI format, as JSON.
#[must_use]
pub fn description() -> String {
    // A description that cannot be written would be a fault that every test shows.
    let mut text = Api::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Teleferry", description = "What the running proxy tells and what it can be told. The same over the control socket, where no token is needed."),
    paths(scrape, healthz, readyz, show_status, show_dcs, show_history, show_links, tables::all, tables::list, tables::contains, tables::add, tables::remove, reload, drain, upgrade, show_levels, set_levels),
    modifiers(&Token),
)]
struct Api;

struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}
