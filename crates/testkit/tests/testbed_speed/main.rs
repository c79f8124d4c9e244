//! Many datasets at a time over one connection, on real OpenZFS and real ssh.

use std::{
    env,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use zfs_sync_testkit::testbed::{Background, Machine, MachineSpec, Suite, Testbed, wait_until};

/// Emulated, and beside a compiler.
const LIMIT: Duration = Duration::from_mins(3);

static TESTBED: LazyLock<Testbed> = LazyLock::new(|| {
    let binary = env::var("ZFS_SYNC_BINARY").expect("ZFS_SYNC_BINARY names the program");
    let spec =
        |name| MachineSpec::new(name, Suite::Trixie).with_file(&binary, "/usr/local/bin/zfs-sync", 0o755);
    let bed = Testbed::start(&[spec("nas1"), spec("nas2")]).expect("the testbed starts");
    bed.machine("nas1").create_pool("tank").expect("a pool on nas1");
    bed.machine("nas2").create_pool("backup").expect("a pool on nas2");
    bed
});

/// One test at a time: they count the connections between the machines.
fn machines() -> (&'static Machine, &'static Machine, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (TESTBED.machine("nas1"), TESTBED.machine("nas2"), turn)
}

/// A tree with so many kilobytes in each of its datasets, and a snapshot of all.
fn make(machine: &Machine, tree: &str, sizes: &[u32]) -> Result<()> {
    machine.ok(&format!("zfs create {tree}"))?;
    for (number, kilobytes) in sizes.iter().enumerate() {
        machine.ok(&format!(
            "zfs create {tree}/{number} && head -c {kilobytes}000 /dev/urandom > /{tree}/{number}/file"
        ))?;
    }
    machine.ok(&format!("zfs snapshot -r {tree}@one"))?;
    Ok(())
}

fn replicate(tree: &str, options: &str) -> String {
    format!("zfs-sync replicate --recursive {options} tank/{tree} root@nas2:backup/{tree}")
}

fn guids(machine: &Machine, tree: &str) -> Result<Vec<String>> {
    let listed = machine.ok(&format!("zfs list -Hp -t snapshot -o guid -r {tree}"))?;
    let mut guids: Vec<String> = listed.lines().map(str::to_owned).collect();
    guids.sort();
    Ok(guids)
}

/// Everything has arrived, and nothing of ours is left on the way: no step holds, no partial receives, one bookmark and one hold each.
fn check(nas1: &Machine, nas2: &Machine, tree: &str, datasets: usize) -> Result<()> {
    ensure!(guids(nas1, &format!("tank/{tree}"))? == guids(nas2, &format!("backup/{tree}"))?);
    let tags = |machine: &Machine, tree: &str| {
        machine.ok(&format!("zfs list -H -o name -t snapshot -r {tree} | xargs -d '\\n' zfs holds -H"))
    };
    let (source, target) = (tags(nas1, &format!("tank/{tree}"))?, tags(nas2, &format!("backup/{tree}"))?);
    ensure!(!source.contains("zfs-sync:"), "still held on the source:\n{source}");
    let held = target.matches("zfs-sync:base:").count();
    ensure!(held == datasets, "{held} of {datasets} replicas are protected:\n{target}");
    let bookmarks = nas1.ok(&format!("zfs list -H -o name -t bookmark -r tank/{tree}"))?;
    ensure!(bookmarks.lines().count() == datasets, "{bookmarks}");
    let tokens = nas2.ok(&format!("zfs get -Hp -o value -r receive_resume_token backup/{tree}"))?;
    ensure!(tokens.lines().all(|token| token == "-"), "half received:\n{tokens}");
    Ok(())
}

/// Those from the one to the other, a line each.
fn connections(nas1: &Machine, nas2: &Machine) -> Result<String> {
    nas2.ok(&format!("ss -Htn state established '( sport = :22 )' | grep '{}:' || true", nas1.address()))
}

/// Waits until it has ended and answers what it said.
fn ended(machine: &Machine, process: &Background) -> Result<String> {
    wait_until(LIMIT, "the end of a replication", || Ok((!machine.is_alive(process.pid)?).then_some(())))?;
    machine.ok(&format!("cat {}", process.log))
}

#[test]
fn a_stalled_stream_holds_up_nobody() -> Result<()> {
    let (nas1, nas2, _turn) = machines();
    // Larger than what a channel of ssh and the pipes beside it can hold, and small enough to share a connection.
    make(nas1, "tank/stalled", &[7000, 300, 300, 300])?;
    // Nothing of an earlier test is left, which is closed when it ends.
    wait_until(LIMIT, "no connection", || Ok(connections(nas1, nas2)?.is_empty().then_some(())))?;
    // The first receiver does not read until it may.
    nas2.write(
        "/usr/local/bin/zfs",
        "#!/bin/sh\ncase \"$*\" in\nreceive*backup/stalled/0) touch /tmp/stalled; while [ -e /tmp/stall ]; do sleep 0.1; done ;;\nesac\n\
         exec /usr/sbin/zfs \"$@\"\n",
        0o755,
    )?;
    nas2.ok("touch /tmp/stall")?;
    let process = nas1.spawn(&format!("exec {}", replicate("stalled", "--jobs 2")))?;
    let others = wait_until(LIMIT, "the others", || {
        let there = nas2.run("zfs list -H -o name -t snapshot -r backup/stalled")?.stdout;
        Ok((1..4).all(|number| there.contains(&format!("/{number}@one"))).then_some(()))
    });
    let connections = connections(nas1, nas2)?;
    let stalled = nas2.run("[ -e /tmp/stalled ]")?.is_success() && nas1.is_alive(process.pid)?;
    let there = nas2.ok("zfs list -H -o name -t snapshot -r backup/stalled")?;
    nas2.ok("rm /tmp/stall")?;
    let said = ended(nas1, &process)?;
    nas2.ok("rm /usr/local/bin/zfs")?;
    others?;
    ensure!(stalled && !there.contains("/0@one"), "the first one was stalled meanwhile: {there}{said}");
    ensure!(connections.lines().count() == 1, "all of it went over several connections:\n{connections}");
    check(nas1, nas2, "stalled", 5).context(said)
}

#[test]
fn killed_in_the_middle_of_many_the_same_command_finishes_and_tidies_up() -> Result<()> {
    let (nas1, nas2, _turn) = machines();
    make(nas1, "tank/killed", &[1500; 8])?;
    for round in 1..=3 {
        let process = nas1.spawn(&format!("exec {}", replicate("killed", "--jobs 4")))?;
        // A little further each time.
        wait_until(LIMIT, "some of it to be there", || {
            let there = nas2.run("zfs list -H -o name -r backup/killed")?.stdout.lines().count();
            Ok((there > 2 * round || !nas1.is_alive(process.pid)?).then_some(()))
        })?;
        let _ = nas1.kill9(process.pid);
        ended(nas1, &process)?;
        nas1.ok(&format!("zfs snapshot -r tank/killed@round-{round}"))?;
    }
    nas1.ok(&replicate("killed", ""))?;
    // Once more: what was held by a run that was killed is released even where nothing is to be sent.
    let said = nas1.ok(&format!("{} 2>&1", replicate("killed", "")))?;
    ensure!(said.contains("nothing to send"), "{said}");
    check(nas1, nas2, "killed", 9)
}

#[test]
fn a_host_that_gives_no_shell_is_used_one_command_at_a_time() -> Result<()> {
    let (nas1, nas2, _turn) = machines();
    make(nas1, "tank/forced", &[100, 100])?;
    // Only zfs, and looking at pools, as a careful operator allows it.
    nas2.write(
        "/usr/local/bin/only-zfs",
        "#!/bin/sh\ncase \"$SSH_ORIGINAL_COMMAND\" in\n'env LC_ALL=C '*' zfs '*|'env LC_ALL=C '*' zpool get '*|'env LC_ALL=C '*' zpool list '*) exec sh -c \"$SSH_ORIGINAL_COMMAND\" ;;\n*) echo 'only zfs is allowed' >&2; exit 1 ;;\nesac\n",
        0o755,
    )?;
    nas1.ok("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/forced")?;
    let key = nas1.ok("cat /root/.ssh/forced.pub")?;
    nas2.ok(&format!(
        "echo 'restrict,command=\"/usr/local/bin/only-zfs\" {}' >> /root/.ssh/authorized_keys",
        key.trim()
    ))?;
    let options = "--ssh-option IdentityFile=/root/.ssh/forced --ssh-option IdentitiesOnly=yes";
    nas1.ok(&replicate("forced", options))?;
    check(nas1, nas2, "forced", 3)?;
    let refused = nas1.run("ssh -o IdentitiesOnly=yes -i /root/.ssh/forced root@nas2 true")?;
    ensure!(
        refused.status == 1 && refused.stderr.contains("only zfs"),
        "the key gives no shell: {refused:?}"
    );
    Ok(())
}

#[test]
fn any_login_shell_will_do() -> Result<()> {
    let (nas1, nas2, _turn) = machines();
    make(nas1, "tank/shells", &[100])?;
    // None of the family: it takes one line, greets on both outputs, and knows nothing but to start a program.
    nas2.write(
        "/usr/local/bin/odd-shell",
        "#!/usr/bin/python3\nimport os, sys, shlex\nprint('welcome')\nprint('be good', file=sys.stderr)\nsys.stdout.flush()\n\
         line = sys.argv[2].replace('${PATH}', os.environ['PATH'])\nwords = shlex.split(line)\n\
         words = words[1:] if words[0] == 'exec' else words\nos.execvp(words[0], words)\n",
        0o755,
    )?;
    nas2.ok("echo 'odd:x:0:0::/root:/usr/local/bin/odd-shell' >> /etc/passwd && echo 'odd:*:19000::::::' >> /etc/shadow && echo /usr/local/bin/odd-shell >> /etc/shells")?;
    let said = nas1.ok("zfs-sync replicate --recursive tank/shells odd@nas2:backup/shells 2>&1")?;
    check(nas1, nas2, "shells", 2).context(said)
}
