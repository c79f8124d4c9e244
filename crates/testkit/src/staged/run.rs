//! Plays the whole table in one pass: everything is staged, then judged, then resolved, then checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use zfs_sync_api::{
    client::TransferQuery,
    v1::{
        group::{CreateGroup, Group, UpdateGroup},
        replica::Replica,
    },
};
use zfs_sync_core::plan::ReplicaState;

use super::{
    Case, Line, Machines, Side,
    check::{self, Picture},
    resolve, script, verdict,
};

/// How often a state is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(100);

/// Bytes a second at which a transfer of some megabytes has a middle.
const THROTTLED: u64 = 512 << 10;

/// So many bytes are more than what `zfs send -I` writes about the package before it holds the snapshots in the middle of it.
const UNDER_WAY: u64 = 64 << 10;

/// Its group copies by itself all the time: what it brings tells that both machines have reported everything that was before it.
const MARKER: &str = "marker";

/// How long each part of a run took.
pub type Timing = Vec<(&'static str, Duration)>;

struct Run<'a> {
    machines: &'a dyn Machines,
    cases: &'a [Case],
    groups: BTreeMap<&'static str, Group>,
    marks: u32,
    patience: Duration,
}

/// Plays `cases` on `machines`, which have a pool `tank` each and nothing in it. Each state may take `patience` to come about.
///
/// An error names every case that went otherwise than the table says.
pub async fn run(machines: &dyn Machines, cases: &[Case], patience: Duration) -> Result<Timing> {
    ensure!(!cases.is_empty(), "there is no case to play");
    let mut run = Run { machines, cases, groups: BTreeMap::new(), marks: 0, patience };
    let (mut timing, mut begun) = (Timing::new(), Instant::now());
    let mut done = |part| {
        timing.push((part, begun.elapsed()));
        begun = Instant::now();
    };
    run.prepare().await?;
    done("prepared");
    run.first_round().await?;
    done("first round");
    run.scripts(|case| case.stage.to_owned()).await.context("staging")?;
    run.mark().await?;
    done("staged");
    run.expect("staged", |case| case.verdicts).await?;
    let before = Picture::take(machines).await?;
    done("judged");
    run.scripts(|case| case.operator.to_owned()).await.context("operator's part of the resolution")?;
    run.mark().await?;
    run.decide().await?;
    done("decided");
    run.meddle().await?;
    done("meddled");
    for group in run.groups.values() {
        run.start_by_itself(group, true).await?;
    }
    run.expect("in the end", |case| case.ends).await?;
    done("resolved");
    let after = Picture::take(machines).await?;
    check::all(machines, cases, &before, &after).await?;
    done("checked");
    Ok(timing)
}

impl Run<'_> {
    async fn prepare(&mut self) -> Result<()> {
        let (machines, cases) = (self.machines, self.cases);
        let common = script::batches(
            MARKER,
            "nas1# zfs create tank/marker
             nas2# zfs create tank/copy",
        )?;
        for batch in common {
            machines.operate(batch[0].side, &batch).await?;
        }
        self.scripts(Case::preparation).await.context("preparing")?;
        let marker = create_group(machines, MARKER, true, false).await?;
        for case in cases {
            let group = create_group(machines, case.name, case.seeded, case.follow_renames).await?;
            self.groups.insert(case.name, group);
        }
        self.groups.insert(MARKER, marker);
        Ok(())
    }

    async fn first_round(&mut self) -> Result<()> {
        self.mark().await?;
        let seeded: Vec<&Case> = self.cases.iter().filter(|case| case.seeded).collect();
        self.wait("the first round to be in step", |replicas| {
            let mut missing = Vec::new();
            for case in &seeded {
                let replicas = of(replicas, case.name);
                let is_open = |replica: &&&Replica| replica.state != ReplicaState::InSync;
                missing.extend(replicas.iter().filter(is_open).map(|replica| said(case, replica)));
                if replicas.is_empty() {
                    missing.push(format!("{}: no replica", case.name));
                }
            }
            missing
        })
        .await?;
        for case in seeded {
            self.start_by_itself(&self.groups[case.name], false).await?;
        }
        Ok(())
    }

    /// Runs one script of every case, those of different cases side by side and each in its order.
    async fn scripts(&self, script: impl Fn(&Case) -> String) -> Result<()> {
        let mut scripts = Vec::new();
        for case in self.cases {
            scripts.push(script::batches(case.name, &script(case))?.into_iter());
        }
        loop {
            let (mut source, mut target): (Vec<Line>, Vec<Line>) = (Vec::new(), Vec::new());
            // One batch of each case a round: its next one may depend on it.
            for batch in scripts.iter_mut().filter_map(Iterator::next) {
                match batch[0].side {
                    Side::Source => source.extend(batch),
                    Side::Target => target.extend(batch),
                }
            }
            if source.is_empty() && target.is_empty() {
                return Ok(());
            }
            futures::future::try_join(
                self.machines.operate(Side::Source, &source),
                self.machines.operate(Side::Target, &target),
            )
            .await?;
        }
    }

    /// Returns when both machines have reported everything that has happened until now: a snapshot made now has gone from the one to
    /// the other and was reported by both.
    async fn mark(&mut self) -> Result<()> {
        self.marks += 1;
        let label = format!("m{}", self.marks);
        let script = format!("nas1# zfs snapshot tank/{MARKER}@{label}");
        for batch in script::batches(MARKER, &script)? {
            self.machines.operate(batch[0].side, &batch).await?;
        }
        self.wait("both machines to have reported", |replicas| {
            let has_arrived = |replica: &Replica| {
                let newest = replica.report.newest_source.as_ref();
                replica.state == ReplicaState::InSync
                    && newest.is_some_and(|newest| newest.label.as_str() == label)
            };
            match of(replicas, MARKER)[..] {
                [replica] if has_arrived(replica) => Vec::new(),
                ref others => {
                    let said: Vec<String> = others.iter().map(|replica| verdict::text(replica)).collect();
                    vec![format!("{label} is not everywhere: {said:?}")]
                }
            }
        })
        .await
    }

    /// Waits until exactly these replicas of each case are what the table says.
    async fn expect(
        &self,
        when: &str,
        table: impl Fn(&Case) -> &'static [(&'static str, &'static str)],
    ) -> Result<()> {
        let look = |replicas: &[Replica]| {
            let wrong = self.cases.iter().filter_map(|case| {
                let replicas = of(replicas, case.name);
                let found: BTreeSet<(String, String)> =
                    replicas.iter().map(|replica| (replica.target.clone(), verdict::text(replica))).collect();
                let wanted: BTreeSet<(String, String)> =
                    table(case).iter().map(|(target, text)| ((*target).into(), (*text).into())).collect();
                let lines: Vec<String> = replicas.iter().map(|replica| said(case, replica)).collect();
                let Case { name, title, .. } = case;
                (found != wanted || found.len() != replicas.len())
                    .then(|| format!("{name} ({title}) should be {wanted:?}:\n  {}", lines.join("\n  ")))
            });
            wrong.collect()
        };
        self.wait(when, look).await
    }

    async fn decide(&self) -> Result<()> {
        for case in self.cases {
            for (target, decision) in case.decisions {
                resolve::decide(self.machines.client(), &self.groups[case.name], target, *decision)
                    .await
                    .with_context(|| case.name)?;
            }
        }
        Ok(())
    }

    /// What operators do in the middle of a transfer.
    async fn meddle(&self) -> Result<()> {
        for case in self.cases.iter().filter(|case| !case.during.is_empty()) {
            let group = &self.groups[case.name];
            self.machines.throttle(Some(THROTTLED)).await?;
            self.start_by_itself(group, true).await?;
            self.wait_for_bytes(group).await?;
            for batch in script::batches(case.name, case.during)? {
                self.machines.operate(batch[0].side, &batch).await.context("during a transfer")?;
            }
            self.machines.throttle(None).await?;
        }
        Ok(())
    }

    async fn wait_for_bytes(&self, group: &Group) -> Result<()> {
        let query = TransferQuery { group: Some(group.id), limit: 10, ..TransferQuery::default() };
        let begun = Instant::now();
        loop {
            let transfers = self.machines.client().list_transfers(&query).await?;
            if transfers.iter().any(|transfer| transfer.state == "leased" && transfer.bytes > UNDER_WAY) {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < self.patience,
                "no transfer of {} got going: {transfers:?}",
                group.name
            );
            tokio::time::sleep(POLL).await;
        }
    }

    async fn start_by_itself(&self, group: &Group, auto: bool) -> Result<()> {
        let body = UpdateGroup { auto: Some(auto), ..UpdateGroup::default() };
        self.machines.client().update_group(group.id, &body).await?;
        Ok(())
    }

    /// Looks until nothing is left to complain about, also when every group was planned anew just then.
    async fn wait(&self, what: &str, look: impl Fn(&[Replica]) -> Vec<String>) -> Result<()> {
        let (client, begun) = (self.machines.client(), Instant::now());
        loop {
            let mut complaints = look(&client.list_replicas(None).await?);
            if complaints.is_empty() {
                let mut replicas = Vec::new();
                for group in self.groups.values() {
                    replicas.extend(client.check_group(group.id).await?.replicas);
                }
                complaints = look(&replicas);
            }
            if complaints.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > self.patience {
                bail!("waited {:?} for: {what}\n{}", self.patience, complaints.join("\n"));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Those of one group.
fn of<'a>(replicas: &'a [Replica], group: &str) -> Vec<&'a Replica> {
    replicas.iter().filter(|replica| replica.group == group).collect()
}

fn said(case: &Case, replica: &Replica) -> String {
    format!("{}: {}: {}; {}", case.name, replica.target, verdict::text(replica), replica.report.next)
}

async fn create_group(
    machines: &dyn Machines,
    name: &str,
    auto: bool,
    follow_renames: bool,
) -> Result<Group> {
    let body = CreateGroup {
        name: name.to_owned(),
        systems: Side::BOTH.map(|side| side.host().to_owned()).to_vec(),
        source_of_truth: Some(Side::Source.host().to_owned()),
        datasets: vec![format!("tank/{name}/**")],
        mappings: vec![format!("tank/{name}=tank/copy/{name}")],
        auto,
        follow_renames,
        ..CreateGroup::default()
    };
    let group = machines.client().create_group(&body).await?;
    ensure!(group.auto == auto, "the group {name} is not as it was asked for");
    Ok(group)
}
