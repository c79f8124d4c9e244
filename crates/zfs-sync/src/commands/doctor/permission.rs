//! What whoever replicates here may do, and the exact lines that allow what is missing.

use std::{collections::BTreeSet, path::Path};

use zfs_sync_api::{client::Client, codes::ErrorCode};
use zfs_sync_core::{name::DatasetName, plan::Warning};
use zfs_sync_zfs::{
    command::{Command, ListColumns, Scope, quote},
    delegation::{Duty, Need, line, missing},
    error::Kind,
    parse::{self, Who},
    runner::{LocalRunner, Privilege, Runner},
};

use super::Check;

/// Where `zfs` lies on systems whose users do not search there.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// How many snapshots and file systems there may be.
const LIMITS: [&str; 2] = ["snapshot_limit", "filesystem_limit"];

/// Datasets with their part in replication.
pub(super) type Duties = BTreeSet<(Duty, DatasetName)>;

/// Who replicates on a host.
#[derive(Clone, Debug)]
pub(super) struct Replicator {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
}

impl Replicator {
    /// A user of this host, with the groups that its files know; whoever runs this when none is named.
    pub(super) fn here(name: Option<&str>) -> Self {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let group = std::fs::read_to_string("/etc/group").unwrap_or_default();
        let uid = rustix::process::geteuid().as_raw().to_string();
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let found = passwd.lines().map(fields).find(|entry| match name {
            Some(name) => entry.first().is_some_and(|user| user == name),
            None => entry.get(2).is_some_and(|of| *of == uid),
        });
        let user = found.as_ref().map(|entry| entry[0].clone());
        let user = user.or_else(|| name.map(str::to_owned)).unwrap_or(uid);
        let primary = found.and_then(|entry| entry.get(3).cloned());
        let is_member = |entry: &Vec<String>| {
            let members = entry.get(3).map(String::as_str).unwrap_or_default();
            entry.get(2) == primary.as_ref() || members.split(',').any(|member| member == user)
        };
        let groups = group.lines().map(fields).filter(is_member).map(|entry| entry[0].clone()).collect();
        Self { user, groups }
    }

    /// A user of another host, whose groups are not known here.
    pub(super) const fn elsewhere(user: String) -> Self {
        Self { user, groups: Vec::new() }
    }

    fn identities(&self) -> Vec<Who> {
        let groups = self.groups.iter().map(|group| Who::Group(group.clone()));
        [Who::User(self.user.clone()), Who::Everyone].into_iter().chain(groups).collect()
    }
}

/// What the witness says about this system's datasets; nothing where it can not be asked.
pub(super) async fn duties_of(client: &Client, hostname: &str) -> Duties {
    let mut duties = Duties::new();
    for replica in client.list_replicas(None).await.unwrap_or_default() {
        if replica.source_system == hostname {
            duties.insert((Duty::Source, replica.report.source.clone()));
        }
        if replica.target_system == hostname {
            duties.insert((Duty::Target, replica.report.target.clone()));
        }
    }
    duties
}

/// Those that lie in no other: what is allowed there reaches all below.
fn roots(duties: &Duties) -> Duties {
    let covers = |above: &(Duty, DatasetName), below: &(Duty, DatasetName)| {
        above != below && above.0 == below.0 && below.1.is_within(&above.1)
    };
    duties.iter().filter(|duty| !duties.iter().any(|other| covers(other, duty))).cloned().collect()
}

/// Checks permissions on every dataset that has a part in replication.
pub(super) async fn check(
    runner: &dyn Runner,
    replicator: &Replicator,
    duties: &Duties,
    name: &'static str,
    checks: &mut Vec<Check>,
) {
    if duties.is_empty() {
        let user = &replicator.user;
        let detail = format!(
            "{user} is not root; name the datasets it replicates (--source, --target) to see what it lacks"
        );
        checks.push(
            Check::warn(name, detail)
                .code(ErrorCode::ZfsPermission)
                .fix(format!("zfs-sync doctor --user {} --source DATASET --target DATASET", quote(user))),
        );
        return;
    }
    for (duty, dataset) in roots(duties) {
        match lacks(runner, replicator, duty, &dataset).await {
            Ok((place, needs)) => {
                checks.extend(findings(name, replicator, duty, &place, &needs));
                if duty == Duty::Target {
                    checks.extend(limits(runner, name, &place).await);
                }
            }
            Err((code, detail)) => checks.push(Check::fail(name, &code, detail)),
        }
    }
}

fn findings(
    name: &'static str,
    replicator: &Replicator,
    duty: Duty,
    place: &DatasetName,
    needs: &[Need],
) -> Vec<Check> {
    let user = &replicator.user;
    let (required, useful): (Vec<Need>, Vec<Need>) = needs.iter().partition(|need| need.required);
    let words = |needs: &[Need]| {
        needs
            .iter()
            .map(|need| format!("{} ({})", need.permission, need.what_for))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut found = Vec::new();
    if !required.is_empty() {
        let detail = format!("{user} {} {place} and lacks: {}", duty.verb(), words(&required));
        found.push(
            Check::fail(name, ErrorCode::ZfsPermission.code(), detail).fix(line(user, &required, place)),
        );
    }
    if !useful.is_empty() {
        let detail = format!("{user} {} {place}; less good without: {}", duty.verb(), words(&useful));
        let mut check = Check::warn(name, detail).fix(line(user, &useful, place));
        check.code = Some(Warning::PermissionIncomplete.code().to_owned());
        found.push(check);
    }
    if found.is_empty() {
        found.push(Check::pass(name, format!("{user} {} {place} and may do all that needs", duty.verb())));
    }
    found
}

/// Limits that ZFS enforces on everybody but root (F105): a receive that meets one fails late.
async fn limits(runner: &dyn Runner, name: &'static str, place: &DatasetName) -> Vec<Check> {
    let properties = LIMITS.map(str::to_owned).to_vec();
    let Ok(output) = runner.run(&Command::Get { dataset: place.clone(), properties }).await else {
        return Vec::new();
    };
    let set = parse::properties(&output.stdout).unwrap_or_default();
    let limited = set.into_iter().filter(|property| property.value.parse::<u64>().is_ok_and(is_limit));
    let check = |property: parse::Property| {
        let detail = format!("{} of {place} is {}; a receive beyond it fails", property.name, property.value);
        Check::warn(name, detail)
    };
    limited.map(check).collect()
}

/// With `-p` none is the largest number, or zero.
const fn is_limit(value: u64) -> bool {
    value != 0 && value != u64::MAX
}

/// What is missing, and on which dataset it is to be allowed: the one itself, or the lowest one above it that exists.
async fn lacks(
    runner: &dyn Runner,
    replicator: &Replicator,
    duty: Duty,
    dataset: &DatasetName,
) -> Result<(DatasetName, Vec<Need>), (String, String)> {
    let failed = |error: &zfs_sync_zfs::error::Error| (error.code().to_owned(), error.to_string());
    let mut place = dataset.clone();
    loop {
        let command =
            Command::ListDatasets { scope: Scope::Only(place.clone()), columns: ListColumns::Dataset };
        match runner.run(&command).await {
            Ok(_) => break,
            Err(error) if error.kind == Kind::NotFound && duty == Duty::Target => match place.parent() {
                Some(parent) => place = parent,
                None => return Err(failed(&error)),
            },
            Err(error) => return Err(failed(&error)),
        }
    }
    let command = Command::ShowAllowed { dataset: place.clone() };
    let output = runner.run(&command).await.map_err(|error| failed(&error))?;
    let allowed = parse::allowed(&output.stdout)
        .map_err(|error| (ErrorCode::ZfsOutput.code().to_owned(), format!("`zfs allow {place}`: {error}")))?;
    let needs = missing(duty, &place, &allowed, &replicator.identities());
    Ok((place, needs))
}

/// Whether `zfs` runs through sudo or doas, and what makes it.
pub(super) async fn check_privilege(privilege: Privilege, user: &str) -> Check {
    const NAME: &str = "zfs.privilege";
    match LocalRunner::new().through(privilege).run(&Command::Version).await {
        Ok(_) => Check::pass(NAME, format!("zfs runs through {privilege}")),
        Err(error) => {
            let said = error.stderr.trim().lines().last().unwrap_or(&error.status).to_owned();
            let detail = format!("zfs does not run through {privilege}: {said}");
            Check::fail(NAME, ErrorCode::ZfsPermission.code(), detail).fix(privilege_line(privilege, user))
        }
    }
}

/// What lets a user run `zfs` and `zpool`, and nothing else, as root.
fn privilege_line(privilege: Privilege, user: &str) -> String {
    let [zfs, zpool] = ["zfs", "zpool"].map(|program| {
        let found = SYSTEM_DIRECTORIES.iter().map(|folder| format!("{folder}/{program}"));
        found
            .into_iter()
            .find(|path| Path::new(path).is_file())
            .unwrap_or_else(|| format!("/usr/sbin/{program}"))
    });
    match privilege {
        Privilege::Own => String::new(),
        Privilege::Sudo => {
            format!(
                "echo '{user} ALL=(root) NOPASSWD: {zfs}, {zpool}' > /etc/sudoers.d/zfs-sync && chmod 440 /etc/sudoers.d/zfs-sync"
            )
        }
        Privilege::Doas => {
            format!(
                "printf 'permit nopass {user} as root cmd zfs\\npermit nopass {user} as root cmd zpool\\n' >> /etc/doas.conf"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duties(list: &[(Duty, &str)]) -> Duties {
        list.iter().map(|(duty, name)| (*duty, name.parse().unwrap())).collect()
    }

    #[test]
    fn only_the_topmost_datasets_are_asked_about() {
        let all = duties(&[
            (Duty::Source, "tank/a"),
            (Duty::Source, "tank/a/b"),
            (Duty::Source, "tank/ab"),
            (Duty::Target, "tank/a/b"),
        ]);
        let expected =
            duties(&[(Duty::Source, "tank/a"), (Duty::Source, "tank/ab"), (Duty::Target, "tank/a/b")]);
        assert_eq!(roots(&all), expected);
    }

    #[test]
    fn what_is_needed_fails_and_what_is_useful_warns_each_with_its_line() {
        let replicator = Replicator::elsewhere("repl".to_owned());
        let place = "tank/media".parse().unwrap();
        let found = findings("zfs.permission", &replicator, Duty::Source, &place, Duty::Source.needs());
        let fixes: Vec<_> = found.iter().map(|check| check.fix.clone().unwrap()).collect();
        let expected = [
            "zfs allow -u repl hold,release,send tank/media",
            "zfs allow -u repl bookmark,destroy tank/media",
        ];
        assert_eq!(fixes, expected);
        assert_eq!(findings("zfs.permission", &replicator, Duty::Source, &place, &[]).len(), 1);
    }
}
