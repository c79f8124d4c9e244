//! What `zfs-sync replicate --output json` said.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use zfs_sync_testkit::testbed::Output;

/// One run of it.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Of the process.
    pub(crate) exit: i32,
    /// State, and the reason or the error where there is one; of each dataset.
    pub(crate) verdicts: Vec<String>,
    /// It continued what an earlier run had begun.
    pub(crate) resumed: bool,
    /// Standard error, for people.
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn new(output: &Output) -> Result<Self> {
        let Output { status, stdout, stderr } = output;
        let mut said = Self { exit: *status, verdicts: Vec::new(), resumed: false, text: stderr.clone() };
        if let Ok(Value::Object(answer)) = serde_json::from_str(stdout) {
            let items = answer.get("items").and_then(Value::as_array).context("the answer has items")?;
            for item in items {
                said.verdicts.push(verdict(item));
                said.resumed |= item["resumed_from"].as_u64().is_some_and(|bytes| bytes > 0);
            }
        } else {
            // It failed before there was anything to tell about a dataset.
            let problems = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let codes = problems.filter_map(|problem| problem["code"].as_str().map(str::to_owned));
            // The step's end, and then that of the whole run, which may be the same.
            said.verdicts.extend(codes.collect::<BTreeSet<_>>());
        }
        ensure!(!said.verdicts.is_empty(), "it said nothing and exited with {status}\n{stdout}\n{stderr}");
        Ok(said)
    }

    /// Fails unless each dataset is in step.
    pub(crate) fn must_be_in_step(&self) -> Result<()> {
        ensure!(
            self.exit == 0 && self.verdicts.iter().all(|verdict| verdict == "in_sync"),
            "it is not in step: {self}\n{}",
            self.text
        );
        Ok(())
    }

    /// Fails unless this code was said.
    pub(crate) fn must_say(&self, code: &str) -> Result<()> {
        ensure!(
            self.exit != 0 && self.verdicts.iter().any(|verdict| verdict.ends_with(code)),
            "it did not say {code}: {self}\n{}",
            self.text
        );
        Ok(())
    }
}

fn verdict(item: &Value) -> String {
    let state = item["state"].as_str().unwrap_or("without a state");
    let code = item["error"]["code"].as_str();
    let arrived = item["arrived"] == true;
    match code.or_else(|| item["reason"].as_str().filter(|_| !arrived)) {
        Some(code) => format!("{state} {code}"),
        None => state.to_owned(),
    }
}

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = BTreeMap::<&str, usize>::new();
        for verdict in &self.verdicts {
            *counts.entry(verdict).or_default() += 1;
        }
        let words: Vec<String> = counts
            .into_iter()
            .map(
                |(verdict, count)| {
                    if count == 1 { verdict.to_owned() } else { format!("{count} × {verdict}") }
                },
            )
            .collect();
        write!(formatter, "{}", words.join(", "))?;
        if self.exit != 0 {
            write!(formatter, " (exit {})", self.exit)?;
        }
        if self.resumed { write!(formatter, ", continued") } else { Ok(()) }
    }
}
