//! Not as root.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::beds::{as_user, beds};

fn lacks_permission(findings: &[Value]) -> bool {
    findings.iter().any(|finding| finding["check"] == "zfs.permission" && finding["verdict"] == "fail")
}

/// The lines come from `doctor`, verbatim, and are all that is allowed.
#[test]
fn agents_that_are_not_root_on_both_sides() -> Result<()> {
    let beds = beds();
    beds.make_dataset("nas1", "tank/work")?;
    beds.machine("nas2").ok("zfs create tank/replicas")?;
    let (source, target) = ("--user repl --source tank/work", "--user repl --target tank/replicas");
    ensure!(lacks_permission(&beds.doctor("nas1", source)?), "nothing is allowed yet");
    let lines = beds.apply_fixes("nas1", source, "zfs.permission")?;
    ensure!(lines.iter().all(|line| line.starts_with("zfs allow -u repl ")), "{lines:?}");
    beds.apply_fixes("nas2", target, "zfs.permission")?;
    for (machine, arguments) in [("nas1", source), ("nas2", target)] {
        let findings = beds.doctor(machine, arguments)?;
        let verdicts = findings.iter().filter(|finding| finding["check"] == "zfs.permission");
        ensure!(verdicts.into_iter().all(|finding| finding["verdict"] == "pass"), "{machine}: {findings:?}");
    }
    for name in ["nas1", "nas2"] {
        beds.token(name, "/home/repl/token")?;
        let enroll = format!(
            "zfs-sync agent enroll {} --token-file token --data-dir agent --hostname {name} --ssh-user repl",
            beds.witness()
        );
        beds.machine(name).ok(&as_user("repl", &enroll))?;
        beds.machine(name)
            .spawn("exec su - repl -c 'exec zfs-sync agent run --data-dir agent >agent.log 2>&1'")?;
    }
    let group = ["group", "create", "--name", "work", "--systems", "nas1,nas2", "--source-of-truth", "nas1"];
    let what = ["--dataset", "tank/work", "--map", "tank/work=tank/replicas/work", "--auto"];
    beds.cli(&[&group[..], &what[..]].concat())?;
    let (here, there) = (("nas1", "tank/work"), ("nas2", "tank/replicas/work"));
    let log = || {
        let tail = |name| beds.machine(name).ok("tail -n 20 /home/repl/agent.log").unwrap_or_default();
        format!("{}\n---\n{}", tail("nas1"), tail("nas2"))
    };
    beds.wait_for_same(here, there).map_err(|error| error.context(log()))?;
    beds.machine("nas1").ok("touch /tank/work/more && zfs snapshot tank/work@two")?;
    beds.wait_for_same(here, there).map_err(|error| error.context(log()))?;
    let properties =
        beds.machine("nas2").ok("zfs get -H -o value readonly,canmount,mounted tank/replicas/work")?;
    ensure!(properties == "on\nnoauto\nno\n", "{properties}");
    let tried = as_user("repl", "zfs-sync doctor --source tank/work --probe -o json || true");
    let answer: Value = serde_json::from_str(&beds.machine("nas1").ok(&tried)?)?;
    let tried = answer["items"].as_array().into_iter().flatten().find(|item| item["check"] == "zfs.probe");
    ensure!(tried.is_some_and(|tried| tried["verdict"] == "pass"), "{answer}");
    let left = beds
        .machine("nas1")
        .ok("zfs list -H -t bookmark -o name -d 1 tank/work; zfs holds -H tank/work@two")?;
    ensure!(!left.contains("probe"), "{left}");
    // What the sender was allowed does not let it destroy a snapshot.
    let destroy = beds.machine("nas1").run(&as_user("repl", "zfs destroy tank/work@one"))?;
    ensure!(destroy.status != 0 && destroy.stderr.contains("permission denied"), "{destroy:?}");
    Ok(())
}

#[test]
fn replicate_as_a_user_to_an_older_openzfs() -> Result<()> {
    let beds = beds();
    beds.make_dataset("nas1", "tank/user")?;
    beds.machine("old").ok("zfs create tank/replicas")?;
    beds.apply_fixes("nas1", "--user repl --source tank/user", "zfs.permission")?;
    beds.apply_fixes("old", "--user repl --target tank/replicas", "zfs.permission")?;
    let line = as_user("repl", "zfs-sync replicate tank/user repl@old:tank/replicas/deep/user");
    let nas1 = beds.machine("nas1");
    nas1.ok(&line)?;
    nas1.ok("zfs snapshot tank/user@two")?;
    nas1.ok(&line)?;
    beds.wait_for_same(("nas1", "tank/user"), ("old", "tank/replicas/deep/user"))?;
    let parent = beds.machine("old").ok("zfs get -H -o value readonly,canmount tank/replicas/deep")?;
    ensure!(parent == "on\noff\n", "{parent}");
    // From the other side, and what the peer's user may do is seen from here.
    let peer = beds.doctor("nas1", "--peer repl@old --target tank/replicas")?;
    let stages: Vec<_> = peer
        .iter()
        .filter(|finding| finding["check"].as_str().is_some_and(|check| check.starts_with("peer.")))
        .map(|finding| {
            (finding["check"].as_str().unwrap_or_default(), finding["verdict"].as_str().unwrap_or_default())
        })
        .collect();
    let expected =
        ["peer.ssh", "peer.shell", "peer.zfs", "peer.pools", "peer.permission"].map(|stage| (stage, "pass"));
    ensure!(stages == expected, "{stages:?}");
    Ok(())
}

#[test]
fn a_parent_that_may_get_no_properties_is_made_all_the_same() -> Result<()> {
    let beds = beds();
    beds.make_dataset("nas1", "tank/bare")?;
    let old = beds.machine("old");
    old.ok("zfs create tank/few && zfs allow -u repl create,mount,receive,hold,release tank/few")?;
    beds.apply_fixes("nas1", "--user repl --source tank/bare", "zfs.permission")?;
    let line = as_user("repl", "zfs-sync replicate tank/bare repl@old:tank/few/parent/bare 2>&1");
    let said = beds.machine("nas1").ok(&line)?;
    ensure!(said.contains("W_PERMISSION_PLACEHOLDER"), "{said}");
    beds.wait_for_same(("nas1", "tank/bare"), ("old", "tank/few/parent/bare"))
}

#[test]
fn through_sudo_with_the_line_that_doctor_prints() -> Result<()> {
    let beds = beds();
    beds.make_dataset("nas1", "tank/sudo")?;
    let nas1 = beds.machine("nas1");
    let line = as_user("deputy", "zfs-sync replicate --sudo tank/sudo deputy@nas2:tank/sudo-copy");
    let refused = nas1.run(&line)?;
    ensure!(refused.status != 0 && refused.stderr.contains("E_ZFS_PERMISSION"), "{refused:?}");
    for name in ["nas1", "nas2"] {
        let fixes = beds.apply_fixes(name, "--user deputy --privilege sudo", "zfs.privilege")?;
        // Root needs no line, so doctor is asked as the user.
        if fixes.is_empty() {
            let asked =
                beds.machine(name).run(&as_user("deputy", "zfs-sync doctor --privilege sudo -o json"))?;
            let answer: Value = serde_json::from_str(&asked.stdout)?;
            let fix = answer["items"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|item| item["check"] == "zfs.privilege");
            let fix = fix.and_then(|item| item["fix"].as_str()).unwrap_or_default().to_owned();
            ensure!(fix.contains("NOPASSWD: /usr/sbin/zfs, /usr/sbin/zpool"), "{fix}");
            beds.machine(name).ok(&fix)?;
        }
    }
    nas1.ok(&line)?;
    beds.wait_for_same(("nas1", "tank/sudo"), ("nas2", "tank/sudo-copy"))?;
    let other = nas1.run(&as_user("deputy", "sudo -n id"))?;
    ensure!(other.status != 0, "sudo is limited to zfs and zpool");
    Ok(())
}
