//! The OpenAPI document: what the handlers say by themselves (`#[utoipa::path]`), made complete with
//! what follows from a route's shape, and served with two pages that show it. It describes REST only;
//! sockets are described by the AsyncAPI document.

mod base;
mod bodies;
mod examples;
mod limits;
mod operations;
mod pages;
mod parameters;
mod refusals;

use serde_json::Value;

pub(crate) use self::{
    base::base,
    pages::{documents, with_documents},
};

/// What the handlers said, and what follows from it. Costs a few milliseconds.
pub(crate) fn complete(said: utoipa::openapi::OpenApi) -> Value {
    // A document of strings, lists and maps with string keys always becomes JSON.
    let mut document = serde_json::to_value(said).unwrap_or_default();
    parameters::describe(&mut document);
    refusals::add(&mut document);
    limits::add(&mut document);
    examples::add(&mut document);
    // Last, because examples are made of the fields alone.
    bodies::complete(&mut document);
    document
}
