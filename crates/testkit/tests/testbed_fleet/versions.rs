//! OpenZFS 2.1 and 2.3 together.

use anyhow::Result;

use crate::fleet::fleet;

fn replicates(name: &str, source: &str, target: &str) -> Result<()> {
    let fleet = fleet();
    let (from, to) = (format!("tank/{name}"), format!("tank/{name}-copy"));
    fleet.make_dataset(source, &from, 2)?;
    fleet.make_group(name, source, target, &from, &format!("{from}={to}"))?;
    fleet.wait_for_state(name, 1, "in_sync")?;
    for round in ["two", "three"] {
        fleet.machine(source).ok(&format!("dd if=/dev/urandom of='/{from}/{round}' bs=128k count=4 status=none; zfs snapshot '{from}@{round}'"))?;
        fleet.wait_for_newest(name, (source, target), &[(from.clone(), to.clone())])?;
    }
    fleet.wait_for_state(name, 1, "in_sync")?;
    fleet.assert_same((source, &from), (target, &to))?;
    fleet.assert_nothing_left((source, &from), (target, &to))
}

#[test]
fn from_2_1_to_2_3() -> Result<()> {
    replicates("old-to-new", "old", "nas2")
}

#[test]
fn from_2_3_to_2_1() -> Result<()> {
    replicates("new-to-old", "nas1", "old")
}
