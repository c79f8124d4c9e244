//! Style, scripts: embedded, so that the dashboard works without any other host.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

#[derive(rust_embed::RustEmbed)]
#[folder = "assets"]
#[include = "*.js"]
#[include = "*.css"]
struct Assets;

/// One file. A version that changes changes its tag, so an hour in a cache does no harm.
pub(super) async fn file(Path(path): Path<String>) -> Response {
    let Some(file) = Assets::get(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "application/octet-stream",
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=60")], file.data).into_response()
}
