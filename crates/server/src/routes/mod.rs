//! The API, one file a resource.

mod agent;
mod certificates;
mod codes;
pub(crate) mod conflicts;
mod cursor;
pub(crate) mod decisions;
mod enrolment;
mod events;
mod groups;
mod health;
mod instructions;
mod keys;
pub(crate) mod plans;
mod pools;
mod replicas;
mod states;
mod sync;
mod systems;
mod transfers;
mod verification_schedules;
mod verification_work;
pub(crate) mod verifications;
mod whatif;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

/// Everything under `/api/v1`.
pub(crate) fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::get_health))
        .routes(routes!(health::get_liveness))
        .routes(routes!(health::get_readiness))
        .routes(routes!(replicas::get_status))
        .routes(routes!(systems::list_systems, systems::create_system))
        .routes(routes!(systems::register_system))
        .routes(routes!(systems::find_system, systems::update_system, systems::delete_system))
        .routes(routes!(systems::send_heartbeat, systems::send_heartbeat_by_get))
        .routes(routes!(systems::create_api_key, systems::revoke_api_key))
        .routes(routes!(systems::rotate_api_key))
        .routes(routes!(enrolment::list_enrolment_tokens, enrolment::create_enrolment_token))
        .routes(routes!(enrolment::revoke_enrolment_token))
        .routes(routes!(enrolment::enrol_system))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::revoke_key))
        .routes(routes!(agent::hello))
        .routes(routes!(agent::report_inventory))
        .routes(routes!(agent::lease_transfers))
        .routes(routes!(certificates::issue_certificate))
        .routes(routes!(certificates::grant_ticket))
        .routes(routes!(groups::list_groups, groups::create_group))
        .routes(routes!(groups::find_group, groups::update_group, groups::delete_group))
        .routes(routes!(groups::add_member))
        .routes(routes!(groups::remove_member))
        .routes(routes!(instructions::get_instructions))
        .routes(routes!(states::list_states, states::set_state))
        .routes(routes!(states::find_state))
        .routes(routes!(states::list_group_states))
        .routes(routes!(sync::check_group))
        .routes(routes!(sync::plan_group))
        .routes(routes!(sync::execute_group))
        .routes(routes!(replicas::list_replicas))
        .routes(routes!(replicas::explain_replica))
        .routes(routes!(conflicts::list_conflicts))
        .routes(routes!(conflicts::find_conflict))
        .routes(routes!(conflicts::propose_plan))
        .routes(routes!(conflicts::ignore_conflict))
        .routes(routes!(decisions::withdraw_decision))
        .routes(routes!(plans::find_plan))
        .routes(routes!(plans::apply_plan))
        .routes(routes!(whatif::lose_system))
        .routes(routes!(whatif::destroy_snapshots))
        .routes(routes!(transfers::list_transfers))
        .routes(routes!(transfers::find_transfer))
        .routes(routes!(transfers::cancel_transfer))
        .routes(routes!(transfers::retry_transfer))
        .routes(routes!(transfers::report_progress))
        .routes(routes!(transfers::report_result))
        .routes(routes!(verifications::list_verifications, verifications::create_verification))
        .routes(routes!(verifications::find_verification))
        .routes(routes!(verifications::cancel_verification))
        .routes(routes!(verification_work::exchange_verification))
        .routes(routes!(verifications::list_proofs))
        .routes(routes!(pools::list_pools))
        .routes(routes!(pools::report_pools))
        .routes(routes!(verification_schedules::list_verification_schedules))
        .routes(routes!(
            verification_schedules::set_verification_schedule,
            verification_schedules::delete_verification_schedule
        ))
        .routes(routes!(events::listen_to_events))
        .routes(routes!(events::listen_to_dashboard_events))
        .routes(routes!(crate::openapi::get_description))
}

/// What stands beside the API and is described with it.
pub(crate) fn beside() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(codes::explain_code))
}
