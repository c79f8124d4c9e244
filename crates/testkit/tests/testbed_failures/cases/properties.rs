//! What the target's datasets are like afterwards.

use anyhow::ensure;

use super::{Case, seen};
use crate::stage::Pair;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F53",
        name: "f53-mountpoint",
        title: "the source is mounted at /srv/precious, with a quota and a share",
        expected: "the target is not mounted, will not mount itself, and has neither mountpoint, quota nor share of the source",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.here("mkdir -p /srv; zfs create -o mountpoint=\"/srv/precious-$target\" -o quota=1G -o reservation=1M \"$from\"; write \"$from\" first; zfs snapshot \"$from@one\"; zfs set sharenfs=on \"$from\" 2>/dev/null || true")?;
            stage.there("mkdir -p \"/srv/precious-$target\"; echo host >\"/srv/precious-$target/host\"")?;
            let said = stage.catch_up("")?;
            let list = stage.there("zfs get -H -o property,value mounted,canmount,readonly,quota,reservation,sharenfs \"$to\" | tr '\\t\\n' '= '")?;
            let mountpoint = stage.target_is("mountpoint")?;
            ensure!(mountpoint == format!("/{}", stage.to), "mountpoint={mountpoint}");
            stage.there("zfs mount -a; cat \"/srv/precious-$target/host\"")?;
            ensure!(stage.target_is("mounted")? == "no", "`zfs mount -a` mounts it");
            seen![said, list.trim()]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F58",
        name: "f58-occupied",
        title: "a file is where the target would be mounted",
        expected: "in step: nothing is mounted",
        pairs: Pair::TO_OLD,
        play: |stage| {
            stage.make()?;
            stage.there("touch \"/$to\"")?;
            seen![stage.catch_up("")?]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F60",
        name: "f60-property",
        title: "a user property of several lines with a tab, a backslash and quotes, of eight kilobytes, on both sides",
        expected: "in step, listings are not confused",
        pairs: Pair::FROM_OLD,
        play: |stage| {
            stage.make()?;
            let odd = "zfs set \"org.example:odd=$(printf 'a\\tb\\nc\\\\d \"e\" %7000s' x)\"";
            stage.here(&format!("{odd} \"$from\""))?;
            stage.catch_up("")?;
            stage.there(&format!("{odd} \"$to\""))?;
            stage.write("two")?;
            seen![stage.catch_up("")?]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F72",
        name: "f72-parents",
        title: "three levels of parents are missing on the target",
        expected: "made as places that can neither be mounted nor written to; in step",
        play: |stage| {
            let stage = stage.with(&stage.from, format!("{}/a/b/c", stage.to));
            stage.make()?;
            let said = stage.catch_up("")?;
            let parents = stage.there("for d in \"${to%/a/b/c}\" \"${to%/b/c}\" \"${to%/c}\"; do zfs get -H -o value canmount,readonly,mounted \"$d\" | tr '\\n' ' '; done")?;
            ensure!(parents.trim() == "off on no off on no off on no", "{parents}");
            seen![said, "three parents with canmount=off, readonly=on"]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F62",
        name: "f62-dangerous",
        title: "the source has properties that are dangerous elsewhere: setuid, devices, exec, properties of other tools",
        expected: "the target has none of them from the source",
        play: |stage| {
            stage.make()?;
            stage.here("zfs set exec=off devices=off setuid=off com.sun:auto-snapshot=true syncoid:sync=true \"$from\"")?;
            stage.write("two")?;
            let said = stage.catch_up("")?;
            let list = stage.there("zfs get -H -o property,value,source exec,devices,setuid,com.sun:auto-snapshot,syncoid:sync \"$to\"")?;
            let taken: Vec<&str> =
                list.lines().filter(|line| line.ends_with("local") || line.ends_with("received")).collect();
            ensure!(taken.is_empty(), "{taken:?}");
            seen![said, "none came along"]
        },
        ..Case::PLAIN
    },
];
