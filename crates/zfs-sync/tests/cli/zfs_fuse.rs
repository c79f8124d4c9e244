//! A real, old implementation: zfs-fuse (pool version 23) without exact lists, bookmarks, stream options, or properties at a receive.
//!
//! Everything happens in namespaces of its own: the daemon, its mounts, its socket and its pools on files end with the script. It takes root,
//! /dev/fuse and the package `zfs-fuse`; `ci/test` installs that and sets `ZFS_SYNC_REQUIRE_FUSE`, so that there nothing is left out.

const SCRIPT: &str = r#"
set -eu
fail() { echo "FAILED: $*"; cat out 2>/dev/null; exit 1; }
mount -t tmpfs none /run && mkdir /run/lock
mkdir -p /var/run/zfs
# The list of pools that the daemon remembers is there.
mount -t tmpfs none /var/lib
zfs-fuse --no-daemon --no-kstat-mount >daemon.log 2>&1 &
tries=0
until zpool list >/dev/null 2>&1; do tries=$((tries + 1)); [ $tries -lt 300 ] || fail "no daemon: $(cat daemon.log)"; sleep 0.1; done
for pool in tank backup; do truncate -s 80M $pool.img; zpool create -m "$PWD/$pool" $pool "$PWD/$pool.img"; done
value() { zfs get -Hp -o value "$1" "$2"; }
same() { [ "$(value guid "tank/media@$1")" = "$(value guid "backup/media@$1")" ] || fail "@$1 differs"; }

zfs create tank/media
head -c 300000 /dev/urandom >tank/media/film
zfs snapshot tank/media@one
echo more >tank/media/more
zfs snapshot "tank/media@with space"

"$ZFS_SYNC" replicate tank/media backup/media --dry-run >out 2>&1 || fail "the dry run"
for code in BOOKMARKS HOLDS RESUME LARGE_BLOCKS COMPRESSED EMBEDDED RECEIVE_PROPERTIES WRITTEN ESTIMATE; do
  grep -q "W_FEATURE_$code" out || fail "W_FEATURE_$code is not named"
done
grep -q "zfs send tank/media@one | .*: zfs receive -u backup/media" out || fail "other commands"

"$ZFS_SYNC" replicate tank/media backup/media >out 2>&1 || fail "the first replication"
same one; same "with space"
[ "$(value readonly backup/media)" = on ] || fail "writable"
[ "$(value canmount backup/media)" = noauto ] || fail "mounted by itself"
[ "$(zfs get -H -o value,source zfs-sync:stream backup/media)" = "$(printf 'none\tlocal')" ] || fail "not pinned"

head -c 100000 /dev/urandom >tank/media/second
zfs snapshot tank/media@two
zfs snapshot tank/media@three
"$ZFS_SYNC" replicate tank/media backup/media >out 2>&1 || fail "the second replication"
same two; same three
# Only the newest one is held, and only on the target.
[ "$(value userrefs backup/media@three)" = 1 ] || fail "the base is not held"
for free in backup/media@one backup/media@two tank/media@one tank/media@two tank/media@three; do
  [ "$(value userrefs $free)" = 0 ] || fail "$free is still held"
done
"$ZFS_SYNC" replicate tank/media backup/media >out 2>&1 || fail "nothing to do"
grep -qi "nothing to send" out || fail "it did something"

zfs mount backup/media
for file in film more second; do cmp "tank/media/$file" "backup/media/$file" || fail "$file differs"; done

# Nobody says here that a replica was written to; it is noticed, and left alone.
zfs set readonly=off backup/media
echo mine >backup/media/mine
zfs snapshot tank/media@four
if "$ZFS_SYNC" replicate tank/media backup/media >out 2>&1; then fail "it wrote over somebody's work"; fi
grep -q "has been modified" out || fail "no reason"
[ -e backup/media/mine ] || fail "somebody's work is gone"
echo ALL WELL
"#;

/// Why it can not run here.
fn obstacle() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).any(|folder| folder.join("zfs-fuse").is_file());
    if !installed {
        Some("the package zfs-fuse is not installed")
    } else if !rustix::process::geteuid().is_root() {
        Some("only root may start zfs-fuse")
    } else if std::fs::File::open("/dev/fuse").is_err() {
        Some("there is no /dev/fuse")
    } else {
        None
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "whoever runs the tests shall know that this one has tested nothing")]
#[expect(clippy::disallowed_methods, reason = "what is tested is a process, and so is what it works on")]
fn zfs_fuse_is_replicated_with_what_it_has_and_everything_it_lacks_is_named() {
    if let Some(why) = obstacle() {
        assert!(std::env::var_os("ZFS_SYNC_REQUIRE_FUSE").is_none(), "{why}");
        eprintln!("NOT TESTED: {why}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", SCRIPT])
        .current_dir(directory.path())
        .env("ZFS_SYNC", env!("CARGO_BIN_EXE_zfs-sync"))
        .output()
        .expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.ends_with("ALL WELL\n"), "{said}\n{errors}");
}
