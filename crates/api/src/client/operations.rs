//! One method per operation.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use zfs_sync_core::{
    group::Strategy,
    ids::{ConflictId, EnrolmentTokenId, GroupId, KeyId, PlanId, SystemId, TransferId, VerificationId},
    whatif::Verdict,
};

use super::{Client, ClientError};
use crate::v1::{
    agent, certificate, conflict, group, health, key, plan, pool, replica, sync, system, transfer,
    verification, whatif,
};

type Answer<T> = Result<T, ClientError>;

/// Where transfers are listed from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferQuery {
    /// Only of this group.
    pub group: Option<GroupId>,
    /// Only to or from this system.
    pub system: Option<SystemId>,
    /// Only those that have not ended.
    pub unfinished: bool,
    /// At most so many, newest first.
    pub limit: u32,
}

/// Which replicas are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaQuery {
    /// Only of this group.
    pub group: Option<GroupId>,
    /// At most so many.
    pub limit: Option<u32>,
    /// Where the page before has ended.
    pub cursor: Option<String>,
}

impl ReplicaQuery {
    fn path(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(group) = self.group {
            query.append_pair("group", &group.to_string());
        }
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        if let Some(cursor) = &self.cursor {
            query.append_pair("cursor", cursor);
        }
        format!("replicas?{}", query.finish())
    }
}

/// Which conflicts are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConflictQuery {
    /// Only of this group, by id or name.
    pub group: Option<String>,
    /// Only with this system as source or target, by id or host name.
    pub system: Option<String>,
    /// Only with this dataset as source, target or logical name.
    pub dataset: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only of this severity.
    pub severity: Option<String>,
    /// `open` when absent, `ignored`, `resolved`, `all`.
    pub state: Option<String>,
    /// At most so many, worst first.
    pub limit: Option<u32>,
}

impl ConflictQuery {
    fn path(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let texts = [
            ("sync_group", &self.group),
            ("system", &self.system),
            ("dataset", &self.dataset),
            ("kind", &self.kind),
            ("severity", &self.severity),
            ("state", &self.state),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        format!("conflicts?{}", query.finish())
    }
}

impl Client {
    /// `GET /health`.
    pub async fn health(&self) -> Answer<health::Health> {
        self.get("health").await
    }

    /// `GET /status`.
    pub async fn status(&self) -> Answer<sync::Status> {
        self.get("status").await
    }

    /// `POST /enrolment-tokens`.
    pub async fn create_enrolment_token(
        &self,
        body: &key::CreateEnrolmentToken,
    ) -> Answer<key::CreatedEnrolmentToken> {
        self.post("enrolment-tokens", body).await
    }

    /// `GET /enrolment-tokens`.
    pub async fn list_enrolment_tokens(&self) -> Answer<Vec<key::EnrolmentToken>> {
        self.get("enrolment-tokens").await
    }

    /// `DELETE /enrolment-tokens/{id}`.
    pub async fn revoke_enrolment_token(&self, id: EnrolmentTokenId) -> Answer<()> {
        self.delete(&format!("enrolment-tokens/{id}")).await
    }

    /// `POST /enrol`: needs no key.
    pub async fn enrol(&self, body: &key::Enrol) -> Answer<key::Enrolled> {
        self.post("enrol", body).await
    }

    /// `GET /keys`.
    pub async fn list_keys(&self) -> Answer<Vec<key::Key>> {
        self.get("keys").await
    }

    /// `POST /keys`.
    pub async fn create_key(&self, body: &key::CreateKey) -> Answer<key::CreatedKey> {
        self.post("keys", body).await
    }

    /// `DELETE /keys/{id}`.
    pub async fn revoke_key(&self, id: KeyId) -> Answer<()> {
        self.delete(&format!("keys/{id}")).await
    }

    /// `GET /systems`.
    pub async fn list_systems(&self) -> Answer<Vec<system::System>> {
        self.get("systems?limit=100000").await
    }

    /// `GET /systems/{id}`.
    pub async fn find_system(&self, id: SystemId) -> Answer<system::System> {
        self.get(&format!("systems/{id}")).await
    }

    /// `PUT /systems/{id}`.
    pub async fn update_system(&self, id: SystemId, body: &system::UpdateSystem) -> Answer<system::System> {
        self.put(&format!("systems/{id}"), body).await
    }

    /// `DELETE /systems/{id}`.
    pub async fn delete_system(&self, id: SystemId) -> Answer<()> {
        self.delete(&format!("systems/{id}")).await
    }

    /// `POST /systems/{id}/hello`.
    pub async fn hello(&self, id: SystemId, body: &agent::Hello) -> Answer<agent::HelloAnswer> {
        self.post(&format!("systems/{id}/hello"), body).await
    }

    /// `POST /systems/{id}/inventory`.
    pub async fn report_inventory(
        &self,
        id: SystemId,
        body: &agent::InventoryReport,
    ) -> Answer<agent::InventoryAnswer> {
        self.post(&format!("systems/{id}/inventory"), body).await
    }

    /// `POST /systems/{id}/lease`: waits as long as the body says.
    pub async fn lease_transfers(
        &self,
        id: SystemId,
        body: &agent::LeaseRequest,
    ) -> Answer<agent::LeaseAnswer> {
        let timeout = Duration::from_millis(body.wait_ms) + super::TIMEOUT;
        let request = self.request(Method::POST, &format!("systems/{id}/lease"))?.timeout(timeout).json(body);
        self.decode(self.send(request).await?).await
    }

    /// `POST /systems/{id}/certificate`.
    pub async fn request_certificate(
        &self,
        id: SystemId,
        body: &certificate::RequestCertificate,
    ) -> Answer<certificate::IssuedCertificate> {
        self.post(&format!("systems/{id}/certificate"), body).await
    }

    /// `POST /systems/{id}/ticket`.
    pub async fn request_ticket(
        &self,
        id: SystemId,
        body: &certificate::RequestTicket,
    ) -> Answer<certificate::GrantedTicket> {
        self.post(&format!("systems/{id}/ticket"), body).await
    }

    /// `POST /transfers/{id}/progress`.
    pub async fn report_progress(
        &self,
        id: TransferId,
        body: &agent::ProgressReport,
    ) -> Answer<agent::ProgressAnswer> {
        self.post(&format!("transfers/{id}/progress"), body).await
    }

    /// `POST /transfers/{id}/result`.
    pub async fn report_result(
        &self,
        id: TransferId,
        body: &agent::TransferResult,
    ) -> Answer<transfer::Transfer> {
        self.post(&format!("transfers/{id}/result"), body).await
    }

    /// `GET /sync-groups`.
    pub async fn list_groups(&self) -> Answer<Vec<group::Group>> {
        self.get("sync-groups").await
    }

    /// `GET /sync-groups/{id}`.
    pub async fn find_group(&self, id: GroupId) -> Answer<group::Group> {
        self.get(&format!("sync-groups/{id}")).await
    }

    /// `POST /sync-groups`.
    pub async fn create_group(&self, body: &group::CreateGroup) -> Answer<group::Group> {
        self.post("sync-groups", body).await
    }

    /// `PUT /sync-groups/{id}`.
    pub async fn update_group(&self, id: GroupId, body: &group::UpdateGroup) -> Answer<group::Group> {
        self.put(&format!("sync-groups/{id}"), body).await
    }

    /// `DELETE /sync-groups/{id}`: the data stays.
    pub async fn delete_group(&self, id: GroupId) -> Answer<()> {
        self.delete(&format!("sync-groups/{id}")).await
    }

    /// `POST /sync/{group}/check`.
    pub async fn check_group(&self, id: GroupId) -> Answer<sync::CheckAnswer> {
        self.post(&format!("sync/{id}/check"), &serde_json::json!({})).await
    }

    /// `POST /sync/{group}/plan`.
    pub async fn plan_group(&self, id: GroupId, body: &sync::PlanRequest) -> Answer<sync::PlanAnswer> {
        self.post(&format!("sync/{id}/plan"), body).await
    }

    /// `POST /sync/{group}/execute`.
    pub async fn execute_group(&self, id: GroupId, body: &sync::PlanRequest) -> Answer<sync::ExecuteAnswer> {
        self.post(&format!("sync/{id}/execute"), body).await
    }

    /// `GET /replicas`: all, or of one group, page by page.
    pub async fn list_replicas(&self, group: Option<GroupId>) -> Answer<Vec<replica::Replica>> {
        let mut query = ReplicaQuery { group, ..ReplicaQuery::default() };
        let mut replicas = Vec::new();
        loop {
            let page = self.list_replica_page(&query).await?;
            replicas.extend(page.items);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                return Ok(replicas);
            }
        }
    }

    /// `GET /replicas`: one page.
    pub async fn list_replica_page(&self, query: &ReplicaQuery) -> Answer<replica::ReplicaPage> {
        self.get(&query.path()).await
    }

    /// `GET /why?replica=DATASET@SYSTEM`: every group that replicates it there.
    pub async fn explain_replica(&self, replica: &str) -> Answer<Vec<replica::Replica>> {
        let encoded: String = url::form_urlencoded::byte_serialize(replica.as_bytes()).collect();
        self.get(&format!("why?replica={encoded}")).await
    }

    /// `GET /transfers`.
    pub async fn list_transfers(&self, query: &TransferQuery) -> Answer<Vec<transfer::Transfer>> {
        let mut path = format!("transfers?limit={}", query.limit);
        if let Some(group) = query.group {
            path = format!("{path}&group={group}");
        }
        if let Some(system) = query.system {
            path = format!("{path}&system={system}");
        }
        if query.unfinished {
            path.push_str("&unfinished=true");
        }
        self.get(&path).await
    }

    /// `GET /transfers/{id}`.
    pub async fn find_transfer(&self, id: TransferId) -> Answer<transfer::Transfer> {
        self.get(&format!("transfers/{id}")).await
    }

    /// `POST /transfers/{id}/cancel`: what was received stays resumable.
    pub async fn cancel_transfer(&self, id: TransferId) -> Answer<transfer::Transfer> {
        self.post(&format!("transfers/{id}/cancel"), &serde_json::json!({})).await
    }

    /// `POST /transfers/{id}/retry`: a parked transfer starts again.
    pub async fn retry_transfer(&self, id: TransferId) -> Answer<transfer::Transfer> {
        self.post(&format!("transfers/{id}/retry"), &serde_json::json!({})).await
    }

    /// `GET /conflicts`: worst first.
    pub async fn list_conflicts(&self, query: &ConflictQuery) -> Answer<Vec<conflict::Conflict>> {
        self.get(&query.path()).await
    }

    /// `GET /conflicts/{id}`.
    pub async fn find_conflict(&self, id: ConflictId) -> Answer<conflict::Conflict> {
        self.get(&format!("conflicts/{id}")).await
    }

    /// `POST /conflicts/{id}/plan`: changes nothing but that the plan can be applied.
    pub async fn propose_plan(&self, id: ConflictId, strategy: Strategy) -> Answer<plan::Plan> {
        self.post(&format!("conflicts/{id}/plan"), &conflict::ProposePlan { strategy }).await
    }

    /// `POST /conflicts/{id}/ignore`: not any more where `until` is `None`.
    pub async fn ignore_conflict(
        &self,
        id: ConflictId,
        until: Option<Timestamp>,
        note: Option<String>,
    ) -> Answer<conflict::Conflict> {
        self.post(&format!("conflicts/{id}/ignore"), &conflict::IgnoreConflict { until, note }).await
    }

    /// `POST /conflicts/{id}/withdraw`: what runs is not cut off.
    pub async fn withdraw_decision(&self, id: ConflictId) -> Answer<conflict::WithdrawAnswer> {
        self.post(&format!("conflicts/{id}/withdraw"), &serde_json::json!({})).await
    }

    /// `GET /plans/{id}`.
    pub async fn find_plan(&self, id: PlanId) -> Answer<plan::Plan> {
        self.get(&format!("plans/{id}")).await
    }

    /// `POST /plans/{id}/apply`: once, and only while nothing has moved.
    pub async fn apply_plan(&self, id: PlanId) -> Answer<plan::ApplyAnswer> {
        self.post(&format!("plans/{id}/apply"), &serde_json::json!({})).await
    }

    /// `GET /whatif/system-lost/{system}`: lists at most so many datasets.
    pub async fn what_if_system_lost(
        &self,
        system: SystemId,
        limit: Option<u32>,
    ) -> Answer<whatif::SystemLost> {
        let limit = limit.map(|limit| format!("?limit={limit}")).unwrap_or_default();
        self.get(&format!("whatif/system-lost/{system}{limit}")).await
    }

    /// `POST /whatif/destroy`: deletes nothing.
    pub async fn what_if_destroy(&self, body: &whatif::WhatIfDestroy) -> Answer<Vec<Verdict>> {
        self.post("whatif/destroy", body).await
    }

    /// `POST /verifications`.
    pub async fn create_verification(
        &self,
        body: &verification::CreateVerification,
    ) -> Answer<verification::Verification> {
        self.post("verifications", body).await
    }

    /// `GET /verifications`, newest first.
    pub async fn list_verifications(&self, limit: u32) -> Answer<Vec<verification::Verification>> {
        self.get(&format!("verifications?limit={limit}")).await
    }

    /// `GET /verifications/{id}`.
    pub async fn find_verification(&self, id: VerificationId) -> Answer<verification::Verification> {
        self.get(&format!("verifications/{id}")).await
    }

    /// `POST /verifications/{id}/cancel`.
    pub async fn cancel_verification(&self, id: VerificationId) -> Answer<verification::Verification> {
        self.post(&format!("verifications/{id}/cancel"), &serde_json::json!({})).await
    }

    /// `POST /verifications/{id}/exchange`, as an agent.
    pub async fn exchange_verification(
        &self,
        id: VerificationId,
        body: &verification::ExchangeRequest,
    ) -> Answer<verification::ExchangeAnswer> {
        let timeout = Duration::from_millis(body.wait_ms) + super::TIMEOUT;
        let path = format!("verifications/{id}/exchange");
        let request = self.request(Method::POST, &path)?.timeout(timeout).json(body);
        self.decode(self.send(request).await?).await
    }

    /// `GET /proofs`: when each replica was last proven.
    pub async fn list_proofs(&self) -> Answer<Vec<verification::Proof>> {
        self.get("proofs").await
    }

    /// `GET /verification-schedules`.
    pub async fn list_verification_schedules(&self) -> Answer<Vec<verification::VerificationSchedule>> {
        self.get("verification-schedules").await
    }

    /// `PUT /sync-groups/{id}/verification-schedule`.
    pub async fn set_verification_schedule(
        &self,
        group: GroupId,
        body: &verification::VerificationSchedule,
    ) -> Answer<verification::VerificationSchedule> {
        self.put(&format!("sync-groups/{group}/verification-schedule"), body).await
    }

    /// `DELETE /sync-groups/{id}/verification-schedule`.
    pub async fn delete_verification_schedule(&self, group: GroupId) -> Answer<()> {
        self.delete(&format!("sync-groups/{group}/verification-schedule")).await
    }

    /// `POST /systems/{id}/pools`, as its agent.
    pub async fn report_pools(&self, id: SystemId, body: &pool::PoolReport) -> Answer<pool::SystemPools> {
        self.post(&format!("systems/{id}/pools"), body).await
    }

    /// `GET /pools`.
    pub async fn list_pools(&self) -> Answer<Vec<pool::SystemPools>> {
        self.get("pools").await
    }
}
