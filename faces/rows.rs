//! How the rows of both faces are measured: with a bootstrap server of the run's own.

use std::process::ExitCode;

use pillarbox::Task;
use rows::{Part, Plan, Row};

// Nothing but rows.
#[derive(Debug, clap::Args)]
struct Alone {}

/// Measures these rows of a face, whose server is `part`.
pub(crate) fn measured(
    face: &'static str,
    about: &'static str,
    rows: &'static [Row],
    part: Part,
) -> ExitCode {
    // Servers and clients find each other at a server of this run alone.
    let names = if rows::acts() { None } else { Some(names(face)) };
    let command = clap::Command::new(face).version(env!("CARGO_PKG_VERSION")).about(about);
    let plan = Plan { rows, absent: &[] };
    let ended = match names {
        Some(Err(_)) => ExitCode::FAILURE,
        _ => rows::program(command, plan, &[part], |Alone {}| Vec::new()),
    };
    if let Some(Ok(serving)) = names {
        let _ = serving.stop();
    }
    ended
}

/// A bootstrap server, known to this run and to its children.
fn names(face: &str) -> anyhow::Result<boot::Serving> {
    let socket = std::env::temp_dir().join(format!("{face}-{}", std::process::id()));
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("PILLARBOX_SOCKET", &socket) };
    Ok(boot::Server::new(&Task::new())?.listen(&socket)?.start()?)
}
