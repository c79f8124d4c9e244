//! Conflicts that come, change and go with the replicas of a group.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::QueryBuilder;
use uuid::Uuid;
use zfs_sync_core::{
    ids::{ConflictId, GroupId},
    name::DatasetName,
    plan::{Conflict, ConflictKind, ReplicaKey, ReplicaState, Severity},
    time::Timestamp,
};

use super::{
    super::{Connection, DbRow, Driver},
    BATCH, KEYS,
    cells::{Cells, json_text, moment},
};
use crate::{ConflictChange, ConflictTransition, Error, ReplicaRow, Result, error::Constraints as _};

macro_rules! columns {
    () => {
        "id, group_id, dataset, home_system_id, target_system_id, source_system_id, source, target, kind, severity, detail, \
         reason, since, updated_at, ignored_until, ignored_by, note"
    };
}

/// An open conflict as it is stored; the detail stays text, because an older version may have written it.
#[derive(Clone, Debug)]
struct Open {
    id: ConflictId,
    kind: ConflictKind,
    severity: Severity,
    detail: String,
    reason: Option<String>,
    since: Timestamp,
    ignored_until: Option<Timestamp>,
    ignored_by: Option<String>,
    note: Option<String>,
}

fn read(row: &DbRow) -> Result<(ReplicaKey, Open)> {
    let cells = Cells::new(row, "conflicts", "id");
    let key = ReplicaKey {
        home: cells.id("home_system_id")?,
        dataset: cells.parse("dataset")?,
        target_system: cells.id("target_system_id")?,
    };
    let open = Open {
        id: cells.id("id")?,
        kind: cells.named("kind", ConflictKind::from_name)?,
        severity: cells.named("severity", Severity::from_name)?,
        detail: cells.get("detail")?,
        reason: cells.get("reason")?,
        since: cells.time("since")?,
        ignored_until: cells.time_option("ignored_until")?,
        ignored_by: cells.get("ignored_by")?,
        note: cells.get("note")?,
    };
    Ok((key, open))
}

/// The open conflicts of a group's replicas, and what becomes of them.
#[derive(Debug)]
pub(super) struct Conflicts<'a> {
    group: GroupId,
    now: Timestamp,
    open: BTreeMap<ReplicaKey, Open>,
    written: Vec<(&'a ReplicaRow, &'a Conflict, Open)>,
    resolved: Vec<ConflictId>,
}

impl<'a> Conflicts<'a> {
    /// Of a group, or of some of its logical datasets.
    pub(super) async fn of(
        connection: &mut Connection,
        group: GroupId,
        scope: Option<&BTreeSet<DatasetName>>,
        now: Timestamp,
    ) -> Result<Self> {
        let scope: Option<Vec<&DatasetName>> = scope.map(|scope| scope.iter().collect());
        let parts = scope.as_ref().map_or_else(|| vec![None], |scope| scope.chunks(KEYS).map(Some).collect());
        let mut open = BTreeMap::new();
        for part in parts {
            let mut query: QueryBuilder<Driver> = QueryBuilder::new(concat!(
                "SELECT ",
                columns!(),
                " FROM conflicts WHERE resolved_at IS NULL AND group_id = "
            ));
            query.push_bind(group.as_uuid());
            if let Some(datasets) = part {
                query.push(" AND dataset IN (");
                let mut list = query.separated(", ");
                for dataset in datasets {
                    list.push_bind(dataset.as_str());
                }
                query.push(")");
            }
            for row in query.build().persistent(false).fetch_all(&mut *connection).await? {
                let (key, conflict) = read(&row)?;
                open.insert(key, conflict);
            }
        }
        Ok(Self { group, now, open, written: Vec::new(), resolved: Vec::new() })
    }

    /// What a replica's conflict becomes now that it stands like this; `None` when that is nothing to tell.
    pub(super) fn look_at(
        &mut self,
        key: &ReplicaKey,
        replica: &'a ReplicaRow,
    ) -> Option<ConflictTransition> {
        let before = self.open.remove(key);
        let Some(conflict) = &replica.report.conflict else {
            // While nothing is known or something is under way, or nothing was looked at, it is not over.
            let unseen =
                matches!(replica.state, ReplicaState::Unknown | ReplicaState::Syncing | ReplicaState::Paused);
            return before.filter(|_| !unseen).map(|before| self.resolve(&before));
        };
        let detail = json_text(conflict);
        let (kind, severity, reason) = (conflict.kind, conflict.severity, replica.reason.clone());
        let (after, change) = match before {
            None => {
                let id = ConflictId::from_uuid(Uuid::new_v4());
                let (since, ignored_until, ignored_by, note) = (self.now, None, None, None);
                let opened =
                    Open { id, kind, severity, detail, reason, since, ignored_until, ignored_by, note };
                (opened, Some(ConflictChange::Opened))
            }
            Some(before) if before.detail == detail && before.reason == reason => return None,
            Some(mut before) => {
                let other = before.kind != kind || before.severity != severity;
                if severity > before.severity {
                    // Who chose to ignore it has not seen this.
                    (before.ignored_until, before.ignored_by, before.note) = (None, None, None);
                }
                let changed = other.then_some(ConflictChange::Changed);
                (Open { kind, severity, detail, reason, ..before }, changed)
            }
        };
        let id = after.id;
        self.written.push((replica, conflict, after));
        change.map(|change| ConflictTransition { id, kind, severity, change })
    }

    /// The conflict of a replica that is gone.
    pub(super) fn gone(&mut self, key: &ReplicaKey) -> Option<ConflictTransition> {
        self.open.remove(key).map(|before| self.resolve(&before))
    }

    fn resolve(&mut self, before: &Open) -> ConflictTransition {
        self.resolved.push(before.id);
        let Open { id, kind, severity, .. } = *before;
        ConflictTransition { id, kind, severity, change: ConflictChange::Resolved }
    }

    /// Writes what has changed. What is still open without its replica is over as well.
    pub(super) async fn write(mut self, connection: &mut Connection) -> Result<()> {
        self.resolved.extend(std::mem::take(&mut self.open).into_values().map(|open| open.id));
        for batch in self.resolved.chunks(KEYS) {
            let mut query: QueryBuilder<Driver> = QueryBuilder::new("UPDATE conflicts SET resolved_at = ");
            query.push_bind(self.now.as_millisecond()).push(", updated_at = ");
            query.push_bind(self.now.as_millisecond()).push(" WHERE id IN (");
            let mut list = query.separated(", ");
            for id in batch {
                list.push_bind(id.as_uuid());
            }
            query.push(")");
            query.build().persistent(false).execute(&mut *connection).await?;
        }
        for batch in self.written.chunks(BATCH) {
            let mut query: QueryBuilder<Driver> =
                QueryBuilder::new(concat!("INSERT INTO conflicts (", columns!(), ") "));
            query.push_values(batch, |mut row, (replica, conflict, open)| {
                row.push_bind(open.id.as_uuid())
                    .push_bind(self.group.as_uuid())
                    .push_bind(replica.dataset.as_str())
                    .push_bind(replica.home.as_uuid())
                    .push_bind(replica.target_system.as_uuid())
                    .push_bind(conflict.source.system.as_uuid())
                    .push_bind(conflict.source.dataset.as_str())
                    .push_bind(conflict.target.dataset.as_str())
                    .push_bind(open.kind.as_str())
                    .push_bind(open.severity.as_str())
                    .push_bind(&open.detail)
                    .push_bind(&open.reason)
                    .push_bind(open.since.as_millisecond())
                    .push_bind(self.now.as_millisecond())
                    .push_bind(moment(open.ignored_until))
                    .push_bind(&open.ignored_by)
                    .push_bind(&open.note);
            });
            query.push(
                " ON CONFLICT (id) DO UPDATE SET source_system_id = excluded.source_system_id, source = excluded.source, \
                 target = excluded.target, kind = excluded.kind, severity = excluded.severity, detail = excluded.detail, \
                 reason = excluded.reason, updated_at = excluded.updated_at, ignored_until = excluded.ignored_until, \
                 ignored_by = excluded.ignored_by, note = excluded.note",
            );
            let done = query.build().persistent(false).execute(&mut *connection).await;
            done.reference(|| Error::NotFound { what: "system" })?;
        }
        Ok(())
    }
}
