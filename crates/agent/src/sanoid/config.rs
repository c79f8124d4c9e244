//! From sanoid's settings to what it keeps of each dataset: the rules of its `init`, in its order (sanoid 2.1).

use std::collections::{BTreeMap, BTreeSet};

use zfs_sync_core::{
    name::DatasetName,
    retention::{Retention, Tool},
};

use super::ini::Section;

/// The settings that say what is pruned.
const RELEVANT: [&str; 10] = [
    "autoprune",
    "frequently",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "yearly",
    "frequent_period",
    "prune_defer",
    CHILDREN_ONLY,
];

/// Holds for its own section alone: it is not handed down.
const CHILDREN_ONLY: &str = "process_children_only";

const YES: [&str; 10] = ["1", "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"];
/// What Perl takes for false, and what sanoid makes that of.
const NO: [&str; 11] = ["", "0", "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"];

type Values = BTreeMap<String, String>;
type Settings<'a> = BTreeMap<&'a str, &'a str>;

/// sanoid's configuration, with its defaults.
#[derive(Debug)]
pub(super) struct Config {
    defaults: Values,
    /// Templates and datasets, in the order of the file.
    sections: Vec<Section>,
}

/// What one section, or a dataset below a recursive one, has come to.
#[derive(Clone, Debug, Default)]
struct Entry<'a> {
    path: &'a str,
    /// A recursive section above has handed its settings down.
    inherited: bool,
    settings: Settings<'a>,
}

impl Config {
    /// As sanoid does, it refuses a file with a setting that the defaults do not know.
    pub(super) fn new(defaults: &[Section], sections: Vec<Section>) -> Result<Self, String> {
        let defaults = defaults.iter().find(|section| section.name == "template_default");
        let defaults = defaults.ok_or("sanoid's defaults have no section [template_default]")?.values.clone();
        for Section { name, values } in &sections {
            if let Some(unknown) = values.keys().find(|key| !defaults.contains_key(*key)) {
                return Err(format!("sanoid does not know the setting `{unknown}` of [{name}]"));
            }
        }
        Ok(Self { defaults, sections })
    }

    fn values(&self, section: &str) -> Option<&Values> {
        self.sections.iter().find(|candidate| candidate.name == section).map(|section| &section.values)
    }

    /// What is kept of each of `datasets` that sanoid looks after.
    pub(super) fn policies(&self, datasets: &BTreeSet<DatasetName>) -> BTreeMap<DatasetName, Retention> {
        let mut policies: BTreeMap<DatasetName, Retention> = BTreeMap::new();
        for (section, entry) in self.entries(datasets) {
            // sanoid takes whatever begins so for a template, also a dataset.
            if section.starts_with("template") || is_true(entry.settings.get(CHILDREN_ONLY)) {
                continue;
            }
            let Some(dataset) = entry.path.parse().ok().filter(|name| datasets.contains(name)) else {
                continue;
            };
            let retention = retention(&entry.settings);
            policies.entry(dataset).and_modify(|other| *other = both(other, &retention)).or_insert(retention);
        }
        policies
    }

    /// The order of the file matters: a recursive section overwrites what stands above it, and what stands below it changes
    /// only what it names.
    fn entries<'a>(&'a self, datasets: &'a BTreeSet<DatasetName>) -> BTreeMap<&'a str, Entry<'a>> {
        let mut entries: BTreeMap<&str, Entry<'_>> = BTreeMap::new();
        for Section { name, values } in &self.sections {
            if name.starts_with("template_") {
                continue;
            }
            let entry = entries.entry(name).or_default();
            if !entry.inherited {
                set(&mut entry.settings, &self.defaults);
                entry.settings.remove(CHILDREN_ONLY);
                if let Some(default) = self.values("template_default") {
                    set(&mut entry.settings, default);
                }
            }
            for template in values.get("use_template").into_iter().flat_map(|names| names.split(',')) {
                if let Some(template) = self.values(&format!("template_{}", template.trim())) {
                    set(&mut entry.settings, template);
                }
            }
            set(&mut entry.settings, values);
            entry.path = values.get("path").unwrap_or(name);

            let setting = |key: &str| values.get(key).map_or("", String::as_str);
            let atomic = setting("recursive").to_ascii_lowercase().contains("zfs");
            let recursive = YES.contains(&setting("recursive"));
            let skip = YES.contains(&setting("skip_children")) && !atomic;
            let Ok(root) = entry.path.parse::<DatasetName>() else { continue };
            let mut handed_down = entry.settings.clone();
            handed_down.remove(CHILDREN_ONLY);
            let below = datasets.iter().filter(|name| **name != root && name.is_within(&root));
            if skip {
                below.for_each(|child| drop(entries.remove(child.as_str())));
            } else if atomic || recursive {
                for child in below {
                    let entry = entries.entry(child.as_str()).or_default();
                    entry.settings.extend(handed_down.iter());
                    entry.path = child.as_str();
                    entry.inherited = true;
                }
            }
        }
        entries
    }
}

fn set<'a>(settings: &mut Settings<'a>, values: &'a Values) {
    let relevant = values.iter().filter(|(key, _)| RELEVANT.contains(&key.as_str()));
    settings.extend(relevant.map(|(key, value)| (key.as_str(), value.as_str())));
}

fn retention(settings: &Settings<'_>) -> Retention {
    let number = |key| number(settings.get(key).copied().unwrap_or_default());
    Retention {
        tool: Tool::Sanoid,
        autoprune: is_true(settings.get("autoprune")),
        frequently: number("frequently"),
        hourly: number("hourly"),
        daily: number("daily"),
        weekly: number("weekly"),
        monthly: number("monthly"),
        yearly: number("yearly"),
        frequent_period: number("frequent_period"),
        prune_defer: number("prune_defer"),
    }
}

/// Two sections name one dataset by `path`: each prunes by its own numbers, so that the smaller ones count.
fn both(one: &Retention, other: &Retention) -> Retention {
    match (one.autoprune, other.autoprune) {
        (true, false) => one.clone(),
        (false, _) => other.clone(),
        (true, true) => Retention {
            tool: Tool::Sanoid,
            autoprune: true,
            frequently: one.frequently.min(other.frequently),
            hourly: one.hourly.min(other.hourly),
            daily: one.daily.min(other.daily),
            weekly: one.weekly.min(other.weekly),
            monthly: one.monthly.min(other.monthly),
            yearly: one.yearly.min(other.yearly),
            frequent_period: one.frequent_period.min(other.frequent_period),
            prune_defer: one.prune_defer.min(other.prune_defer),
        },
    }
}

fn is_true(value: Option<&&str>) -> bool {
    value.is_some_and(|value| !NO.contains(value))
}

/// As Perl reads a number: the digits at its beginning, and without any it is 0.
fn number(text: &str) -> u32 {
    let text = text.trim_start();
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests;
