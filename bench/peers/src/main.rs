//! `peers`: the rows of the benchmark, with what one would pick instead beside them.
//!
//! | module     | peers                                                         |
//! |------------|---------------------------------------------------------------|
//! | `channels` | between threads: crossbeam, flume, kanal, tokio               |
//! | `iceoryx`  | iceoryx2: publish and subscribe, polled or woken by its events |
//! | `lends`    | iceoryx2 where memory is lent                                 |
//! | `servo`    | ipc-channel                                                   |
//! | `kernel`   | pipes and UNIX sockets                                        |
//!
//! The channels and iceoryx2 always run, the others with `--peers`. Each is set up as
//! its authors recommend for the row; a peer without what a row is about (rights,
//! calls) is not in it.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that reports to its caller"
)]

mod channels;
mod iceoryx;
mod kernel;
mod lends;
mod servo;

use std::process::ExitCode;

use clap::Parser;
use rows::{Effort, Part, Peer, Row, command};

/// Measures the rows of the benchmark beside peers.
#[derive(Debug, Parser)]
#[command(name = "peers", version)]
struct Line {
    /// Short slices: enough for a figure.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// As long as it takes.
    #[arg(long)]
    full: bool,
    /// With every peer there is.
    #[arg(long)]
    peers: bool,
    #[command(flatten)]
    options: command::Options,
}

fn main() -> ExitCode {
    let parts: Vec<Part> = [iceoryx::PARTS, lends::PARTS, servo::PARTS, kernel::PARTS].concat();
    if let Some(ended) = rows::act(&parts) {
        return match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("a part of the benchmark: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let line = Line::parse();
    let effort = match (line.quick, line.full) {
        (true, _) => Effort::QUICK,
        (_, true) => Effort::FULL,
        _ => Effort::USUAL,
    };
    let mut peers: Vec<Peer> =
        [channels::PEERS, iceoryx::PEERS, lends::PEERS, servo::PEERS, kernel::PEERS].concat();
    peers.retain(|peer| peer.always || line.peers);
    let begun = |row: &Row, at, of| eprintln!("{at} of {of}: {}", row.name);
    match command::run(&line.options, &effort, &peers, begun) {
        Ok(outcome) => {
            print!("{}", outcome.told());
            ExitCode::from(u8::from(!outcome.failed.is_empty()))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
