//! Large numbers.

use anyhow::{Result, ensure};

use super::{Case, seen};
use crate::stage::Stage;

/// Makes datasets or snapshots by the thousand as `zfs` would, without a process for each: on an emulated machine that is minutes.
const PROGRAM: &str = r#"
import ctypes, os, sys
nvpair, core = ctypes.CDLL("libnvpair.so.3"), ctypes.CDLL("libzfs_core.so.3")
def check(name, error):
    if error != 0:
        sys.exit(f"{name}: {os.strerror(error)}")
check("libzfs_core", core.libzfs_core_init())
def create(name):
    check(name, core.lzc_create(name.encode(), 2, None, None, 0))
def snapshot(name):
    names, errors = ctypes.c_void_p(), ctypes.c_void_p()
    check(name, nvpair.nvlist_alloc(ctypes.byref(names), 1, 0))
    nvpair.fnvlist_add_boolean(names, name.encode())
    check(name, core.lzc_snapshot(names, None, ctypes.byref(errors)))
    nvpair.nvlist_free(names)
"#;

fn run_program(stage: &Stage<'_>, lines: &str) -> Result<()> {
    let file = format!("/tmp/{}.py", stage.name);
    stage.source.write(&file, format!("{PROGRAM}source = '{}'\n{lines}\n", stage.from), 0o600)?;
    stage.here(&format!("python3 {file}; rm {file}")).map(drop)
}

/// Of one dataset.
const SNAPSHOTS: usize = 2000;

/// Below one dataset.
const DATASETS: usize = 200;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "F104",
        name: "f104-snapshots",
        title: "2,000 snapshots of one dataset",
        expected: "all of them arrive in their order; the next one as well",
        play: |stage| {
            stage.here("zfs create \"$from\"")?;
            run_program(stage, &format!("for i in range({SNAPSHOTS}): snapshot(f'{{source}}@s{{i}}')"))?;
            stage.replicate_for_long("")?.must_be_in_step()?;
            stage.write("last")?;
            let said = stage.catch_up("")?;
            let there = Stage::history(stage.source, &stage.from)?;
            let here = Stage::history(stage.target, &stage.to)?;
            ensure!(there == here, "the histories differ");
            seen![said, format!("{} snapshots, the same on both sides", here.len())]
        },
        ..Case::PLAIN
    },
    Case {
        number: "F104",
        name: "f104-datasets",
        title: "200 datasets below one",
        expected: "all of them arrive; the next snapshots as well",
        play: |stage| {
            stage.here("zfs create -o canmount=off \"$from\"")?;
            run_program(stage, &format!("for i in range({DATASETS}): create(f'{{source}}/d{{i}}')"))?;
            stage.here("zfs snapshot -r \"$from@one\"")?;
            stage.replicate_for_long("--recursive")?.must_be_in_step()?;
            stage.here("zfs snapshot -r \"$from@two\"")?;
            let said = stage.replicate_for_long("--recursive")?;
            said.must_be_in_step()?;
            let list = |dataset: &str| format!("zfs list -Hp -r -t snapshot -o guid \"{dataset}\" | sort");
            let (there, here) = (stage.here(&list("$from"))?, stage.there(&list("$to"))?);
            ensure!(there == here && here.lines().count() == 2 * (DATASETS + 1), "the snapshots differ");
            seen![said]
        },
        ..Case::PLAIN
    },
];
