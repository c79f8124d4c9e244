//! What every backend must do. `tests/sqlite.rs` and `tests/postgres.rs` run all of it.

pub(crate) mod authority;
pub(crate) mod changes;
pub(crate) mod conflicts;
pub(crate) mod database;
pub(crate) mod enrolment;
pub(crate) mod groups;
pub(crate) mod inventory;
pub(crate) mod inventory_kinds;
pub(crate) mod inventory_looks;
pub(crate) mod inventory_part;
pub(crate) mod inventory_part_plans;
pub(crate) mod inventory_protocol;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod make;
pub(crate) mod plans;
pub(crate) mod replica_lists;
pub(crate) mod replicas;
pub(crate) mod retention;
pub(crate) mod systems;
pub(crate) mod transfers;
pub(crate) mod transfers_leased;
pub(crate) mod transfers_over;
pub(crate) mod transfers_turns;
pub(crate) mod upgrade;
pub(crate) mod verifications;

/// Makes one test of each behaviour; `run` gives it a database of its own. Clippy names a behaviour that is missing here.
macro_rules! suite {
    ($run:path) => {
        suite! { $run;
            systems: hostnames_are_unique, systems_are_listed_by_name_in_pages, a_change_touches_only_what_it_names,
                a_sign_of_life_keeps_what_it_does_not_say, deleting_a_system_takes_its_belongings_along,
                a_member_of_a_group_is_not_deleted, a_wanted_report_is_answered_by_the_next_complete_one,
                a_damaged_cell_is_named;
            keys: keys_are_found_by_their_prefix, a_revoked_key_loses_its_sessions, the_last_use_is_noted_once_a_minute,
                sessions_end_with_their_time;
            authority: the_first_authority_stays, a_listener_is_noted_and_forgotten, a_transport_belongs_to_its_lease;
            enrolment: a_token_admits_as_often_as_it_says, a_refused_enrolment_stores_nothing,
                enrolments_at_once_never_exceed_the_uses;
            inventory: a_complete_report_reads_back_as_it_was, a_complete_report_removes_what_it_does_not_name,
                history_is_replaced_by_guid, the_same_report_again_changes_no_row, nothing_of_half_a_report_is_kept,
                many_snapshots_go_at_once, inventories_are_counted_and_paged;
            inventory_protocol: a_delta_needs_the_newest_sequence, an_empty_delta_writes_one_row,
                another_digest_without_history_is_needed_and_holds_back_the_age,
                a_needed_dataset_that_goes_away_is_needed_no_more, one_of_two_deltas_at_once_is_accepted,
                reports_of_strangers_are_refused;
            inventory_looks: a_report_shows_when_its_look_began_however_late_it_arrives,
                what_a_report_does_not_say_is_not_made_up, what_is_needed_still_shows_no_later_moment;
            inventory_kinds: a_report_without_guids_reads_back_as_one, a_delta_is_of_the_kind_of_its_base,
                another_kind_is_planned_anew, histories_of_both_kinds_are_never_mixed, made_up_guids_are_nobodys_copies;
            inventory_part: a_part_is_what_the_whole_has_of_it, every_pool_is_seen, what_lies_around_a_target_is_found,
                a_part_costs_nothing_for_the_rest, holders_are_found_by_guid;
            inventory_part_plans: a_plan_of_parts_is_the_plan_of_the_whole;
            changes: reports_queue_what_they_change, what_changes_again_is_not_forgotten, systems_without_groups_queue_nothing,
                a_report_that_fails_queues_nothing;
            groups: a_group_reads_back_as_it_was, names_of_groups_are_unique, members_must_exist_and_be_listed_once,
                an_update_raises_the_revision, a_deleted_group_takes_its_queue_along;
            retention: policies_read_back_and_are_replaced_as_a_whole, policies_belong_to_their_system,
                the_same_policies_again_change_no_row, a_changed_policy_is_planned_anew;
            replicas: transitions_tell_what_came_changed_and_went, since_stays_while_the_state_does,
                the_same_replicas_again_change_no_row, a_scope_leaves_all_others_alone;
            replica_lists: replicas_are_filtered_and_counted, replicas_are_found_by_what_plans_ask_for, pages_follow_each_other,
                groups_are_summed_up;
            conflicts: a_conflict_opens_changes_and_is_resolved, what_is_not_known_stays_open,
                a_conflict_goes_with_its_replica_and_its_group, an_ignored_conflict_that_gets_worse_is_heard_again,
                conflicts_are_filtered_and_counted, old_conflicts_are_forgotten, replicas_and_conflicts_change_together;
            plans: a_plan_reads_back_as_it_was, a_plan_is_applied_once, a_decision_replaces_the_one_before,
                plans_applied_at_once_leave_one_decision, a_decision_ends_once, a_decision_that_stands_can_be_narrowed, plans_that_nobody_applied_are_forgotten,
                half_an_application_is_none;
            transfers: a_target_has_one_unfinished_transfer, transfers_are_filtered_newest_first,
                unfinished_transfers_are_counted_without_being_read,
                a_queued_transfer_is_cancelled_at_once, a_leased_transfer_is_asked_to_stop,
                a_parked_replica_stays_parked_until_retried, a_retry_yields_to_a_newer_transfer;
            transfers_leased: a_lease_is_renewed_and_finished, leasers_at_once_never_share_a_transfer,
                an_old_generation_is_refused, a_lease_that_nobody_took_back_goes_on, failures_are_queued_again_until_parked,
                saying_the_result_again_is_answered_the_same, a_restarted_agent_loses_its_leases_at_once;
            transfers_turns: a_system_takes_part_in_so_many_whoever_carries_them_out,
                what_goes_elsewhere_does_not_wait_for_what_is_full, caps_hold_when_leases_are_asked_for_at_once;
            transfers_over: what_an_executor_says_is_over_is_over, a_lease_that_ends_is_not_over_yet,
                a_step_that_is_stale_says_nothing_of_an_earlier_lease,
                what_was_never_begun_is_over_when_it_ends,
                what_is_withheld_ends_what_was_handed_out_before_no_earlier, a_system_that_goes_leaves_what_others_are_at;
            verifications: both_sides_answer_and_it_ends, a_lost_agent_begins_it_anew_until_it_has_failed, a_cancelled_verification_is_over,
                proofs_are_the_newest_of_each_kind_and_stay, a_difference_takes_the_place_of_an_older_proof,
                what_no_agent_comes_for_is_given_up_and_unproven, a_schedule_belongs_to_its_group,
                a_schedule_has_one_verification_under_way,
                health_of_pools_is_replaced_as_a_whole;
            journal: events_are_numbered_without_gaps, pruned_events_keep_their_numbers, the_audit_log_reads_newest_first,
                sync_states_are_replaced_by_subject;
        }
    };
    ($run:path; $($module:ident: $($behaviour:ident),+ ;)+) => {
        $(mod $module {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                $run(crate::suite::$module::$behaviour).await;
            }
        )+})+
    };
}
pub(crate) use suite;
