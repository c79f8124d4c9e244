//! `zpool status`: text for people on every version; `-j` came with OpenZFS 2.3 alone.

use jiff::civil::DateTime;

/// What `zpool status` says of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// `ONLINE`, `DEGRADED`, `FAULTED`, `SUSPENDED`, …
    pub state: String,
    /// What is wrong, on one line; `None` when nothing is.
    pub problem: Option<String>,
    /// What it says of the newest scrub or resilver, on one line; `None` before the first.
    pub scan: Option<String>,
    /// When the newest scrub ended; `None` when the newest scan was none, or has not ended. In the host's own time zone.
    pub scrubbed: Option<DateTime>,
    /// How many errors that scrub found.
    pub scrub_errors: Option<u64>,
    /// What it says of damaged files; `None` when no error is known.
    pub errors: Option<String>,
}

/// Reads every pool. Lines that are not known are left out: they describe disks.
pub fn pool_statuses(text: &str) -> Vec<PoolStatus> {
    let mut pools: Vec<PoolStatus> = Vec::new();
    let mut field = "";
    for line in text.lines() {
        let (name, value) = match line.split_once(':') {
            // Names of fields stand in the first eight columns; a tab begins what continues the one before.
            Some((name, value)) if !line.starts_with('\t') && name.len() <= 8 && is_field(name.trim()) => {
                (name.trim(), value.trim())
            }
            _ if line.starts_with('\t') || line.starts_with("    ") => ("", line.trim()),
            _ => continue,
        };
        if name == "pool" {
            field = name;
            pools.push(PoolStatus {
                name: value.to_owned(),
                state: String::new(),
                problem: None,
                scan: None,
                scrubbed: None,
                scrub_errors: None,
                errors: None,
            });
            continue;
        }
        let Some(pool) = pools.last_mut() else { continue };
        let continues = name.is_empty();
        if !continues {
            field = name;
        }
        match field {
            "state" if !continues => value.clone_into(&mut pool.state),
            "status" => add(&mut pool.problem, value),
            "scan" => add(&mut pool.scan, value),
            "errors" if !continues && value != "No known data errors" => pool.errors = Some(value.to_owned()),
            _ => {}
        }
    }
    for pool in &mut pools {
        if let Some((when, errors)) = pool.scan.as_deref().and_then(ended_scrub) {
            (pool.scrubbed, pool.scrub_errors) = (Some(when), Some(errors));
        }
    }
    pools
}

fn is_field(name: &str) -> bool {
    ["pool", "state", "status", "action", "see", "scan", "config", "errors", "remove", "checkpoint", "scrub"]
        .contains(&name)
}

fn add(field: &mut Option<String>, text: &str) {
    match field {
        Some(before) => {
            before.push(' ');
            before.push_str(text);
        }
        None => *field = Some(text.to_owned()),
    }
}

/// `scrub repaired 0B in 00:00:03 with 49 errors on Fri Nov 27 23:00:48 2026`: when, and with how many errors.
fn ended_scrub(scan: &str) -> Option<(DateTime, u64)> {
    let rest = scan.strip_prefix("scrub repaired ")?;
    let (_, rest) = rest.split_once(" with ")?;
    let (errors, rest) = rest.split_once(" errors on ")?;
    // The day of the month is padded with a space.
    let when = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    Some((DateTime::strptime("%a %b %d %H:%M:%S %Y", when).ok()?, errors.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../tests/pool-status/linux-2.3.9.txt");
    const OLD: &str = include_str!("../../tests/pool-status/linux-2.1.11.txt");

    #[test]
    fn health_scrub_and_errors_are_read_on_both_versions() {
        for text in [TEXT, OLD] {
            let pools = pool_statuses(text);
            let find = |name: &str| pools.iter().find(|pool| pool.name == name).unwrap();
            let back = find("back");
            assert_eq!((back.state.as_str(), &back.problem, &back.errors), ("ONLINE", &None, &None));
            assert_eq!(back.scrub_errors, Some(0));
            assert_eq!(back.scrubbed.unwrap().year(), 2026);
            let bad = find("bad");
            assert!(bad.problem.as_deref().unwrap().ends_with("Applications may be affected."), "{bad:?}");
            assert!(bad.scrub_errors.unwrap() > 0);
            assert!(bad.errors.as_deref().unwrap().contains("data errors"), "{bad:?}");
            let mir = find("mir");
            assert_eq!((mir.state.as_str(), mir.scrubbed, &mir.scan), ("DEGRADED", None, &None));
        }
    }

    #[test]
    fn no_pool_and_no_text_are_no_pools() {
        assert_eq!(pool_statuses("no pools available\n"), []);
        assert_eq!(pool_statuses(""), []);
    }

    #[test]
    fn a_scrub_that_runs_has_not_ended() {
        let text = "  pool: tank\n state: ONLINE\n  scan: scrub in progress since Fri Nov  6 01:00:00 2026\n\t1G scanned at 1M/s\n";
        let pool = &pool_statuses(text)[0];
        assert_eq!(pool.scrubbed, None);
        assert_eq!(
            pool.scan.as_deref(),
            Some("scrub in progress since Fri Nov  6 01:00:00 2026 1G scanned at 1M/s")
        );
    }
}
