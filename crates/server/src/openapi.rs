//! The description of the API: made from the routes, committed, served.

use std::sync::LazyLock;

use axum::http::header;
use utoipa::{
    PartialSchema as _, ToSchema as _,
    openapi::{
        ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
        path::{Operation, PathItem},
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};
use zfs_sync_api::problem::{FieldProblem, Problem};

use crate::{
    auth::access::{Needs, needs},
    router,
};

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    // The document is data of ours: it is made the same way every time, and a test makes it.
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
});

/// The description of the API as OpenAPI 3.1 in JSON.
pub fn openapi_json() -> &'static str {
    &DOCUMENT
}

/// What describes the whole; the routes add themselves.
pub(crate) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("zfs-sync")
        .version("1")
        .description(Some(
            "The witness of a fleet that replicates ZFS. Errors are `application/problem+json` with a `code` that \
             `/docs/codes/{code}` explains.",
        ))
        .build();
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = ComponentsBuilder::new()
        .security_scheme("key", key)
        .security_scheme("bearer", bearer)
        .schema(Problem::name(), Problem::schema())
        .schema(FieldProblem::name(), FieldProblem::schema())
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// The whole document: what every operation needs and how it refuses is added here, from the table, not by hand.
pub(crate) fn document() -> OpenApi {
    let mut document = router::described().into_openapi();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let needs = needs(method, path).unwrap_or(Needs::Nothing);
            if needs != Needs::Nothing {
                let none: [String; 0] = [];
                let ways = ["key", "bearer"].map(|name| SecurityRequirement::new(name, none.clone()));
                operation.security = Some(ways.to_vec());
            }
            let needed = format!("Needs {}.", needs.words());
            let text = match operation.description.take() {
                Some(text) if !text.is_empty() => format!("{text}\n\n{needed}"),
                _ => needed,
            };
            operation.description = Some(text);
            let content = ContentBuilder::new()
                .schema(Some(RefOr::Ref(Ref::from_schema_name(Problem::name()))))
                .build();
            let problem = ResponseBuilder::new()
                .description("Refused")
                .content("application/problem+json", content)
                .build();
            operation.responses.responses.insert("default".to_owned(), RefOr::T(problem));
        }
    }
    document
}

/// The operations of a path, by method.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", &mut item.get),
        ("POST", &mut item.post),
        ("PUT", &mut item.put),
        ("DELETE", &mut item.delete),
        ("PATCH", &mut item.patch),
        ("HEAD", &mut item.head),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "description", responses((status = 200, description = "OpenAPI 3.1")))]
pub(crate) async fn get_description() -> ([(header::HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json())
}
