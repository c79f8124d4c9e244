//! What the pipeline costs: our pump between a sender and a receiver, against both joined by a bare pipe.
//!
//! `cargo bench -p zfs-sync-zfs` plays `zfs send` and `zfs receive` by this very program: the sender writes pieces of 128 KiB as `zfs`
//! does, the receiver reads them and throws them away. Each row is measured in turn with the bare pipe, so that whatever else the machine
//! does meets both. Ends with 1 when the path without compression reaches less than 95 % of the bare pipe. CPU seconds are those of this
//! process and of both programs; the difference is what the pump costs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark says what it measured")]

use std::{
    env, fs,
    io::{Read as _, Write as _},
    os::unix::fs::symlink,
    path::Path,
    process::{ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use zfs_sync_core::{flow::Compression, stream::StreamForm};
use zfs_sync_zfs::{
    command::{ReceiveCommand, SendCommand},
    pipeline::{Flow, ProgressCounter, Transfer, transfer},
    runner::LocalRunner,
};

const GIB: u64 = 1 << 30;
/// As libzfs writes and reads.
const PIECE: usize = 128 << 10;
const ROUNDS: usize = 5;
/// The share of the bare pipe that must be reached.
const TARGET: f64 = 0.95;

/// How both programs behave.
#[derive(Clone, Copy, Debug)]
struct Load {
    name: &'static str,
    bytes: u64,
    /// The sender pauses after so many bytes, and the receiver after as many.
    burst: Option<(u64, Duration)>,
}

/// As fast as both can.
const STEADY: Load = Load { name: "steady", bytes: 8 * GIB, burst: None };
/// A sender that reads for a while and a receiver that writes its transaction groups out, each without regard for the other.
const BURSTY: Load =
    Load { name: "bursty", bytes: GIB / 2, burst: Some((24 << 20, Duration::from_millis(60))) };

#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    seconds: f64,
    cpu: f64,
}

fn main() -> ExitCode {
    let program = env::args().next().unwrap_or_default();
    if Path::new(&program).file_name().is_some_and(|name| name == "zfs") {
        return play(env::args().nth(1).as_deref());
    }
    let directory = tempfile::tempdir().expect("a directory");
    let zfs = directory.path().join("zfs");
    symlink(env::current_exe().expect("this program has a path"), &zfs).expect("a link");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");

    let mut missed = false;
    println!(
        "{:<8} {:<14} {:>10} {:>12} {:>16} {:>10}",
        "load", "path", "MiB/s", "of bare", "CPU s per GiB", "pump"
    );
    for load in [STEADY, BURSTY] {
        let mut runs: [Vec<Measured>; 3] = Default::default();
        for _ in 0..ROUNDS {
            runs[0].push(bare(&zfs, load));
            runs[1].push(runtime.block_on(ours(directory.path(), load, 0)));
            runs[2].push(runtime.block_on(ours(directory.path(), load, Flow::BUFFER)));
        }
        let [bare, unbuffered, buffered] = runs.map(|runs| median(&runs));
        for (path, measured) in [("bare pipe", bare), ("no buffer", unbuffered), ("buffer", buffered)] {
            let gib = as_float(load.bytes) / as_float(GIB);
            let share = bare.seconds / measured.seconds;
            let cpu = measured.cpu / gib;
            println!(
                "{:<8} {path:<14} {:>10.0} {:>11.1}% {cpu:>16.3} {:>10.3}",
                load.name,
                gib * 1024.0 / measured.seconds,
                share * 100.0,
                cpu - bare.cpu / gib,
            );
            missed |= load.burst.is_none() && share < TARGET;
        }
    }
    if missed {
        eprintln!("less than {:.0} % of a bare pipe", TARGET * 100.0);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// By wall clock.
fn median(runs: &[Measured]) -> Measured {
    let mut runs = runs.to_vec();
    runs.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    runs[runs.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// This program as `zfs`.
fn play(word: Option<&str>) -> ExitCode {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let total = number("BENCH_BYTES").unwrap_or(0);
    let burst = number("BENCH_BURST").zip(number("BENCH_PAUSE_MS"));
    let mut piece = vec![0_u8; PIECE];
    let mut passed = 0_u64;
    let mut pause_at = burst.map(|(burst, _)| if word == Some("send") { burst } else { burst / 2 });
    loop {
        let moved = match word {
            Some("send") if passed >= total => return ExitCode::SUCCESS,
            Some("send") => std::io::stdout().lock().write(&piece),
            _ => std::io::stdin().lock().read(&mut piece),
        };
        match moved {
            Ok(0) => return ExitCode::SUCCESS,
            Ok(bytes) => passed += u64::try_from(bytes).unwrap_or(0),
            Err(_) => return ExitCode::FAILURE,
        }
        if let (Some((burst, millis)), Some(at)) = (burst, &mut pause_at)
            && passed >= *at
        {
            thread::sleep(Duration::from_millis(millis));
            *at += burst;
        }
    }
}

fn settings(load: Load) -> Vec<(&'static str, String)> {
    let mut settings = vec![("BENCH_BYTES", load.bytes.to_string())];
    if let Some((burst, pause)) = load.burst {
        settings.push(("BENCH_BURST", burst.to_string()));
        settings.push(("BENCH_PAUSE_MS", pause.as_millis().to_string()));
    }
    settings
}

/// `source | sink`.
#[expect(clippy::disallowed_methods, reason = "what the pipeline is compared with")]
fn bare(zfs: &Path, load: Load) -> Measured {
    let begun = (Instant::now(), cpu_seconds());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let start = |word: &str, stdin: Stdio, stdout: Stdio| {
        let mut command = std::process::Command::new(zfs);
        command.arg(word).envs(settings(load)).stdin(stdin).stdout(stdout);
        command.spawn().expect("this program starts")
    };
    let mut sender = start("send", Stdio::null(), writer.into());
    let mut receiver = start("receive", reader.into(), Stdio::null());
    assert!(sender.wait().expect("it ends").success() && receiver.wait().expect("it ends").success());
    since(begun)
}

async fn ours(directory: &Path, load: Load, buffer: usize) -> Measured {
    let script = directory.join("scripts");
    fs::create_dir_all(&script).expect("a directory");
    // A runner has no words for our settings, so that a script says them.
    let runner = runner(&script, directory, load);
    let begun = (Instant::now(), cpu_seconds());
    let flow = Flow { buffer, compression: Compression::Off, ..Flow::default() };
    let send = SendCommand::Full { to: "tank/a@x".parse().expect("a name"), form: StreamForm::WHOLE };
    let receive = ReceiveCommand::further("backup/a".parse().expect("a name"));
    let request = Transfer {
        source: &runner,
        send: &send,
        target: &runner,
        receive: &receive,
        flow: &flow,
        small: false,
    };
    let done = transfer(request, &ProgressCounter::new(), &CancellationToken::new()).await;
    assert_eq!(done.expect("it ends well").bytes, load.bytes);
    since(begun)
}

fn runner(script: &Path, directory: &Path, load: Load) -> LocalRunner {
    use std::os::unix::fs::PermissionsExt as _;

    let words: Vec<String> =
        settings(load).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let file = script.join("zfs");
    let text = format!("#!/bin/sh\nexec env {} {}/zfs \"$1\"\n", words.join(" "), directory.display());
    fs::write(&file, text).expect("a script");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a script");
    LocalRunner::new().searching_first(script)
}

fn since((begun, cpu): (Instant, f64)) -> Measured {
    Measured { seconds: begun.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu }
}

/// CPU seconds of this process and of those it has waited for.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses: utime, stime, cutime, cstime are the fields 14 to 17, in hundredths of a second.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(4).filter_map(|tick| tick.parse::<u64>().ok()).sum();
    as_float(ticks) / 100.0
}
