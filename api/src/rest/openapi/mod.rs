//! The OpenAPI document: what the handlers say by themselves (`#[utoipa::path]`), made complete with
//! what follows from a route's shape, and served with two pages that show it. It describes REST only;
//! sockets are described by the AsyncAPI document.

mod base;
mod bodies;
mod examples;
mod limits;
mod pages;
mod parameters;
mod refusals;

use crate::rest;
use serde_json::Value;

pub(crate) use self::{
    base::base,
    pages::{documents, with_documents},
};

/// The complete document. Costs a few milliseconds; the server makes it once.
pub fn document() -> Value {
    complete(rest::routes().into_openapi())
}

/// What the handlers said, and what follows from it.
fn complete(said: utoipa::openapi::OpenApi) -> Value {
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

/// Every operation of the document with its path and method.
fn operations(document: &mut Value) -> impl Iterator<Item = (&str, &str, &mut Value)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object_mut().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}
