//! `peers`: the rows of the benchmark, with what one would pick instead beside them.
//!
//! | module     | peers                                                         |
//! |------------|---------------------------------------------------------------|
//! | `channels` | between threads: crossbeam, flume, kanal, tokio               |
//! | `erlang`   | Erlang, between processes of a node                           |
//! | `iceoryx`  | iceoryx2: publish and subscribe, polled or woken by its events |
//! | `lends`    | iceoryx2 where memory is lent                                 |
//! | `servo`    | ipc-channel                                                   |
//! | `kernel`   | pipes, UNIX sockets, eventfd                                  |
//! | `posix`    | POSIX message queues                                          |
//! | `dbus`     | zbus, from process to process and through dbus-daemon         |
//! | `zmq`      | zeromq                                                        |
//! | `rpc`      | tarpc                                                         |
//! | `capnp`    | Cap'n Proto                                                   |
//! | `on_tokio` | ours, driven by tokio; tokio's UNIX socket                    |
//! | `calls`    | what those that answer calls have in common                   |
//!
//! The channels and iceoryx2 always run, the others with `--peers`. Each is set up as
//! its authors recommend for the row; a peer without what a row is about (rights,
//! calls) is not in it.
#![forbid(unsafe_code)]

mod calls;
mod capnp;
mod channels;
mod dbus;
mod erlang;
mod iceoryx;
mod kernel;
mod lends;
mod on_tokio;
mod posix;
mod rpc;
mod servo;
mod zmq;

/// What `capnp compile -orust schema/echo.capnp` makes of the schema, with the compiler
/// of Cap'n Proto and the plugin that the crate `capnpc` installs.
#[allow(clippy::all, unused_qualifications, reason = "made by a program")]
mod echo_capnp;

use std::process::ExitCode;

use rows::{Part, Peer};

// Who else runs.
#[derive(Debug, clap::Args)]
struct Company {
    /// With every peer there is.
    #[arg(long)]
    peers: bool,
}

fn main() -> ExitCode {
    let parts: Vec<Part> = [
        iceoryx::PARTS,
        lends::PARTS,
        servo::PARTS,
        kernel::PARTS,
        posix::PARTS,
        dbus::PARTS,
        zmq::PARTS,
        rpc::PARTS,
        capnp::PARTS,
        on_tokio::PARTS,
    ]
    .concat();
    let command = clap::Command::new("peers").version(env!("CARGO_PKG_VERSION"));
    let command = command.about("Measures the rows of the benchmark beside peers.");
    rows::program(command, rows::PLAN, &parts, |company: Company| {
        let mut peers: Vec<Peer> = [
            channels::PEERS,
            erlang::PEERS,
            iceoryx::PEERS,
            lends::PEERS,
            servo::PEERS,
            kernel::PEERS,
            posix::PEERS,
            dbus::PEERS,
            zmq::PEERS,
            rpc::PEERS,
            capnp::PEERS,
            on_tokio::PEERS,
        ]
        .concat();
        peers.retain(|peer| peer.always || company.peers);
        peers
    })
}
