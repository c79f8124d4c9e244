//! Who may do what: one table, closed by default. A route that is not here answers nobody.

use axum::{
    extract::{MatchedPath, RawPathParams, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, header};
use zfs_sync_api::{codes::ErrorCode, v1::key::Role};
use zfs_sync_core::ids::SystemId;

use super::Caller;
use crate::{
    error::{Answer, ApiError},
    state::AppState,
};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: the route is open, and a key that comes along is not looked at.
    Nothing,
    /// A person's or script's key with at least this role.
    Role(Role),
    /// The key of the system in the path.
    OwnSystem,
    /// The key of the system in the path, or at least this role.
    OwnSystemOr(Role),
    /// The key of any system; the handler compares it with what is asked for.
    AnySystem,
    /// The key of any system, compared by the handler, or at least this role.
    AnySystemOr(Role),
}

use Needs::{AnySystem, AnySystemOr, Nothing, OwnSystem, OwnSystemOr};

const VIEWER: Needs = Needs::Role(Role::Viewer);
const OPERATOR: Needs = Needs::Role(Role::Operator);
const ADMIN: Needs = Needs::Role(Role::Admin);

/// Every operation. The parameter `{system_id}` is the system that `OwnSystem` means.
pub(crate) const ACCESS: &[(&str, &str, Needs)] = &[
    // Liveness is all that is readable without a key, so that load balancers and old scripts can ask.
    ("GET", "/api/v1/health", Nothing),
    ("GET", "/api/v1/health/live", Nothing),
    ("GET", "/api/v1/health/ready", Nothing),
    // The token in the body is the credential.
    ("POST", "/api/v1/enrol", Nothing),
    // What the program does is public; what a fleet does is not.
    ("GET", "/api/v1/openapi.json", Nothing),
    ("GET", "/docs/codes/{code}", Nothing),
    ("GET", "/api/v1/status", VIEWER),
    ("GET", "/api/v1/systems", VIEWER),
    ("POST", "/api/v1/systems", ADMIN),
    ("POST", "/api/v1/systems/register", ADMIN),
    ("GET", "/api/v1/systems/{system_id}", OwnSystemOr(Role::Viewer)),
    // Whoever changes where a system is reached redirects the streams that are sent there.
    ("PUT", "/api/v1/systems/{system_id}", ADMIN),
    ("DELETE", "/api/v1/systems/{system_id}", ADMIN),
    ("POST", "/api/v1/systems/{system_id}/heartbeat", OwnSystem),
    ("GET", "/api/v1/systems/{system_id}/heartbeat", OwnSystem),
    ("POST", "/api/v1/systems/{system_id}/api-key", OwnSystemOr(Role::Admin)),
    ("POST", "/api/v1/systems/{system_id}/api-key/rotate", OwnSystemOr(Role::Admin)),
    ("DELETE", "/api/v1/systems/{system_id}/api-key", OwnSystemOr(Role::Admin)),
    ("POST", "/api/v1/systems/{system_id}/hello", OwnSystem),
    ("POST", "/api/v1/systems/{system_id}/inventory", OwnSystem),
    ("POST", "/api/v1/systems/{system_id}/lease", OwnSystem),
    ("POST", "/api/v1/systems/{system_id}/certificate", OwnSystem),
    ("POST", "/api/v1/systems/{system_id}/ticket", OwnSystem),
    ("GET", "/api/v1/enrolment-tokens", ADMIN),
    ("POST", "/api/v1/enrolment-tokens", ADMIN),
    ("DELETE", "/api/v1/enrolment-tokens/{token_id}", ADMIN),
    ("GET", "/api/v1/keys", ADMIN),
    ("POST", "/api/v1/keys", ADMIN),
    ("DELETE", "/api/v1/keys/{key_id}", ADMIN),
    ("GET", "/api/v1/sync-groups", VIEWER),
    ("POST", "/api/v1/sync-groups", OPERATOR),
    ("GET", "/api/v1/sync-groups/{group_id}", VIEWER),
    ("PUT", "/api/v1/sync-groups/{group_id}", OPERATOR),
    ("DELETE", "/api/v1/sync-groups/{group_id}", OPERATOR),
    ("POST", "/api/v1/sync-groups/{group_id}/systems", OPERATOR),
    ("DELETE", "/api/v1/sync-groups/{group_id}/systems/{member_id}", OPERATOR),
    // Looks again at what the background looks at anyway.
    ("POST", "/api/v1/sync/{group}/check", VIEWER),
    ("POST", "/api/v1/sync/{group}/plan", VIEWER),
    ("POST", "/api/v1/sync/{group}/execute", OPERATOR),
    ("GET", "/api/v1/sync/instructions/{system_id}", OwnSystemOr(Role::Viewer)),
    ("GET", "/api/v1/sync/states", VIEWER),
    ("POST", "/api/v1/sync/states", AnySystemOr(Role::Operator)),
    ("GET", "/api/v1/sync/states/{state_id}", VIEWER),
    ("GET", "/api/v1/sync/groups/{group_id}/states", VIEWER),
    ("GET", "/api/v1/replicas", VIEWER),
    ("GET", "/api/v1/why", VIEWER),
    ("GET", "/api/v1/conflicts", VIEWER),
    ("GET", "/api/v1/conflicts/{conflict_id}", VIEWER),
    // A stored plan does nothing, but what is stored is written on behalf of somebody who may apply it.
    ("POST", "/api/v1/conflicts/{conflict_id}/plan", OPERATOR),
    ("POST", "/api/v1/conflicts/{conflict_id}/ignore", OPERATOR),
    ("POST", "/api/v1/conflicts/{conflict_id}/withdraw", OPERATOR),
    ("GET", "/api/v1/plans/{plan_id}", VIEWER),
    ("POST", "/api/v1/plans/{plan_id}/apply", OPERATOR),
    ("GET", "/api/v1/whatif/system-lost/{system}", VIEWER),
    // A question with a body; it changes nothing.
    ("POST", "/api/v1/whatif/destroy", VIEWER),
    ("GET", "/api/v1/transfers", VIEWER),
    ("GET", "/api/v1/transfers/{transfer_id}", AnySystemOr(Role::Viewer)),
    ("POST", "/api/v1/transfers/{transfer_id}/cancel", OPERATOR),
    ("POST", "/api/v1/transfers/{transfer_id}/retry", OPERATOR),
    ("POST", "/api/v1/transfers/{transfer_id}/progress", AnySystem),
    ("POST", "/api/v1/transfers/{transfer_id}/result", AnySystem),
    // Results without names of files; those are shown to operators.
    ("GET", "/api/v1/verifications", VIEWER),
    // Reading everything on two hosts is work, and what differs is told by name.
    ("POST", "/api/v1/verifications", OPERATOR),
    ("GET", "/api/v1/verifications/{verification_id}", VIEWER),
    ("POST", "/api/v1/verifications/{verification_id}/cancel", OPERATOR),
    ("POST", "/api/v1/verifications/{verification_id}/exchange", AnySystem),
    ("GET", "/api/v1/proofs", VIEWER),
    ("GET", "/api/v1/pools", VIEWER),
    ("POST", "/api/v1/systems/{system_id}/pools", OwnSystem),
    ("GET", "/api/v1/verification-schedules", VIEWER),
    ("PUT", "/api/v1/sync-groups/{group_id}/verification-schedule", OPERATOR),
    ("DELETE", "/api/v1/sync-groups/{group_id}/verification-schedule", OPERATOR),
    ("GET", "/api/v1/events", VIEWER),
    ("GET", "/api/v1/dashboard/events", VIEWER),
];

/// What the operation needs; `None` where it does not exist.
pub(crate) fn needs(method: &str, path: &str) -> Option<Needs> {
    ACCESS.iter().find(|(of, at, _)| *of == method && *at == path).map(|(_, _, needs)| *needs)
}

impl Needs {
    /// For the API description and for refusals.
    pub(crate) fn words(self) -> String {
        match self {
            Nothing => "no key".into(),
            Self::Role(role) => format!("a key with the role {} or higher", role.as_str()),
            OwnSystem => "the key of that system".into(),
            OwnSystemOr(role) => {
                format!("the key of that system, or a key with the role {} or higher", role.as_str())
            }
            AnySystem => "the key of the system that it concerns".into(),
            AnySystemOr(role) => {
                format!(
                    "the key of the system that it concerns, or one with the role {} or higher",
                    role.as_str()
                )
            }
        }
    }

    fn check(self, caller: &Caller, in_path: Option<SystemId>) -> Answer<()> {
        // A system's key stands apart from the roles of people: it acts for its own system and for nothing else.
        let has = |role: Role| caller.role != Role::System && caller.role >= role;
        let is_it = || caller.system.is_some() && caller.system == in_path;
        let allowed = match self {
            Nothing => true,
            Self::Role(role) => has(role),
            OwnSystem => is_it(),
            OwnSystemOr(role) => is_it() || has(role),
            AnySystem => caller.system.is_some(),
            AnySystemOr(role) => caller.system.is_some() || has(role),
        };
        if allowed { Ok(()) } else { Err(forbidden(caller, &self.words())) }
    }
}

/// The refusal of a key that is known.
pub(crate) fn forbidden(caller: &Caller, needed: &str) -> ApiError {
    let Caller { name, role, .. } = caller;
    let detail = format!("the key `{name}` has the role {}; this needs {needed}", role.as_str());
    ApiError::new(ErrorCode::Forbidden, detail)
}

/// The layer on every route: who calls, and may they?
pub(crate) async fn guard(
    State(state): State<AppState>,
    path: Option<MatchedPath>,
    parameters: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    let Some(needs) = needs(request.method().as_str(), path) else { return no_such_method(path) };
    if needs != Nothing {
        let in_path = parameters.iter().find(|(name, _)| *name == "system_id");
        let in_path = in_path.and_then(|(_, text)| text.parse().ok());
        let caller = match super::authenticate(&state, request.method(), request.headers()).await {
            Ok(caller) => caller,
            Err(error) => return error.into_response(),
        };
        if let Err(error) = needs.check(&caller, in_path) {
            return error.into_response();
        }
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

/// The path exists, or its routes are missing from the table: then it is closed, not open.
fn no_such_method(path: &str) -> Response {
    let methods: Vec<&str> =
        ACCESS.iter().filter(|(_, at, _)| *at == path).map(|(method, _, _)| *method).collect();
    if methods.is_empty() {
        return ApiError::new(ErrorCode::NotFound, "there is nothing at this address").into_response();
    }
    let methods = methods.join(", ");
    let error = ApiError::new(ErrorCode::MethodNotAllowed, format!("this address takes {methods}"));
    let mut response = error.into_response();
    if let Ok(value) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// True for methods that change nothing.
pub(super) fn is_safe(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD || *method == Method::OPTIONS
}
