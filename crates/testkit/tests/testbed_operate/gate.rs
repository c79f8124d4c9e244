//! A restricted key, and somebody who has stolen it.

use anyhow::{Result, ensure};
use zfs_sync_testkit::testbed::quote;

use crate::beds::beds;

/// How the key is used.
const SSH: &str = "ssh -i /root/.ssh/gate -o IdentitiesOnly=yes -o BatchMode=yes repl@nas2";
const OPTIONS: &str = "--ssh-option IdentityFile=/root/.ssh/gate --ssh-option IdentitiesOnly=yes --ssh-option IdentityAgent=none";

#[test]
fn a_restricted_key_replicates_and_does_nothing_else() -> Result<()> {
    let beds = beds();
    let (nas1, nas2) = (beds.machine("nas1"), beds.machine("nas2"));
    beds.make_dataset("nas1", "tank/gate")?;
    nas2.ok("zfs create tank/vault && zfs create tank/secret && zfs snapshot tank/secret@one")?;
    beds.apply_fixes("nas2", "--user repl --target tank/vault", "zfs.permission")?;
    nas1.ok("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/gate")?;
    let key = nas1.ok("cat /root/.ssh/gate.pub")?;
    let gate = "/usr/local/bin/zfs-sync ssh-gate --role target --dataset tank/vault --append-only --log /home/repl/refused";
    let line = format!("command=\"{gate}\",restrict {}\n", key.trim());
    nas2.ok(&format!("printf '%s' {} >>/home/repl/.ssh/authorized_keys", quote(&line)))?;

    let replicate = format!("zfs-sync replicate {OPTIONS} tank/gate repl@nas2:tank/vault/gate");
    nas1.ok(&replicate)?;
    nas1.ok("touch /tank/gate/more && zfs snapshot tank/gate@two")?;
    nas1.ok(&replicate)?;
    beds.wait_for_same(("nas1", "tank/gate"), ("nas2", "tank/vault/gate"))?;

    for attack in [
        "",
        "id",
        "sh",
        "env LC_ALL=C sh -s",
        "zfs version; id",
        "zfs destroy tank/vault/gate@one",
        "zfs destroy -r tank/vault",
        "zfs rollback tank/vault/gate@two",
        "zfs rename tank/vault/gate tank/vault/gone",
        "zfs rename tank/vault/gate tank/gone",
        "zfs receive -s -u -F tank/vault/gate",
        "zfs receive -s -u tank/secret",
        "zfs send -L -c -e tank/secret@one",
        "zfs send -L -c -e tank/vault/gate@one",
        "zfs holds -H tank/secret@one",
        "zfs set readonly=off tank/vault/gate",
        "zfs set quota=none tank/vault",
        "zfs inherit mountpoint tank/vault",
        "zfs allow tank/vault",
        "scp -t /home/repl/.ssh/authorized_keys",
        "/usr/lib/openssh/sftp-server",
    ] {
        let output = nas1.run(&format!("{SSH} {} </dev/null", quote(attack)))?;
        ensure!(output.status != 0 && output.stderr.contains("E_GATE_REFUSED"), "`{attack}`: {output:?}");
        ensure!(output.stdout.is_empty(), "`{attack}` said {}", output.stdout);
    }
    let refused = nas2.ok("cat /home/repl/refused")?;
    ensure!(refused.contains("refused `zfs destroy -r tank/vault` from"), "{refused}");
    beds.wait_for_same(("nas1", "tank/gate"), ("nas2", "tank/vault/gate"))?;

    // What is outside the tree does not exist for it.
    let columns = "name,guid,type,createtxg,written,used,referenced,available,readonly,mounted,encryption,origin,receive_resume_token";
    let listing = nas1.ok(&format!("{SSH} zfs list -Hp -t filesystem,volume -o {columns}"))?;
    let names: Vec<_> = listing.lines().filter_map(|line| line.split('\t').next()).collect();
    ensure!(names == ["tank", "tank/vault", "tank/vault/gate"], "{names:?}");
    Ok(())
}
