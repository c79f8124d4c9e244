//! Steps as command lines: for people, and for clients of the old service that run them. Nothing here is ever run by us.

use std::{borrow::Cow, collections::BTreeMap};

use zfs_sync_core::{
    ids::SystemId,
    inventory::DatasetKind,
    name::Label,
    plan::{Action, Base, Casualty, Send, Step},
};
use zfs_sync_store::SystemRow;

/// One word for a POSIX shell; unchanged where no quotes are needed. The witness has no part in `zfs-sync-zfs`, which quotes what is
/// run, so that this second quoter is only for text that is shown.
pub(crate) fn quote(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r#"'"'"'"#)))
}

/// The base as `zfs send` takes it: `-I` and a snapshot, or `-i` and a bookmark or a snapshot of the dataset it is a clone of.
fn from(step: &Step, send: &Send) -> Option<(&'static str, String)> {
    send.base.as_ref().map(|base| match base {
        Base::Snapshot(point) => ("-I", format!("{}@{}", step.source, point.label)),
        Base::Bookmark(point) => ("-i", format!("{}#{}", step.source, point.label)),
        Base::Origin { dataset, point } => ("-i", format!("{dataset}@{}", point.label)),
    })
}

/// The command line of the old service's contract, to be run on the source; `None` where it has no such line: the target has no
/// address, an interrupted receive must be continued with a token that only its host has, or a clone is to be made.
pub(crate) fn of_contract(step: &Step, target: &SystemRow) -> Option<String> {
    let Action::Send(send) = &step.action else { return None };
    let host = target.ssh_hostname.as_ref()?;
    let cloned = send.target_origin.is_some() || matches!(send.base, Some(Base::Origin { .. }));
    if send.resume || send.discard_partial.is_some() || cloned {
        return None;
    }
    // `-c` would send an encrypted dataset in the clear.
    let flag = if send.raw { "-w" } else { "-c" };
    let to = format!("{}@{}", step.source, send.to.label);
    let to = quote(&to);
    let send = match from(step, send) {
        Some((option, base)) => format!("zfs send {flag} {option} {} {to}", quote(&base)),
        None => format!("zfs send {flag} {to}"),
    };
    let receive = format!("zfs receive -s {}", quote(step.target.as_str()));
    Some(format!("{send} | ssh {} {}", destination(target, host.as_str()), quote(&receive)))
}

/// Exactly the host, as the old service prints it, unless a port or user was set that plain `ssh` would not use.
fn destination(system: &SystemRow, host: &str) -> String {
    let port = if system.ssh_port == 22 { String::new() } else { format!("-p {} ", system.ssh_port) };
    match system.ssh_user.as_deref() {
        Some(user) if user != "root" => format!("{port}{}", quote(&format!("{user}@{host}"))),
        _ => format!("{port}{}", quote(host)),
    }
}

/// What a first receive leaves to the target, as in the agents.
const FIRST_FILESYSTEM: &str = " -o readonly=on -o canmount=noauto -x mountpoint -x sharenfs -x sharesmb -x quota -x refquota \
     -x reservation -x refreservation";
const FIRST_VOLUME: &str = " -o readonly=on";

/// The commands of a step as its agent runs them.
pub(crate) fn of_step(step: &Step, systems: &BTreeMap<SystemId, SystemRow>) -> Vec<String> {
    let target = quote(step.target.as_str());
    let snapshot = |label: &Label| quote(&format!("{}@{label}", step.target)).into_owned();
    let destroy = |casualty: &Casualty| format!("zfs destroy {}", snapshot(&casualty.label));
    let send = match &step.action {
        Action::SetAside { rename_to, .. } => {
            return vec![format!("zfs rename {target} {}", quote(rename_to.as_str()))];
        }
        Action::FollowRename { rename_from, .. } => {
            return vec![format!("zfs rename {} {target}", quote(rename_from.as_str()))];
        }
        Action::RollBack { to_label, destroys, .. } => {
            let rollback = format!("zfs rollback {}", snapshot(to_label));
            return destroys.iter().map(destroy).chain([rollback]).collect();
        }
        Action::DestroySnapshots { destroys, .. } => return destroys.iter().map(destroy).collect(),
        Action::Send(send) => send,
    };
    let mut commands = Vec::new();
    for parent in &send.create_parents {
        commands.push(format!("zfs create -o canmount=off -o readonly=on {}", quote(parent.as_str())));
    }
    if send.discard_partial.is_some() {
        commands.push(format!("zfs receive -A {target}"));
    }
    let to = format!("{}@{}", step.source, send.to.label);
    let flags = if send.raw { "-w" } else { "-L -c -e" };
    let sends = match from(step, send) {
        // The token is read when the agent starts; it is a secret of no kind, but long.
        _ if send.resume => "zfs send -t <receive_resume_token>".to_owned(),
        Some((option, base)) => format!("zfs send {flags} {option} {} {}", quote(&base), quote(&to)),
        None => format!("zfs send {flags} {}", quote(&to)),
    };
    let is_first = send.base.is_none() || send.target_origin.is_some();
    let first = match step.kind {
        _ if send.resume || !is_first => "",
        DatasetKind::Filesystem => FIRST_FILESYSTEM,
        DatasetKind::Volume => FIRST_VOLUME,
    };
    // The origin's snapshot is found by its GUID when the step is carried out; it has the name that it has on the source, unless somebody
    // renamed one of both.
    let origin = send.target_origin.as_ref().zip(send.base.as_ref()).filter(|_| !send.resume);
    let origin = origin.map(|(origin, base)| {
        format!(" -o origin={}", quote(&format!("{}@{}", origin.dataset, base.point().label)))
    });
    let receives = format!("zfs receive -s -u{first}{} {target}", origin.unwrap_or_default());
    let host = |id| {
        let system: &SystemRow = systems.get(id)?;
        Some(destination(system, system.ssh_hostname.as_ref()?.as_str()))
    };
    commands.push(if step.source_system == step.target_system {
        format!("{sends} | {receives}")
    } else if let Some(target) = host(&step.target_system) {
        format!("{sends} | ssh {target} {}", quote(&receives))
    } else if let Some(source) = host(&step.source_system) {
        format!("ssh {source} {} | {receives}", quote(&sends))
    } else {
        format!("{sends} | {receives}")
    });
    commands
}
