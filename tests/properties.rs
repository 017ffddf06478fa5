//! Properties that must hold for all inputs, on generated ones.

#[path = "support/http_properties.rs"]
mod http;
