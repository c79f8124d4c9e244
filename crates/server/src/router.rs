//! All routes, and the layers around them.

use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::{auth::access::guard, openapi, request, routes, state::AppState, web};

/// The routes of the API with their description, before any layer.
pub(crate) fn described() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::head()).nest("/api/v1", routes::api()).merge(routes::beside())
}

/// The whole service.
pub(crate) fn router(state: AppState) -> Router {
    let (api, _) = described().split_for_parts();
    // Inside of routing, so that the table sees which route was matched; a route outside of the table answers nobody.
    let api = api.route_layer(middleware::from_fn_with_state(state.clone(), guard));
    // The pages that show the description hold nothing of the fleet, so that they need no key.
    let description = SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/api/v1/openapi.json"));
    let all = api
        .merge(Router::<AppState>::from(description))
        .merge(web::router())
        .fallback(request::not_found)
        .with_state(state);
    surrounded(all)
}

/// What is around every route, those of the dashboard too.
fn surrounded(router: Router) -> Router {
    // Panics are caught inside of the layer that writes refusals, so that they are told like any other fault.
    router.layer(CatchPanicLayer::custom(request::panicked)).layer(middleware::from_fn(request::identify))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_fault_with_a_request_id_and_tells_nothing_else() {
        let boom = Router::new().route("/", get(async || -> &'static str { panic!("secret") }));
        let request = Request::get("/").header("X-Request-Id", "r-1").body(Body::empty()).unwrap();
        let response = surrounded(boom).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["x-request-id"], "r-1");
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&problem["code"], &problem["request_id"]), (&"E_INTERNAL".into(), &"r-1".into()));
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
}
