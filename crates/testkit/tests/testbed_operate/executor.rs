//! Systems without an agent.

use anyhow::Result;

use crate::beds::beds;

#[test]
fn two_systems_that_have_only_ssh_replicate_through_an_executor() -> Result<()> {
    let beds = beds();
    let nas1 = beds.machine("nas1");
    beds.make_dataset("nas2", "tank/far")?;
    for (remote, name) in [("root@nas2", "far-source"), ("root@old", "far-target")] {
        beds.token("nas1", "/root/far-token")?;
        nas1.ok(&format!(
            "zfs-sync executor add {} --token-file /root/far-token --remote {remote} --hostname {name} --data-dir /root/executor",
            beds.witness()
        ))?;
    }
    let executor = nas1.spawn("exec zfs-sync executor run --data-dir /root/executor")?;
    let systems = ["--systems", "far-source,far-target", "--source-of-truth", "far-source"];
    let what = ["--dataset", "tank/far", "--map", "tank/far=tank/far-copy", "--auto"];
    beds.cli(&[&["group", "create", "--name", "far"], &systems[..], &what[..]].concat())?;
    let (here, there) = (("nas2", "tank/far"), ("old", "tank/far-copy"));
    let log = || nas1.ok(&format!("tail -n 30 {}", executor.log)).unwrap_or_default();
    beds.wait_for_same(here, there).map_err(|error| error.context(log()))?;
    beds.machine("nas2").ok("touch /tank/far/more && zfs snapshot tank/far@two")?;
    beds.wait_for_same(here, there).map_err(|error| error.context(log()))?;
    nas1.signal(executor.pid, "TERM")
}
