//! `zfs-sync`: the command line, the witness and the agent in one program.

mod cli;
mod commands;
mod credential;
mod demo;
mod failure;
mod logging;
mod printer;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::{Parser as _, error::ErrorKind};
use zfs_sync_api::codes::ErrorCode;

use crate::{cli::Args, commands::Context, failure::Failure};

fn main() -> ExitCode {
    let arguments = cli::expand_program_name(std::env::args_os());
    let args = match Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(error) => return usage(&error, &arguments),
    };
    let context = Context::new(&args.global);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            context
                .printer
                .fail(&Failure::new(ErrorCode::Internal, "threads can not be started").cause(&error));
            return ExitCode::FAILURE;
        }
    };
    // Boxed, so that the future of the largest command does not stand on the main thread's stack.
    let ended = runtime.block_on(Box::pin(commands::run(&context, args.command)));
    // What still blocks now (a read of standard input, say) must not keep the program from ending.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            context.printer.fail(&failure);
            ExitCode::from(failure.exit())
        }
    }
}

/// Help, the version, or what is wrong with the words.
fn usage(error: &clap::Error, arguments: &[std::ffi::OsString]) -> ExitCode {
    let answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !answer && wants_json(arguments) {
        let text = error.render().to_string();
        let detail =
            text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default().trim().to_owned();
        let failure = Failure::new(ErrorCode::ValueInvalid, detail).unchanged();
        commands::talk_json(&failure);
        return ExitCode::from(2);
    }
    // Nobody is left to tell when the stream is closed.
    let _ = error.print();
    if answer { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// True when the words, wrong as they are, ask for JSON.
fn wants_json(arguments: &[std::ffi::OsString]) -> bool {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let pair = words.windows(2).any(|pair| matches!(&*pair[0], "-o" | "--output") && pair[1] == "json");
    pair || words.iter().any(|word| matches!(&**word, "-ojson" | "--output=json"))
}
