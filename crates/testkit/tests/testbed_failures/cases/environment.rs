//! Machines, pools, connections and clocks.

use anyhow::{Result, ensure};

use super::{Case, seen};
use crate::stage::Stage;

/// A user on the target whom root of the source may log in as, with this shell.
fn make_user(stage: &Stage<'_>, user: &str, shell: &str) -> Result<()> {
    stage.there(&format!(
        "id {user} >/dev/null 2>&1 || useradd -m -s {shell} {user}; mkdir -p /home/{user}/.ssh; cp /root/.ssh/authorized_keys /home/{user}/.ssh/; chown -R {user} /home/{user}/.ssh; chmod 666 /dev/zfs"
    )).map(drop)
}

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F114",
        name: "f114-exported",
        title: "the target's pool is not imported",
        expected: "E_POOL_UNAVAILABLE; in step when it is back",
        play: |stage| {
            let pool = format!("f114{}", stage.source.name());
            let stage = stage.with(&stage.from, format!("{pool}/copy"));
            stage.there(&format!("mkdir -p /var/lib/pools/{pool}; truncate -s 128M /var/lib/pools/{pool}/disk; zpool create -f {pool} /var/lib/pools/{pool}/disk"))?;
            stage.seed()?;
            stage.write("two")?;
            stage.there(&format!("zpool export {pool}"))?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "{refused}");
            stage.there(&format!("zpool import -d /var/lib/pools/{pool} {pool}"))?;
            let again = stage.catch_up("")?;
            stage.there(&format!("zpool destroy {pool}; rm -r /var/lib/pools/{pool}"))?;
            seen![refused, again]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F114",
        name: "f114-readonly",
        title: "the target's pool is imported read-only",
        expected: "a code that says so; in step when it can be written to",
        play: |stage| {
            let pool = format!("f114ro{}", stage.source.name());
            let stage = stage.with(&stage.from, format!("{pool}/copy"));
            stage.there(&format!("mkdir -p /var/lib/pools/{pool}; truncate -s 128M /var/lib/pools/{pool}/disk; zpool create -f {pool} /var/lib/pools/{pool}/disk"))?;
            stage.seed()?;
            stage.write("two")?;
            stage.there(&format!(
                "zpool export {pool}; zpool import -o readonly=on -d /var/lib/pools/{pool} {pool}"
            ))?;
            let refused = stage.replicate("")?;
            ensure!(refused.exit != 0, "{refused}");
            stage.there(&format!("zpool export {pool}; zpool import -d /var/lib/pools/{pool} {pool}"))?;
            let again = stage.catch_up("")?;
            stage.there(&format!("zpool destroy {pool}; rm -r /var/lib/pools/{pool}"))?;
            seen![refused, again]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F46",
        name: "f46-clock",
        title: "the source's clock was a year ahead for one snapshot, and was then set right",
        expected: "in step: the order is that of `createtxg`",
        alone: true,
        play: |stage| {
            stage.seed()?;
            stage.here("date -s @$(($(date +%s) + 31536000)) >/dev/null; write \"$from\" b; zfs snapshot \"$from@two\"; date -s @$(($(date +%s) - 31536000)) >/dev/null")?;
            stage.catch_up("")?;
            stage.write("three")?;
            let said = stage.catch_up("")?;
            let times = stage.here("zfs list -Hp -d 1 -t snapshot -s createtxg -o creation \"$from\"")?;
            let times: Vec<u64> = times.lines().map(str::parse).collect::<Result<_, _>>()?;
            ensure!(times[1] > times[2], "the clock was not wrong: {times:?}");
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F100",
        name: "f100-clock",
        title: "the target's clock is a year behind",
        expected: "in step",
        alone: true,
        play: |stage| {
            stage.there("date -s @$(($(date +%s) - 31536000)) >/dev/null")?;
            let said = stage.seed().and_then(|()| stage.write("two")).and_then(|()| stage.catch_up(""));
            stage.there("date -s @$(($(date +%s) + 31536000)) >/dev/null")?;
            seen![said?]
        },
        ..Case::PLAIN
    },
    Case {
        number: "ssh",
        name: "ssh-changed",
        title: "the target's host key is another than last time",
        expected: "E_SSH_HOST_KEY_CHANGED, nothing is sent",
        play: |stage| {
            stage.make()?;
            stage.here("sed \"s|^\\($target,[0-9.]*\\) ssh-ed25519 [^ ]*|\\1 $(cut -d' ' -f1,2 /root/.ssh/id_ed25519.pub)|\" /root/.ssh/known_hosts >/tmp/changed")?;
            let refused = stage.replicate("--ssh-option UserKnownHostsFile=/tmp/changed")?;
            refused.must_say("E_SSH_HOST_KEY_CHANGED")?;
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "ssh",
        name: "ssh-unknown",
        title: "the target's host key is not known",
        expected: "E_SSH_HOST_KEY_UNKNOWN, nobody is asked and nothing is sent",
        play: |stage| {
            stage.make()?;
            let refused = stage.replicate("--ssh-option UserKnownHostsFile=/dev/null")?;
            refused.must_say("E_SSH_HOST_KEY_UNKNOWN")?;
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "ssh",
        name: "ssh-port",
        title: "nobody listens at the port",
        expected: "E_SSH_UNREACHABLE",
        play: |stage| {
            stage.make()?;
            let refused = stage.replicate("--ssh-port-target 2")?;
            refused.must_say("E_SSH_UNREACHABLE")?;
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "ssh",
        name: "ssh-key",
        title: "the target does not take our ssh key",
        expected: "E_SSH_AUTH",
        play: |stage| {
            stage.make()?;
            stage.here("rm -f /tmp/other-key*; ssh-keygen -q -t ed25519 -N '' -f /tmp/other-key")?;
            let refused = stage.replicate("--ssh-option IdentityFile=/tmp/other-key --ssh-option IdentitiesOnly=yes --ssh-option IdentityAgent=none")?;
            refused.must_say("E_SSH_AUTH")?;
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F59",
        name: "f59-permission",
        title: "the user on the target is not root and was allowed nothing",
        expected: "E_ZFS_PERMISSION, nothing is touched",
        play: |stage| {
            stage.make()?;
            make_user(stage, "nobody1", "/bin/sh")?;
            let refused = stage.replicate_to(&format!("nobody1@{}:{}", stage.target.name(), stage.to), "")?;
            refused.must_say("E_ZFS_PERMISSION")?;
            seen![refused]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F102",
        name: "f102-motd",
        title: "the remote shell greets everybody on standard output",
        expected: "refused with a code that says what came instead of an answer of zfs; nothing is touched",
        play: |stage| {
            stage.make()?;
            stage.there("printf '#!/bin/sh\\necho Welcome to this machine\\nexec /bin/sh \"$@\"\\n' >/usr/local/bin/greeting; chmod +x /usr/local/bin/greeting")?;
            make_user(stage, "greeter", "/usr/local/bin/greeting")?;
            let refused = stage.replicate_to(&format!("greeter@{}:{}", stage.target.name(), stage.to), "")?;
            ensure!(refused.exit != 0, "{refused}");
            seen![refused]
        },
        ..Case::PLAIN
    },
];
