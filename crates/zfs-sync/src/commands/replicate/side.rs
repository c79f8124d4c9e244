//! One of the two hosts: how it is reached, and what it has.

use std::{collections::BTreeMap, iter::successors, sync::Arc};

use futures::future::try_join_all;
use jiff::Timestamp;
use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{inventory::Inventory, name::DatasetName};
use zfs_sync_zfs::{
    command::Scope,
    error::Kind,
    features::Features,
    inventory::{self, DatasetRow},
    runner::{LocalRunner, Privilege, Runner, SharedReads, SshRunner, SshTarget},
};

use super::{
    super::reach::{self, failed},
    endpoint::Endpoint,
};
use crate::failure::Failure;

#[derive(Debug)]
pub(in crate::commands) struct Host {
    runner: Arc<dyn Runner>,
    features: Features,
}

impl Host {
    /// Reaches a host and asks what its ZFS can do.
    pub(in crate::commands) async fn reach(
        endpoint: &Endpoint,
        port: Option<u16>,
        options: &[String],
        privilege: Privilege,
    ) -> Result<Self, Failure> {
        let runner: Arc<dyn Runner> = match &endpoint.host {
            None => Arc::new(LocalRunner::new().through(privilege)),
            Some(host) => {
                let mut target = SshTarget::new(host.clone(), endpoint.user.clone())
                    .map_err(|error| Failure::new(ErrorCode::ValueInvalid, error.to_string()).unchanged())?;
                target.port = port;
                target.options = options.to_vec();
                target.privilege = privilege;
                let runner = SshRunner::new(target, &reach::control_dir()).map_err(|error| {
                    Failure::new(ErrorCode::Internal, "no folder for ssh's connections can be made")
                        .cause(&error)
                        .unchanged()
                })?;
                Arc::new(runner)
            }
        };
        Self::with(runner).await
    }

    /// A host that is reached already.
    pub(super) async fn with(runner: Arc<dyn Runner>) -> Result<Self, Failure> {
        let features = Features::probe(&*runner).await.map_err(|error| failed(&error))?;
        // Many datasets at a time read both hosts again and again.
        let runner = Arc::new(SharedReads::new(runner));
        Ok(Self { runner, features })
    }

    pub(super) fn runner(&self) -> &dyn Runner {
        &*self.runner
    }

    /// The same, to keep.
    pub(in crate::commands) fn shared_runner(&self) -> Arc<dyn Runner> {
        Arc::clone(&self.runner)
    }

    pub(super) const fn features(&self) -> &Features {
        &self.features
    }

    /// None where there is nothing.
    async fn rows(&self, scope: &Scope) -> Result<Vec<DatasetRow>, Failure> {
        match inventory::list_datasets(self.runner(), scope, &self.features).await {
            Ok(rows) => Ok(rows),
            Err(error) if error.kind == Kind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The datasets to send, with their histories.
    pub(super) async fn read_source(
        &self,
        dataset: &DatasetName,
        recursive: bool,
        now: Timestamp,
    ) -> Result<Inventory, Failure> {
        let scope = if recursive { Scope::Tree(dataset.clone()) } else { Scope::Only(dataset.clone()) };
        let mut datasets =
            inventory::read(self.runner(), &scope, &self.features).await.map_err(|error| failed(&error))?;
        datasets.retain(|found| recursive || found.name == *dataset);
        let datasets = datasets.into_iter().map(|found| (found.name.clone(), found)).collect();
        Ok(Inventory { datasets, ..Inventory::empty(now) })
    }

    /// The target and what lies below it, with histories, and what lies above it. With `beside`, all datasets of its pool: where something is to
    /// be renamed the name must be free.
    pub(super) async fn read_target(
        &self,
        dataset: &DatasetName,
        beside: bool,
        now: Timestamp,
    ) -> Result<Inventory, Failure> {
        let above: Vec<DatasetName> = successors(dataset.parent(), DatasetName::parent).collect();
        let scopes = match above.last() {
            Some(pool) if beside => vec![Scope::Tree(pool.clone())],
            _ => {
                [Scope::Tree(dataset.clone())].into_iter().chain(above.into_iter().map(Scope::Only)).collect()
            }
        };
        let rows = try_join_all(scopes.iter().map(|scope| self.rows(scope))).await?.concat();
        let history = if rows.iter().any(|row| row.name == *dataset) {
            match inventory::read_history(self.runner(), &Scope::Tree(dataset.clone()), &self.features).await
            {
                Ok(history) => history,
                Err(error) => return Err(failed(&error)),
            }
        } else {
            BTreeMap::new()
        };
        let datasets = inventory::assemble(rows, history);
        let datasets = datasets.into_iter().map(|found| (found.name.clone(), found)).collect();
        Ok(Inventory { datasets, ..Inventory::empty(now) })
    }
}
