//! What is read of both sides to choose how a stream travels ([`form`](super::form)).

use zfs_sync_api::v1::agent::TransferOutcome;
use zfs_sync_core::{
    inventory::DatasetKind,
    name::DatasetName,
    plan::{Send, Step, Warning},
    stream::{CopiedProperty, PIN, StreamForm},
};
use zfs_sync_zfs::{
    command::Command,
    error::{Error, Kind},
    features::{Ability, Features},
    parse::{self, PoolFeatures, Property},
    runner::Runner,
};

use super::{
    Sides,
    failure::Failure,
    form::{Caution, Ends, SourceFacts, TargetFacts, at_birth, later, refuse_changed_key},
};

/// How a stream travels, with all that was decided on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its blocks.
    pub form: StreamForm,
    /// What is done otherwise than wished for.
    pub cautions: Vec<Caution>,
    /// What the new replica gets of its source's properties, with values; nothing for one that exists.
    pub properties: Vec<(CopiedProperty, String)>,
    /// A new replica is encrypted by what lies above it.
    pub(super) parent_encrypted: bool,
    /// False where the pool that receives is known to keep nothing of a receive that is interrupted.
    pub keeps_partial: bool,
}

/// True when both ends can be relied on to go on after an interruption.
pub(super) fn is_resumable(sides: &Sides<'_>) -> bool {
    sides.source_features.can(Ability::Resume) && sides.target_features.can(Ability::Resume)
}

/// Chooses the form of a step's stream as its execution will, and changes nothing. For showing what would be done.
pub async fn choose_form(step: &Step, send: &Send, sides: &Sides<'_>) -> Result<Chosen, TransferOutcome> {
    let begins = send.base.is_none() || send.target_origin.is_some();
    let chosen = if begins {
        birth(step, send, sides).await
    } else {
        match target_facts(sides.target, &step.target, sides.target_features).await {
            Ok(Some(facts)) => further(step, send, sides, &facts, false).await,
            Ok(None) => Err(Failure::stale(format!("{} does not exist", step.target))),
            Err(failure) => Err(failure),
        }
    };
    chosen.map_err(Failure::into_outcome)
}

/// For a replica that begins.
pub(super) async fn birth(step: &Step, send: &Send, sides: &Sides<'_>) -> Result<Chosen, Failure> {
    let (source, pool, parent_encrypted) = tokio::join!(
        source_facts(step, send, sides),
        pool_features(step, sides),
        is_parent_encrypted(step, send, sides),
    );
    let ((source, set), target_pool, parent_encrypted) = (source?, pool?, parent_encrypted?);
    let ends = Ends {
        source: sides.source_features,
        target: sides.target_features,
        target_pool: &target_pool,
        pool: step.target.pool(),
    };
    let (form, mut cautions) = at_birth(send.raw, ends, &source, parent_encrypted)?;
    let keeps_partial = keeps_partial(&target_pool);
    if !keeps_partial && is_resumable(sides) {
        cautions.push(begins_anew(step));
    }
    let properties = copied(step, sides, form, &source, set).await?;
    Ok(Chosen { form, cautions, properties, parent_encrypted, keeps_partial })
}

/// For a replica that goes on.
pub(super) async fn further(
    step: &Step,
    send: &Send,
    sides: &Sides<'_>,
    target: &TargetFacts,
    is_clone: bool,
) -> Result<Chosen, Failure> {
    let record_size = match target.pinned {
        None if !send.raw && step.kind == DatasetKind::Filesystem => {
            let asked = get(sides.source, &step.source, &["recordsize"]).await;
            let found = asked.map_err(|error| unread(&step.source, &error))?.unwrap_or_default();
            value_of(&found, "recordsize").and_then(|value| value.parse().ok())
        }
        _ => None,
    };
    let (form, cautions) = later(send.raw, sides.source_features, target, record_size)?;
    if form.is_raw() {
        refuse_changed_key(step.target.as_str(), is_clone, target)?;
    }
    Ok(Chosen { form, cautions, properties: Vec::new(), parent_encrypted: false, keeps_partial: true })
}

/// What the state of an interrupted receive is kept in. Without it `zfs receive -s` is refused (dmu_recv.c; seen on 2.3.9).
const KEEPS_PARTIAL: &str = "extensible_dataset";

fn keeps_partial(pool: &PoolFeatures) -> bool {
    pool.is_unknown() || pool.allows(KEEPS_PARTIAL)
}

/// Why a stream into this pool can not be continued.
fn begins_anew(step: &Step) -> Caution {
    let pool = step.target.pool();
    let detail = format!(
        "what is interrupted begins anew: pool {pool} lacks feature@{KEEPS_PARTIAL}; `zpool set feature@{KEEPS_PARTIAL}=enabled {pool}` adds it"
    );
    Caution::new(Warning::FeatureResume, detail)
}

/// The reason for a refusal that named no feature, when it is this one: for a replica that goes on nobody has looked at the pool before.
pub(super) async fn why_not_resumable(step: &Step, sides: &Sides<'_>) -> Option<Caution> {
    let features = pool_features(step, sides).await.ok()?;
    (!keeps_partial(&features)).then(|| begins_anew(step))
}

/// What a replica says about itself; `None` when it does not exist.
pub(super) async fn target_facts(
    runner: &dyn Runner,
    dataset: &DatasetName,
    features: &Features,
) -> Result<Option<TargetFacts>, Failure> {
    let asked: &[&str] =
        if features.can(Ability::Raw) { &["encryption", "encryptionroot", PIN] } else { &[PIN] };
    let found = get(runner, dataset, asked).await.map_err(|error| unread(dataset, &error))?;
    Ok(found.map(|properties| TargetFacts {
        pinned: pin_of(&properties),
        encrypted: is_encrypted(&properties),
        encryption_root: value_of(&properties, "encryptionroot").map(str::to_owned),
    }))
}

/// What is pinned on the dataset itself: others hand the property down.
pub(super) fn pin_of(properties: &[Property]) -> Option<StreamForm> {
    let found = properties.iter().find(|property| property.name == PIN && property.source == "local")?;
    found.value.parse().ok()
}

pub(super) fn is_encrypted(properties: &[Property]) -> bool {
    value_of(properties, "encryption").is_some_and(|value| value != "off")
}

pub(super) fn value_of<'p>(properties: &'p [Property], name: &str) -> Option<&'p str> {
    let found = properties.iter().find(|property| property.name == name)?;
    Some(found.value.as_str()).filter(|value| *value != "-")
}

/// `None` when the dataset does not exist.
pub(super) async fn get(
    runner: &dyn Runner,
    dataset: &DatasetName,
    properties: &[&str],
) -> Result<Option<Vec<Property>>, Error> {
    let properties = properties.iter().map(|&name| name.to_owned()).collect();
    let command = Command::Get { dataset: dataset.clone(), properties };
    match runner.run(&command).await {
        Ok(output) => {
            let found = parse::properties(&output.stdout);
            found.map(Some).map_err(|what| Error::unparsable(runner.host(), &command, &what))
        }
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unread(dataset: &DatasetName, error: &Error) -> Failure {
    Failure::command(&format!("read the properties of {dataset}"), error)
}

/// The source's facts, and which of the properties that may be copied are set on it or above it.
async fn source_facts(
    step: &Step,
    send: &Send,
    sides: &Sides<'_>,
) -> Result<(SourceFacts, Vec<CopiedProperty>), Failure> {
    let features = sides.source_features;
    let mut asked = vec!["recordsize", "compression"];
    if features.can(Ability::Raw) {
        asked.push("dnodesize");
    }
    if features.release().is_some_and(|release| release >= (2, 3, 0)) {
        asked.push("longname");
    }
    let (facts, wanted) =
        tokio::join!(get(sides.source, &step.source, &asked), set_properties(step, send, sides),);
    // A version that is not what its number says: what each of them knows is enough to begin with.
    let facts = match facts {
        Err(error) if error.kind == Kind::Unsupported => {
            get(sides.source, &step.source, &["recordsize", "compression"]).await
        }
        read => read,
    };
    let gone = || Failure::stale(format!("{} does not exist any more", step.source));
    let found = facts.map_err(|error| unread(&step.source, &error))?.ok_or_else(gone)?;
    let text = |name: &str| value_of(&found, name).map(str::to_owned);
    let facts = SourceFacts {
        record_size: text("recordsize").and_then(|value| value.parse().ok()),
        compression: text("compression"),
        dnode_size: text("dnodesize"),
        long_names: value_of(&found, "longname") == Some("on"),
    };
    let mut set = wanted?;
    let chosen_size = found.iter().any(|property| property.name == "recordsize" && is_set(&property.source));
    if chosen_size && !set.contains(&CopiedProperty::record_size()) {
        set.push(CopiedProperty::record_size());
    }
    Ok((facts, set))
}

/// Of the properties that the plan wants to have copied, those that have been set.
async fn set_properties(step: &Step, send: &Send, sides: &Sides<'_>) -> Result<Vec<CopiedProperty>, Failure> {
    let mut set = Vec::new();
    for property in &send.properties {
        // One by one, and without its value: that may have line breaks in it.
        let command = Command::GetSource { dataset: step.source.clone(), property: property.clone() };
        let output = sides.source.run(&command).await.map_err(|error| unread(&step.source, &error))?;
        if is_set(output.stdout.trim()) {
            set.push(property.clone());
        }
    }
    Ok(set)
}

/// True for a property that was set, here or above; a default may be another on the target.
fn is_set(source: &str) -> bool {
    source != "default" && source != "-" && !source.is_empty()
}

/// The values of what is copied.
async fn copied(
    step: &Step,
    sides: &Sides<'_>,
    form: StreamForm,
    facts: &SourceFacts,
    set: Vec<CopiedProperty>,
) -> Result<Vec<(CopiedProperty, String)>, Failure> {
    let mut copied = Vec::new();
    for property in set {
        if property == CopiedProperty::record_size() {
            // Without large blocks in the stream, the replica has none, and must not get any by being written to.
            // Before 2.2, `zfs receive -o` refuses more than one MiB, and the stream with it.
            let most = match sides.target_features.release() {
                Some(release) if release >= (2, 2, 0) => u64::MAX,
                _ => 1 << 20,
            };
            let size = facts.record_size.filter(|size| *size <= 128 << 10 || form.has_large_blocks());
            let size = size.filter(|size| *size <= most);
            copied.extend(size.map(|size| (property, size.to_string())));
            continue;
        }
        let command = Command::GetValue { dataset: step.source.clone(), property: property.clone() };
        let output = sides.source.run(&command).await.map_err(|error| unread(&step.source, &error))?;
        // The line's own end; all others are the value's.
        let value = output.stdout.strip_suffix('\n').unwrap_or(&output.stdout);
        if step.kind == DatasetKind::Volume && value == "-" {
            continue;
        }
        copied.push((property, value.to_owned()));
    }
    Ok(copied)
}

async fn pool_features(step: &Step, sides: &Sides<'_>) -> Result<PoolFeatures, Failure> {
    let command = Command::PoolFeatures { pool: step.target.pool().to_owned() };
    match sides.target.run(&command).await {
        Ok(output) => Ok(parse::pool_features(&output.stdout)),
        // Tools from before there were features.
        Err(error) if error.kind == Kind::Unsupported => Ok(PoolFeatures::default()),
        Err(error) => Err(Failure::command(&format!("read the features of {}", step.target.pool()), &error)),
    }
}

/// Whether the dataset that the new replica will lie in is encrypted; placeholders take that from above.
async fn is_parent_encrypted(step: &Step, send: &Send, sides: &Sides<'_>) -> Result<bool, Failure> {
    if send.raw || !sides.target_features.can(Ability::Raw) {
        return Ok(false);
    }
    let mut parent = step.target.parent();
    while let Some(name) = parent.take_if(|name| send.create_parents.contains(name)) {
        parent = name.parent();
    }
    let Some(parent) = parent else { return Ok(false) };
    let facts = target_facts(sides.target, &parent, sides.target_features).await?;
    Ok(facts.is_some_and(|facts| facts.encrypted))
}
