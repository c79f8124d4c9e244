//! Something happens while the stream is under way.

use anyhow::ensure;

use super::{Case, Seen, seen};
use crate::stage::{Pair, Stage};

/// More than fits into what buffers the way has.
fn make_large(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.here("zfs create \"$from\"; write \"$from\" first 32; zfs snapshot \"$from@one\"").map(drop)
}

/// In step, with something large that is not sent yet.
fn make_large_second(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.seed()?;
    stage.here("write \"$from\" second 32; zfs snapshot \"$from@two\"").map(drop)
}

fn then_in_step(stage: &Stage<'_>, first: &crate::said::Said) -> Seen {
    let again = stage.catch_up("")?;
    seen![first, again]
}

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F31",
        name: "f31-half-open",
        title: "packets vanish in the middle of a stream: the connection stays open on both sides and is dead",
        expected: "noticed within half a minute as E_SSH_UNREACHABLE; continued when packets pass again",
        pairs: Pair::BOTH,
        play: |stage| {
            make_large(stage)?;
            // A door of its own, so that nobody else's packets vanish.
            let port = if stage.source.name() == "old" { 2201 } else { 2200 };
            stage.there(&format!("mkdir -p /run/sshd; /usr/sbin/sshd -p {port}"))?;
            stage.here(&format!("sed \"s/^$target,[0-9.]*/[$target]:{port}/\" /root/.ssh/known_hosts | grep -F \"[$target]:{port}\" >>/root/.ssh/known_hosts"))?;
            let options = format!("--ssh-port-target {port}");
            let dead = stage.meanwhile(&options, |stage| {
                stage.there(&format!("nft -f - <<'END'\ntable inet lost{port} {{\n chain in {{ type filter hook input priority 0; tcp dport {port} drop; }}\n chain out {{ type filter hook output priority 0; tcp sport {port} drop; }}\n}}\nEND")).map(drop)
            })?;
            dead.must_say("E_SSH_UNREACHABLE")?;
            stage.there(&format!("nft delete table inet lost{port}"))?;
            // The receiver finds out by itself, or is told when packets pass again.
            stage.there("while pgrep -f \"^zfs receive .*$to\\$\"; do sleep 0.1; done")?;
            let again = stage.catch_up(&options)?;
            seen![dead, again]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F09",
        name: "f09-midway",
        title: "the source dataset is renamed while it is sent",
        expected: "no hold of ours is left anywhere; what has arrived counts",
        pairs: Pair::BOTH,
        play: |stage| {
            make_large(stage)?;
            let said =
                stage.meanwhile("", |stage| stage.here("zfs rename \"$from\" \"$from-moved\"").map(drop))?;
            let moved = stage.with(format!("{}-moved", stage.from), &stage.to);
            let again = moved.replicate("")?;
            again.must_be_in_step()?;
            moved.must_be_same()?;
            seen![format!("under the old name: {said}"), format!("under the new name: {again}")]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F35",
        name: "f35-two",
        title: "two `replicate` of the same dataset at once",
        expected: "the second says that the dataset is busy and touches nothing; the first goes on",
        pairs: Pair::BOTH,
        play: |stage| {
            make_large_second(stage)?;
            let mut second = String::new();
            let first = stage.meanwhile("", |stage| {
                let mut said = stage.replicate("")?;
                // How much of the first's there was to go on from when it looked is chance.
                said.resumed = false;
                second = said.to_string();
                Ok(())
            })?;
            first.must_be_in_step()?;
            let again = stage.catch_up("")?;
            seen![format!("the second: {second}"), format!("the first: {first}"), again]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F35",
        name: "f35-foreign",
        title: "another tool is receiving into the target",
        expected: "E_RECV_BUSY and nothing is touched; in step when the other has gone",
        pairs: Pair::ALL,
        play: |stage| {
            stage.seed()?;
            stage.write("two")?;
            let other = stage.source.spawn(&format!(
                "(zfs send -L -i '{from}@one' '{from}@two' | head -c 200000; exec sleep 600) | exec ssh {target} zfs receive '{to}'",
                from = stage.from, to = stage.to, target = stage.target.name()
            ))?;
            stage.there("until pgrep -f \"^zfs receive $to\\$\"; do sleep 0.1; done; until zfs list -H -t all \"$to/%recv\" >/dev/null 2>&1; do sleep 0.1; done")?;
            let busy = stage.replicate("")?;
            ensure!(busy.exit != 0, "{busy}");
            ensure!(
                stage.there("pgrep -c -f \"^zfs receive $to\\$\"")?.trim() == "1",
                "the other receive was disturbed"
            );
            stage.source.ok(&format!("kill -KILL -- -{}", other.pid))?;
            stage.there("while pgrep -f \"^zfs receive $to\\$\"; do sleep 0.1; done")?;
            then_in_step(stage, &busy)
        },
        ..Case::PLAIN
    },
];
