//! Names, properties and mount points as nobody would choose them.

use anyhow::ensure;

use super::{Case, seen};
use crate::stage::{Pair, Stage};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F102",
        name: "f102-odd",
        title: "spaces, colons and dots in the names of datasets and snapshots, file names in other scripts",
        expected: "in step with all that lies below, contents are the same, also after an incremental stream",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.here(
                "zfs create \"$from\"; for name in 'two  blanks' 'a:b.c_d-e' ' before'; do zfs create \"$from/$name\"; write \"$from/$name\" 'größe 大 '\\''\"$x\"'; done
                 zfs snapshot -r \"$from@first one: é\" 2>/dev/null || zfs snapshot -r \"$from@first one: -._\"",
            )?;
            stage.replicate("--recursive")?.must_be_in_step()?;
            stage.here("zfs snapshot -r \"$from@ second\"")?;
            let said = stage.replicate("--recursive")?;
            said.must_be_in_step()?;
            for name in ["two  blanks", "a:b.c_d-e", " before"] {
                let below = stage.with(format!("{}/{name}", stage.from), format!("{}/{name}", stage.to));
                below.must_be_same()?;
                below.same_content(" second", "größe 大 '\"$x\"")?;
            }
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F60",
        name: "f60-property",
        title: "a user property whose value has a tab, a line break, a backslash and both quotes, and one of 8,000 characters",
        expected: "in step; where they are asked for they arrive as they are, to the byte",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.make()?;
            let value = "\"$(printf 'a\\tb\\nc\\\\d\"e'\\''f $(reboot)')\"";
            stage.here(&format!(
                "zfs set org.example:odd={value} \"$from\"; zfs set org.example:long=\"$(head -c 8000 /dev/zero | tr '\\0' x)\" \"$from\""
            ))?;
            stage.replicate("--property org.example:odd --property org.example:long")?.must_be_in_step()?;
            stage.write("two")?;
            let said = stage.catch_up("")?;
            for property in ["odd", "long"] {
                let look = |dataset: &str| {
                    format!("zfs get -H -o value org.example:{property} \"{dataset}\" | sha256sum")
                };
                let (there, here) = (stage.here(&look("$from"))?, stage.there(&look("$to"))?);
                ensure!(
                    there == here,
                    "org.example:{property} differs: {:?}",
                    stage.target_is(&format!("org.example:{property}"))
                );
            }
            seen![said, "both values are the same, byte by byte"]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F103",
        name: "f103-long",
        title: "below the target's parent a snapshot's name would be longer than 255 characters",
        expected: "said before anything is sent; nothing is created there",
        play: |stage| {
            let long = "n".repeat(100);
            stage.here(&format!("zfs create \"$from\"; zfs create \"$from/{long}\"; write \"$from/{long}\" first; zfs snapshot \"$from/{long}@{}\"", "s".repeat(100)))?;
            let below = stage
                .with(format!("{}/{long}", stage.from), format!("{}/{}/{long}", stage.to, "p".repeat(60)));
            let said = below.replicate("")?;
            ensure!(said.exit != 0, "{said}");
            ensure!(Stage::history(below.target, &below.to)?.is_empty(), "something arrived");
            let made = stage.there("zfs list -H -o name \"$to\" 2>/dev/null || true")?;
            ensure!(made.trim().is_empty(), "{made} was created");
            seen![said]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F53",
        name: "f53-mountpoint",
        title: "the source is mounted at /srv and is to be mounted at start; so its copy would cover the target's own",
        expected: "in step; the copy is not mounted, and neither is it later, when everything is mounted",
        pairs: Pair::BOTH,
        play: |stage| {
            stage.make()?;
            stage.here(&format!("zfs set mountpoint=/srv/{} \"$from\"", stage.name))?;
            stage.write("two")?;
            let said = stage.catch_up("")?;
            stage.there("zfs mount -a")?;
            ensure!(stage.target_is("mounted")? == "no", "the copy is mounted");
            ensure!(stage.target_is("readonly")? == "on", "the copy can be written to");
            seen![said, "not mounted, readonly"]
        },
        ..Case::PLAIN
    },
];
