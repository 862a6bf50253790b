//! `pillarbox top`: what every task does, again and again.
//!
//! | file        | part                                              |
//! |-------------|---------------------------------------------------|
//! | this one    | the verb: what is asked for, and when to look     |
//! | `rates.rs`  | two looks, and what happened between them         |
//! | `rows.rs`   | what is shown of each task and port               |
//! | `screen.rs` | the terminal                                      |

mod rates;
mod rows;
mod screen;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use pillarbox::Deadline;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::argument::span;
use crate::asking::Asking;
use crate::failure::Failure;
use crate::output::{self, Reader};
use crate::server::Place;
use crate::watch::{self, Depth};
use rates::{Interval, Looks};

/// How long the server may take.
const USUAL: Duration = Duration::from_secs(5);

/// The end of `--help`, before the exit codes.
pub(crate) const HELP: &str = "\
Every task that has names is asked what it has counted, once a second; one that does
not answer within 200 ms is shown with `?` (in a table only after 2 s, unless it is
stopped), one that is not to be seen with `-`. A task that only calls has no row:
`pillarbox tree` shows it with those it calls.

  IN/s, OUT/s  messages that came to its ports, and that it sent to other tasks
  CALL         how long calls of its own took: half of them, and 99 in 100, at most
  ANSWER       how long it took to answer calls of others, once it had read them
  QUEUED       messages that wait at its ports
  WAIT         senders that wait for a place
  IDLE         threads that wait for a message
  DROPS        messages that were dropped since it began
  MEM          its memory, and how much of that is shared: lanes, loans, regions

Times are taken of some calls only, and told to a quarter; where none was timed since the
last look they are of all that were. On a terminal: q ends, p shows ports, s sorts
otherwise, the arrows scroll. Without a terminal, or with --once, a table is printed.

Examples:
  pillarbox top
  pillarbox top --once --ports
  pillarbox top --json --every 5s | jq 'select(.waiting_senders > 0).names'

JSON, one object for each task and look: \"task\", \"pid\", \"uid\", \"names\", \"seen\",
  \"answered\", \"interval_ms\", \"in_per_s\", \"out_per_s\", \"bytes_in_per_s\",
  \"bytes_out_per_s\", \"call_p50_ns\", \"call_p99_ns\", \"answer_p50_ns\",
  \"answer_p99_ns\" (null: none was timed), \"queued\", \"waiting_senders\",
  \"waiting_receivers\", \"dropped\", \"refused\", \"links\", \"resident_bytes\",
  \"shared_bytes\", \"more_ports\", and \"ports\", each with \"port\", \"names\",
  \"in_per_s\", \"queued\", \"capacity\" (null: unbounded), \"senders\",
  \"waiting_senders\", \"waiting_receivers\", \"taken\", \"dropped\", \"refused\".";

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Messages that come
    #[default]
    In,
    /// Messages that wait
    Queued,
    /// Senders that wait
    Wait,
    /// The slowest answers
    Answer,
    /// Memory
    Mem,
    /// The number of the process
    Pid,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long from one look to the next
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = span)]
    every: Duration,
    /// Look twice, print what happened between, and end
    #[arg(long)]
    once: bool,
    /// Show ports, not tasks
    #[arg(long)]
    ports: bool,
    /// What comes first
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Print one object for each task and look
    #[arg(long)]
    pub(crate) json: bool,
}

/// The shortest time from one look to the next.
const LEAST: Duration = Duration::from_millis(100);

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let every = arguments.every.max(LEAST);
    let mut looks = Looks::default();
    looks.add(watch::everybody(place, Depth::Counts, Asking::of_a_list, Deadline::after(USUAL))?);
    let ended = ended()?;
    if !arguments.json && !arguments.once && output::is_terminal() {
        let view = screen::View { ports: arguments.ports, sort: arguments.sort, every };
        return screen::run(view, looks, place, &ended);
    }
    loop {
        wait(every, &ended);
        if ended.load(Ordering::Relaxed) {
            return Ok(ExitCode::SUCCESS);
        }
        let interval = looks.add(watch::everybody(
            place,
            Depth::Counts,
            Asking::of_a_list,
            Deadline::after(USUAL),
        )?);
        if print(&interval, arguments)? == Reader::Gone || arguments.once {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Set when somebody has asked us to end.
fn ended() -> Result<Arc<AtomicBool>, Failure> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ended))
            .map_err(|error| Failure::system("signals cannot be waited for", error))?;
    }
    Ok(ended)
}

/// Waits so long, or until the end is asked for.
fn wait(span: Duration, ended: &AtomicBool) {
    let end = Instant::now() + span;
    while !ended.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // sleep: from one look to the next there is nothing to be told of
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

fn print(interval: &Interval, arguments: &Arguments) -> Result<Reader, Failure> {
    if arguments.json {
        for object in rows::objects(interval, arguments.sort) {
            if output::json(&object)? == Reader::Gone {
                return Ok(Reader::Gone);
            }
        }
        return Ok(Reader::There);
    }
    let table = if arguments.ports {
        rows::ports_table(interval, arguments.sort)
    } else {
        rows::tasks_table(interval, arguments.sort)
    };
    let gap: &[u8] = if arguments.once { b"" } else { b"\n" };
    output::bytes(&[table.as_bytes(), gap])
}
