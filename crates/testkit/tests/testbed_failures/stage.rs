//! Two machines and a pair of datasets: where one case is played.

use std::{collections::BTreeSet, fmt, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use zfs_sync_testkit::{
    failures::short_version,
    testbed::{Machine, Output, Testbed, wait_until},
};

use crate::said::Said;

/// How long anything of a case may take: emulated machines, four cases at a time, beside whatever else the computer does.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

/// Which machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pair {
    /// 2.3 to 2.3.
    New,
    /// 2.1 to 2.3.
    FromOld,
    /// 2.3 to 2.1.
    ToOld,
}

impl Pair {
    /// Both ways between 2.1 and 2.3.
    pub(crate) const MIXED: &[Self] = &[Self::FromOld, Self::ToOld];
    /// Only these: what the case is about does not depend on the version.
    pub(crate) const ONE: &[Self] = &[Self::New];
    /// Both directions that the project promises.
    pub(crate) const BOTH: &[Self] = &[Self::New, Self::FromOld];
    /// All of them.
    pub(crate) const ALL: &[Self] = &[Self::New, Self::FromOld, Self::ToOld];

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::New => ("nas1", "nas2"),
            Self::FromOld => ("old", "nas2"),
            Self::ToOld => ("nas1", "old"),
        }
    }

    /// Makes what the datasets of all cases lie below.
    pub(crate) fn prepare(testbed: &Testbed) -> Result<()> {
        for pair in Self::ALL {
            let (source, target) = pair.names();
            testbed.machine(source).ok(&format!("zfs create tank/to-{target}"))?;
            testbed.machine(target).ok(&format!("zfs create tank/of-{source}"))?;
        }
        Ok(())
    }

    /// Such as `2.1 → 2.3`.
    pub(crate) fn versions(self, testbed: &Testbed) -> Result<String> {
        let version =
            |name: &str| -> Result<String> { Ok(short_version(&testbed.machine(name).zfs_version()?)) };
        let (source, target) = self.names();
        Ok(format!("{} → {}", version(source)?, version(target)?))
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, target) = self.names();
        write!(formatter, "{source} → {target}")
    }
}

/// What `zfs` says of a dataset.
#[derive(Clone, Debug, Default)]
struct Look {
    history: Vec<(String, String)>,
    holds: Vec<String>,
    is_partial: bool,
}

/// Where one case is played.
#[derive(Clone, Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) source: &'a Machine,
    pub(crate) target: &'a Machine,
    /// The dataset that is replicated; `$from` in scripts.
    pub(crate) from: String,
    /// Where to; `$to` in scripts.
    pub(crate) to: String,
    pub(crate) name: &'static str,
}

impl<'a> Stage<'a> {
    /// Datasets of its own, which do not exist yet, below parents that do.
    pub(crate) fn new(testbed: &'a Testbed, name: &'static str, pair: Pair) -> Self {
        let (source, target) = pair.names();
        let (from, to) = (format!("tank/to-{target}"), format!("tank/of-{source}"));
        let (source, target) = (testbed.machine(source), testbed.machine(target));
        Self { source, target, from: format!("{from}/{name}"), to: format!("{to}/{name}"), name }
    }

    /// Where the target is, as the command line takes it.
    fn place(&self) -> String {
        if self.source.name() == self.target.name() {
            return self.to.clone();
        }
        format!("root@{}:{}", self.target.name(), self.to)
    }

    /// The same machines, and other datasets.
    pub(crate) fn with(&self, from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { from: from.into(), to: to.into(), ..self.clone() }
    }

    fn script(&self, lines: &str) -> String {
        let (source, target) = (self.source.name(), self.target.name());
        format!(
            "set -e; from='{}' to='{}' name='{}' source={source} target={target}\n\
             write() {{ dd if=/dev/urandom of=\"$(zfs get -H -o value mountpoint \"$1\")/$2\" bs=256k count=\"${{3:-1}}\" status=none; }}\n{lines}",
            self.from, self.to, self.name
        )
    }

    /// Runs a script on the source that must succeed. `write DATASET FILE [COUNT]` writes COUNT quarters of a megabyte.
    pub(crate) fn here(&self, lines: &str) -> Result<String> {
        self.source.ok(&self.script(lines))
    }

    /// The same on the target.
    pub(crate) fn there(&self, lines: &str) -> Result<String> {
        self.target.ok(&self.script(lines))
    }

    /// Makes `$from` with half a megabyte and a snapshot `one`.
    pub(crate) fn make(&self) -> Result<()> {
        self.here("zfs create -p \"$from\"; write \"$from\" first 2; zfs snapshot \"$from@one\"").map(drop)
    }

    /// The same, and brings the target in step.
    pub(crate) fn seed(&self) -> Result<()> {
        self.make()?;
        self.replicate("")?.must_be_in_step()
    }

    /// Writes a quarter of a megabyte and makes a snapshot.
    pub(crate) fn write(&self, label: &str) -> Result<()> {
        self.here(&format!("write \"$from\" {label}; zfs snapshot \"$from@{label}\"")).map(drop)
    }

    /// Runs `zfs-sync replicate` on the source, from there to the target, and fails when any snapshot of either side is gone afterwards.
    pub(crate) fn replicate(&self, options: &str) -> Result<Said> {
        self.replicate_to(&self.place(), options)
    }

    /// The same with another way to say where.
    pub(crate) fn replicate_to(&self, to: &str, options: &str) -> Result<Said> {
        let before = self.all_guids()?;
        let list = format!("zfs list -Hp -d 1 -t snapshot -o guid '{}' 2>/dev/null", self.from);
        let output = self.source.run(&format!(
            "{list} | sort >/tmp/before-$$; zfs-sync replicate '{}' '{to}' --output json {options}; status=$?
             {list} | sort >/tmp/after-$$; comm -23 /tmp/before-$$ /tmp/after-$$ | sed 's/^/LOST /' >&2; rm /tmp/before-$$ /tmp/after-$$; exit $status",
            self.from
        ))?;
        let after = self.all_guids()?;
        let lost: Vec<_> = before.difference(&after).collect();
        ensure!(
            lost.is_empty() && !output.stderr.contains("LOST "),
            "snapshots are lost: {lost:?}\n{}",
            output.stderr
        );
        Said::new(&output)
    }

    /// GUIDs of all snapshots of the dataset and of what has its name in its own: what was renamed aside is found, too.
    fn all_guids(&self) -> Result<BTreeSet<String>> {
        let (pool, to) = (self.to.split('/').next().unwrap_or(&self.to), &self.to);
        let line = format!(
            "zfs list -Hp -r -t snapshot -o guid,name '{pool}' 2>/dev/null | grep -F '{to}' | cut -f1"
        );
        Ok(self.target.run(&line)?.stdout.lines().map(str::to_owned).collect())
    }

    /// Snapshots of a dataset in the order of their making, as label and GUID; none when it does not exist.
    pub(crate) fn history(machine: &Machine, dataset: &str) -> Result<Vec<(String, String)>> {
        Ok(Self::look(machine, dataset)?.history)
    }

    /// Everything about a dataset that tests ask for, in one command.
    fn look(machine: &Machine, dataset: &str) -> Result<Look> {
        let text = machine.ok(&format!(
            "d='{dataset}'; zfs list -Hp -d 1 -t snapshot -s createtxg -o name,guid,userrefs \"$d\" 2>/dev/null | tee /tmp/look-$$ | sed 's/^/snapshot\t/'
             awk -F '\t' '$3 > 0 {{ print $1 }}' /tmp/look-$$ | xargs -r -d '\n' zfs holds -H | sed 's/^/hold\t/'
             zfs get -H -o value receive_resume_token \"$d\" 2>/dev/null | sed 's/^/token\t/'; rm /tmp/look-$$"
        ))?;
        let mut look = Look::default();
        for line in text.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["snapshot", name, guid, _] => {
                    let label = name.split_once('@').context("a snapshot has a label")?.1;
                    look.history.push((label.to_owned(), guid.to_owned()));
                }
                ["hold", _, tag, ..] => look.holds.push(tag.to_owned()),
                ["token", token] => look.is_partial = token != "-",
                _ => bail!("odd line `{line}` about {dataset}"),
            }
        }
        Ok(look)
    }

    /// Fails unless the target has all of the source's snapshots by GUID, nothing of a transfer is left on either side, and the base
    /// is protected.
    pub(crate) fn must_be_same(&self) -> Result<()> {
        let (there, here) = (Self::look(self.source, &self.from)?, Self::look(self.target, &self.to)?);
        ensure!(!there.history.is_empty(), "{} has no snapshot", self.from);
        let guids = |look: &Look| look.history.iter().map(|(_, guid)| guid.clone()).collect::<Vec<_>>();
        let (sent, received) = (guids(&there), guids(&here));
        ensure!(sent.iter().all(|guid| received.contains(guid)), "{there:?} is not all in {here:?}");
        ensure!(sent.last() == received.last(), "the newest differ: {there:?} {here:?}");
        ensure!(!here.is_partial, "{} is half received", self.to);
        let left: Vec<_> = there.holds.iter().filter(|tag| tag.starts_with("zfs-sync:")).collect();
        ensure!(left.is_empty(), "{} is still held: {left:?}", self.from);
        let bases = here.holds.iter().filter(|tag| tag.starts_with("zfs-sync:base:")).count();
        ensure!(bases == 1, "the base of {} should be held once: {:?}", self.to, here.holds);
        Ok(())
    }

    /// Replicates, which must bring the target in step.
    pub(crate) fn catch_up(&self, options: &str) -> Result<Said> {
        let said = self.replicate(options)?;
        said.must_be_in_step()?;
        self.must_be_same()?;
        Ok(said)
    }

    /// Sends by hand, and cuts the stream after some bytes: an interrupted receive waits on the target.
    pub(crate) fn cut(&self, send: &str, bytes: u32) -> Result<()> {
        self.here(&format!(
            "{send} 2>/dev/null | head -c {bytes} | ssh \"$target\" zfs receive -s -u \"'$to'\" 2>/dev/null || true"
        ))?;
        let token = self.there("zfs get -H -o value receive_resume_token \"$to\"")?;
        ensure!(token.trim() != "-", "nothing of the stream was kept");
        Ok(())
    }

    /// Replicates slowly, and lets something happen in the middle of the stream, while our process stands still.
    ///
    /// Not the receiver: a `zfs receive` that was stopped begins its work anew when it goes on, finds itself in the way and says "busy"
    /// (2.3), or takes the signal for an end (2.1).
    pub(crate) fn meanwhile(&self, options: &str, happens: impl FnOnce(&Self) -> Result<()>) -> Result<Said> {
        let run = self.start(&format!("--limit 1MiB {options}"))?;
        let token = "zfs get -H -o value receive_resume_token \"$to\" 2>/dev/null | cut -c1-2";
        let begun = self.there(&format!("until [ \"$({token})\" = 1- ]; do :; done"));
        begun.with_context(|| self.source.ok(&format!("cat {}.err", run.0)).unwrap_or_default())?;
        let signal = |name: &str| self.here(&format!("kill -{name} $(pgrep -g {} -x zfs-sync)", run.1));
        signal("STOP")?;
        let happened = happens(self);
        signal("CONT")?;
        happened?;
        self.ended(&run)
    }

    /// Starts `zfs-sync replicate` and goes on.
    pub(crate) fn start(&self, options: &str) -> Result<Run> {
        let file = format!("/tmp/run-{}-{}", self.name, self.target.name());
        let run = self.source.spawn(&format!(
            "rm -f {file}.*; zfs-sync replicate '{}' '{}' --output json {options} >{file}.out 2>{file}.err; echo $? >{file}.exit.new; mv {file}.exit.new {file}.exit",
            self.from, self.place()
        ))?;
        Ok(Run(file, run.pid))
    }

    /// Runs `zfs-sync replicate`, which may take long.
    pub(crate) fn replicate_for_long(&self, options: &str) -> Result<Said> {
        let run = self.start(options)?;
        self.ended_within(5 * PATIENCE, &run)
    }

    /// Waits for its end.
    pub(crate) fn ended(&self, run: &Run) -> Result<Said> {
        self.ended_within(PATIENCE, run)
    }

    fn ended_within(&self, limit: Duration, run: &Run) -> Result<Said> {
        let file = &run.0;
        let status = wait_until(limit, "replicate to end", || {
            let text = self.source.ok(&format!("cat {file}.exit 2>/dev/null || true"))?;
            Ok(text.trim().parse().ok())
        })
        .with_context(|| self.source.ok(&format!("cat {file}.err")).unwrap_or_default())?;
        let (stdout, stderr) =
            (self.source.ok(&format!("cat {file}.out"))?, self.source.ok(&format!("cat {file}.err"))?);
        Said::new(&Output { status, stdout, stderr })
    }

    /// One property of the target.
    pub(crate) fn target_is(&self, property: &str) -> Result<String> {
        Ok(self.there(&format!("zfs get -H -o value {property} \"$to\""))?.trim().to_owned())
    }

    /// Fails unless a file of a snapshot has the same content on both sides.
    pub(crate) fn same_content(&self, label: &str, file: &str) -> Result<()> {
        let look = |dataset: &str| {
            format!(
                "m=$(mktemp -d); mount -t zfs \"{dataset}@{label}\" $m; sha256sum <\"$m/{file}\"; umount $m; rmdir $m"
            )
        };
        let (there, here) = (self.here(&look("$from"))?, self.there(&look("$to"))?);
        ensure!(there == here, "{file} differs");
        Ok(())
    }
}

/// A `replicate` under way: where it writes, and the process that leads its group.
pub(crate) struct Run(String, pub(crate) u32);
