//! Holds that were left behind, beside holds of others.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::beds::beds;

fn list(machine: &str, arguments: &str) -> Result<Vec<(String, String)>> {
    let text = beds().machine(machine).ok(&format!("zfs-sync hold list {arguments} -o json"))?;
    let answer: Value = serde_json::from_str(&text)?;
    let items = answer["items"].as_array().context("items")?;
    let field = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    Ok(items.iter().map(|item| (field(item, "name"), field(item, "verdict"))).collect())
}

#[test]
fn stale_holds_are_released_and_those_of_others_stay() -> Result<()> {
    for machine in ["nas1", "old"] {
        let host = beds().machine(machine);
        host.ok("zfs create tank/held && for i in 1 2 3 4; do zfs snapshot tank/held@$i; done")?;
        // A step that ended long ago: the receiver has @3 as its base.
        host.ok("for i in 1 2; do zfs hold zfs-sync:step:1f:aaaaaaaa tank/held@$i; done; zfs hold keep tank/held@1")?;
        let guid: u64 = host.ok("zfs get -Hp -o value guid tank/held@3")?.trim().parse()?;
        host.ok(&format!("zfs bookmark tank/held@3 'tank/held#zfs-sync:{guid:x}:aaaaaaaa'"))?;
        // One that nobody can tell anything about.
        host.ok("zfs hold zfs-sync:step:1f:bbbbbbbb tank/held@4")?;

        let found = list(machine, "tank/held")?;
        let bookmark = format!("tank/held#zfs-sync:{guid:x}:aaaaaaaa");
        let expected = [
            ("tank/held@1", "stale"),
            ("tank/held@2", "stale"),
            (bookmark.as_str(), "unsure"),
            ("tank/held@4", "unsure"),
        ];
        let expected = expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned()));
        ensure!(found == expected, "{machine}: {found:?}");

        host.ok("zfs-sync hold release tank/held --dry-run")?;
        ensure!(list(machine, "tank/held --stale")?.len() == 2, "a dry run released something");
        host.ok("zfs-sync hold release tank/held")?;
        ensure!(list(machine, "tank/held")?.len() == 2, "{machine}");
        let left = host.ok("zfs holds -H tank/held@1 tank/held@2")?;
        ensure!(left.lines().count() == 1 && left.contains("\tkeep\t"), "{left}");

        let refused = host.run("zfs-sync hold release tank/held@4")?;
        ensure!(refused.status == 10 && refused.stderr.contains("E_HOLD_NEEDED"), "{refused:?}");
        let refused = host.run("zfs-sync hold release tank/held@4 --force </dev/null")?;
        ensure!(refused.status == 10, "nobody was there to be asked: {refused:?}");
        host.ok("zfs-sync hold release tank/held@4 --force --yes")?;
        ensure!(host.ok("zfs holds -H tank/held@4")?.is_empty(), "it was named, by force");
    }
    // Over ssh it is the same.
    let over_ssh = list("nas1", "--host root@old tank/held")?;
    ensure!(over_ssh == list("old", "tank/held")?, "{over_ssh:?}");
    Ok(())
}
