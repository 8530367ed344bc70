//! The tables of rules: to be looked at, and changed while the server runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Access;
use super::problem::Problem;
use crate::gate::{TableError, Tables};

/// A table and how much is in it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TableShown {
    /// Its name.
    pub name: String,
    /// What it holds: domain or network.
    pub kind: String,
    /// How many entries.
    pub entries: usize,
}

/// What is in a table.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TableEntries {
    /// How many entries there are.
    pub total: usize,
    /// The first of them: those that were added while the server ran, then the others.
    pub entries: Vec<String>,
}

/// What came of a look or a change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TableAnswer {
    /// The entry is in the table, or lies in a network that is.
    pub contained: bool,
    /// The table is another one than before.
    pub changed: bool,
}

/// Entries that are listed at most.
const MOST: usize = 100_000;

/// Every table.
#[utoipa::path(get, path = "/api/v1/tables", security(("token" = [])), responses(
    (status = 200, body = Vec<TableShown>),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn all(State(access): State<Arc<Access>>) -> Json<Vec<TableShown>> {
    let sizes = access.shared.observer.tables().sizes().into_iter();
    let shown = sizes.map(|size| TableShown {
        name: size.name,
        kind: size.kind.name().to_owned(),
        entries: size.entries,
    });
    Json(shown.collect())
}

/// What is in a table: the first hundred thousand entries.
#[utoipa::path(get, path = "/api/v1/tables/{table}/entries", security(("token" = [])),
    params(("table" = String, Path)), responses(
    (status = 200, body = TableEntries),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(access): State<Arc<Access>>,
    Path(table): Path<String>,
) -> Result<Json<TableEntries>, Problem> {
    let tables = access.shared.observer.tables();
    let entries = tables.list(&table, MOST).map_err(refused)?;
    let total = tables.size(&table).map_err(refused)?;
    Ok(Json(TableEntries { total, entries: entries.iter().map(ToString::to_string).collect() }))
}

/// Whether a host name is in a table, or an address lies in one of its networks.
#[utoipa::path(get, path = "/api/v1/tables/{table}/entries/{entry}", security(("token" = [])),
    params(("table" = String, Path), ("entry" = String, Path)), responses(
    (status = 200, body = TableAnswer),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "It is no entry of such a table", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn contains(
    State(access): State<Arc<Access>>,
    Path((table, entry)): Path<(String, String)>,
) -> Result<Json<TableAnswer>, Problem> {
    let contained = access.shared.observer.tables().contains(&table, &entry).map_err(refused)?;
    Ok(Json(TableAnswer { contained, changed: false }))
}

/// Adds an entry, for later starts too.
#[utoipa::path(put, path = "/api/v1/tables/{table}/entries/{entry}", security(("token" = [])),
    params(("table" = String, Path), ("entry" = String, Path)), responses(
    (status = 200, body = TableAnswer),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "It is no entry of such a table", body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "Done, but not kept", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn add(
    State(access): State<Arc<Access>>,
    Path((table, entry)): Path<(String, String)>,
) -> Result<Json<TableAnswer>, Problem> {
    change(&access, &table, &entry, Tables::add)
}

/// Takes an entry out, for later starts too. An address stays contained when a network around it is there.
#[utoipa::path(delete, path = "/api/v1/tables/{table}/entries/{entry}", security(("token" = [])),
    params(("table" = String, Path), ("entry" = String, Path)), responses(
    (status = 200, body = TableAnswer),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "It is no entry of such a table", body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "Done, but not kept", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(access): State<Arc<Access>>,
    Path((table, entry)): Path<(String, String)>,
) -> Result<Json<TableAnswer>, Problem> {
    change(&access, &table, &entry, Tables::remove)
}

/// Changes a table; says how the entry stands then.
fn change(
    access: &Access,
    table: &str,
    entry: &str,
    how: fn(&Tables, &str, &str) -> Result<bool, TableError>,
) -> Result<Json<TableAnswer>, Problem> {
    let tables = access.shared.observer.tables();
    let changed = how(tables, table, entry).map_err(refused)?;
    Ok(Json(TableAnswer { contained: tables.contains(table, entry).map_err(refused)?, changed }))
}

fn refused(error: TableError) -> Problem {
    let status = match error {
        TableError::Unknown(_) => StatusCode::NOT_FOUND,
        TableError::Entry(_) => StatusCode::UNPROCESSABLE_ENTITY,
        TableError::NotKept(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Problem::new(status, error.to_string())
}
