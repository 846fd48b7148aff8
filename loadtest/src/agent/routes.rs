//! An agent's HTTP: reads requests, asks the slot and its run, words refusals.

use super::{
    message::{ClockReading, MAX_REQUEST_BYTES, Piece, RunProgress, RunRequest, VERSION},
    run::{NoStart, Run},
    slot::Slot,
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::Response,
    routing::{delete, get, post},
};
use platform::{lifecycle::Lifecycle, problem::Problem, settings::Secret};
use serde::{Deserialize, de::DeserializeOwned};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// An agent as HTTP. Every route wants the secret as bearer, when there is one. Its run and its tasks
/// belong to `lifecycle`.
pub fn routes(secret: Option<Secret>, lifecycle: &Lifecycle) -> Router {
    let slot = Slot::new(lifecycle.clone());
    Router::new()
        .route("/runs", post(prepare))
        .route("/runs/{run}/clock", get(clock))
        .route("/runs/{run}/start", post(start))
        .route("/runs/{run}/progress", get(progress))
        .route("/runs/{run}/stop", post(stop))
        .route("/runs/{run}/result", get(result))
        .route("/runs/{run}", delete(release))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        // Outermost, so that nobody's body is read without it.
        .layer(middleware::from_fn_with_state(Arc::new(secret), authorise))
        .with_state(slot)
}

async fn authorise(
    State(secret): State<Arc<Option<Secret>>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if let Some(secret) = &*secret {
        let given = bearer(request.headers()).unwrap_or_default().as_bytes();
        if !bool::from(given.ct_eq(secret.reveal().as_bytes())) {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "This agent wants its secret: --agent-secret-file.",
            ));
        }
    }
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

async fn prepare(State(slot): State<Arc<Slot>>, body: Bytes) -> Result<StatusCode, Problem> {
    let request: RunRequest = read(&body)?;
    if request.version != VERSION {
        let detail =
            format!("This agent is version {VERSION}, its coordinator {}.", request.version);
        return Err(Problem::new(StatusCode::BAD_REQUEST, "version", detail));
    }
    if request.index >= request.of {
        return Err(invalid("there is no such share"));
    }
    slot.take(request.options()).map_err(|_| {
        Problem::new(
            StatusCode::CONFLICT,
            "busy",
            "Another run has this agent. An agent whose coordinator vanished is free soon.",
        )
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn clock(
    State(slot): State<Arc<Slot>>,
    run: Path<String>,
) -> Result<Json<ClockReading>, Problem> {
    Ok(Json(find(&slot, &run)?.reading()))
}

async fn start(
    State(slot): State<Arc<Slot>>,
    run: Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let refusal = |code, detail| Problem::new(StatusCode::CONFLICT, code, detail);
    slot.start(&find(&slot, &run)?, &read(&body)?).map_err(|why| match why {
        NoStart::Twice => refusal("started", "This run has been started."),
        NoStart::Late => {
            refusal("late", "The moment to start has passed: the way here is too slow.")
        }
    })?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Since {
    since: u64,
}

async fn progress(
    State(slot): State<Arc<Slot>>,
    run: Path<String>,
    Query(Since { since }): Query<Since>,
) -> Result<Json<RunProgress>, Problem> {
    Ok(Json(find(&slot, &run)?.progress(since)))
}

async fn stop(State(slot): State<Arc<Slot>>, run: Path<String>) -> Result<StatusCode, Problem> {
    find(&slot, &run)?.stop.cancel();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct From {
    from: usize,
}

async fn result(
    State(slot): State<Arc<Slot>>,
    run: Path<String>,
    Query(From { from }): Query<From>,
) -> Result<Json<Piece>, Problem> {
    let piece = find(&slot, &run)?.piece(from);
    piece.map(Json).ok_or_else(|| {
        Problem::new(StatusCode::CONFLICT, "not_ended", "This run has no result yet.")
    })
}

async fn release(State(slot): State<Arc<Slot>>, run: Path<String>) -> Result<StatusCode, Problem> {
    slot.release(&find(&slot, &run)?);
    Ok(StatusCode::NO_CONTENT)
}

fn find(slot: &Slot, run: &str) -> Result<Arc<Run>, Problem> {
    slot.find(run).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_such_run",
            "This agent does not have this run, or gave it up because it heard nothing for too long.",
        )
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))
}

fn invalid(why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid", format!("This is no order: {why}."))
}
