//! From the texts of a request to a definition; everything that is wrong is told at once, by field.

use std::collections::BTreeMap;

use serde_json::Value;
use zfs_sync_api::codes::ErrorCode;
use zfs_sync_core::{
    group::{GroupMode, Mapping, MappingError, SyncGroup, clashes},
    ids::SystemId,
    pattern::DatasetPattern,
};

use crate::{
    error::{Answer, ApiError, Fields},
    state::AppState,
    views,
};

/// More patterns or members than this come from a script that went wild.
const MOST_ENTRIES: usize = 10_000;
/// Ten years.
const LONGEST_INTERVAL: u64 = 10 * 366 * 24 * 3600;

/// Lists of texts out of a request, parsed; what is wrong is noted.
pub(super) struct Reader<'a> {
    pub(super) state: &'a AppState,
    pub(super) fields: Fields,
    pub(super) pointers: Pointers,
}

impl<'a> Reader<'a> {
    pub(super) fn new(state: &'a AppState, pointers: Pointers) -> Self {
        Self { state, fields: Fields::default(), pointers }
    }

    /// A system by id or host name.
    pub(super) async fn system(&mut self, pointer: &str, text: &str) -> Answer<Option<SystemId>> {
        if let Some(row) = views::system_named(self.state, text).await? {
            return Ok(Some(row.id));
        }
        let shown: String = text.chars().take(64).collect();
        let detail = format!("there is no system `{shown}`; `zfs-sync system list` shows all");
        self.fields.add(pointer, ErrorCode::SystemNotFound, detail);
        Ok(None)
    }

    pub(super) async fn systems(&mut self, pointer: &str, texts: &[String]) -> Answer<Vec<SystemId>> {
        let mut systems = Vec::new();
        if self.fits(pointer, texts.len()) {
            for (index, text) in texts.iter().enumerate() {
                systems.extend(self.system(&format!("{pointer}/{index}"), text).await?);
            }
        }
        Ok(systems)
    }

    fn fits(&mut self, pointer: &str, entries: usize) -> bool {
        let fits = entries <= MOST_ENTRIES;
        if !fits {
            self.fields.add(pointer, ErrorCode::ValueRange, format!("at most {MOST_ENTRIES} entries"));
        }
        fits
    }

    pub(super) fn patterns(&mut self, pointer: &str, texts: &[String]) -> Vec<DatasetPattern> {
        if !self.fits(pointer, texts.len()) {
            return Vec::new();
        }
        let parsed = texts.iter().enumerate().filter_map(|(index, text)| {
            self.fields.parse(format!("{pointer}/{index}"), ErrorCode::PatternInvalid, text)
        });
        parsed.collect()
    }

    pub(super) fn mappings(&mut self, pointer: &str, texts: &[String]) -> Vec<Mapping> {
        let mut mappings = Vec::new();
        if self.fits(pointer, texts.len()) {
            for (index, text) in texts.iter().enumerate() {
                match text.parse::<Mapping>() {
                    Ok(mapping) => mappings.push(mapping),
                    Err(error) => {
                        let code = match &error {
                            MappingError::Form => ErrorCode::ValueInvalid,
                            MappingError::Name { .. } => ErrorCode::NameInvalid,
                        };
                        self.fields.add(format!("{pointer}/{index}"), code, error.to_string());
                    }
                }
            }
        }
        mappings
    }

    /// Mappings of single members, whose names the request gives.
    pub(super) async fn member_mappings(
        &mut self,
        by_name: &BTreeMap<String, Vec<String>>,
    ) -> Answer<BTreeMap<SystemId, Vec<Mapping>>> {
        let mut mappings = BTreeMap::new();
        if !self.fits("/member_mappings", by_name.len()) {
            return Ok(mappings);
        }
        for (name, texts) in by_name {
            let pointer = format!("/member_mappings/{}", name.replace('~', "~0").replace('/', "~1"));
            let system = self.system(&pointer, name).await?;
            let parsed = self.mappings(&pointer, texts);
            if let Some(system) = system {
                if mappings.insert(system, parsed).is_some() {
                    let detail = "this system is named twice, by host name and by id";
                    self.fields.add(pointer.clone(), ErrorCode::GroupInvalid, detail);
                }
                self.pointers.members.insert(system, pointer);
            }
        }
        Ok(mappings)
    }

    /// The member at the centre, whichever field names it. `otherwise` is what it was before, or what the mode makes of the members.
    pub(super) async fn hub(
        &mut self,
        mode: GroupMode,
        hub: Option<String>,
        source_of_truth: Option<String>,
        otherwise: Option<SystemId>,
    ) -> Answer<Option<SystemId>> {
        if source_of_truth.is_some() && matches!(mode, GroupMode::ManyToOne | GroupMode::Mesh) {
            let detail = match mode {
                GroupMode::Mesh => {
                    "no member of a mesh is the source of truth; `hub` names the one that is preferred"
                }
                _ => "a many_to_one group has several sources; name the member that receives as `hub`",
            };
            self.fields.add(self.pointers.hub, ErrorCode::GroupInvalid, detail);
            return Ok(None);
        }
        let of_hub = match &hub {
            Some(text) => self.system("/hub", text).await?,
            None => None,
        };
        let of_source = match &source_of_truth {
            Some(text) => self.system(self.pointers.hub, text).await?,
            None => None,
        };
        if let (Some(one), Some(other)) = (of_hub, of_source)
            && one != other
        {
            let detail = "the source of truth is the hub of such a group; name one of both";
            self.fields.add("/hub", ErrorCode::GroupInvalid, detail);
        }
        let found = of_hub.or(of_source);
        if found.is_none() && hub.is_none() && source_of_truth.is_none() {
            if otherwise.is_none() {
                let detail = match mode {
                    GroupMode::ManyToOne => "name the member that all others send to, as `hub`",
                    _ => "name the member whose history the others follow; data flows from it",
                };
                let pointer = if mode == GroupMode::ManyToOne { "/hub" } else { self.pointers.hub };
                self.fields.add(pointer, ErrorCode::FieldRequired, detail);
            }
            return Ok(otherwise);
        }
        if hub.is_some() {
            self.pointers.hub = "/hub";
        }
        Ok(found)
    }

    pub(super) fn interval(&mut self, seconds: u64) -> u64 {
        if !(1..=LONGEST_INTERVAL).contains(&seconds) {
            let detail = format!("between 1 and {LONGEST_INTERVAL} seconds");
            self.fields.add("/sync_interval_seconds", ErrorCode::ValueRange, detail);
        }
        seconds
    }

    pub(super) fn metadata(&mut self, value: Option<Value>) -> Option<Value> {
        let value = value.filter(|value| !value.is_null());
        if value.as_ref().is_some_and(|value| !value.is_object()) {
            self.fields.add("/extra_metadata", ErrorCode::ValueInvalid, "this is a JSON object, or absent");
        }
        value
    }

    pub(super) fn description(&mut self, text: Option<String>) -> Option<String> {
        if text.as_ref().is_some_and(|text| text.chars().count() > 1000) {
            self.fields.add("/description", ErrorCode::ValueInvalid, "at most 1000 characters");
        }
        text
    }

    /// Everything that was noted, or else what the definition as a whole gets wrong.
    pub(super) async fn finish(mut self, group: &SyncGroup) -> Answer<()> {
        // What could not be parsed is missing from the definition: its problems would only repeat that.
        std::mem::take(&mut self.fields).finish(ErrorCode::GroupInvalid)?;
        let mut fields = Fields::default();
        for problem in group.problems() {
            let code = ErrorCode::from_code(problem.code).unwrap_or(ErrorCode::GroupInvalid);
            fields.add(self.pointers.of(&problem.pointer), code, problem.detail);
        }
        fields.finish(ErrorCode::GroupInvalid)?;
        self.meets_no_other(group).await
    }

    /// Refuses a definition that does not go together with another group.
    async fn meets_no_other(self, group: &SyncGroup) -> Answer<()> {
        let others: Vec<SyncGroup> =
            self.state.store.groups().await?.into_iter().map(|row| row.group).collect();
        let names = views::all_systems(self.state).await?;
        let (own, pointers) = (group.clone(), self.pointers);
        let found = tokio::task::spawn_blocking(move || {
            let others: Vec<&SyncGroup> = others.iter().collect();
            let name_of =
                |id| names.get(&id).map_or_else(|| id.to_string(), |system| system.hostname.to_string());
            clashes(&own, &others, name_of)
        });
        let mut fields = Fields::default();
        for problem in found.await.map_err(ApiError::internal)? {
            let code = ErrorCode::from_code(problem.code).unwrap_or(ErrorCode::GroupInvalid);
            fields.add(pointers.of(&problem.pointer), code, problem.detail);
        }
        fields.finish(ErrorCode::GroupInvalid)
    }
}

/// How the request names its fields.
#[derive(Clone, Debug)]
pub(super) struct Pointers {
    pub(super) systems: &'static str,
    pub(super) hub: &'static str,
    /// Members whose mappings the request gives.
    members: BTreeMap<SystemId, String>,
}

impl Pointers {
    pub(super) const fn new(old_systems: bool, old_source: bool) -> Self {
        Self {
            systems: if old_systems { "/system_ids" } else { "/systems" },
            hub: if old_source { "/hub_system_id" } else { "/source_of_truth" },
            members: BTreeMap::new(),
        }
    }

    fn of(&self, pointer: &str) -> String {
        if let Some(rest) = pointer.strip_prefix("/systems") {
            return format!("{}{rest}", self.systems);
        }
        if pointer == "/source_of_truth" {
            return self.hub.to_owned();
        }
        // A mapping is one text in requests.
        let pointer = pointer.trim_end_matches("/from").trim_end_matches("/to");
        let of_member = pointer.strip_prefix("/member_mappings/").and_then(|rest| {
            let (id, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            Some(format!("{}{rest}", self.members.get(&id.parse().ok()?)?))
        });
        of_member.unwrap_or_else(|| pointer.to_owned())
    }
}
