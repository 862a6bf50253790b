//! A counter: a service that counts parts of a file.
//!
//! It knows nothing of the file, and keeps nothing between two parts: any
//! counter can count any part, so that one that is killed is easily replaced.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pillarbox::{Bootstrap, Capacity, Deadline, Message, ReceiveRight, Task};

use super::ask::{self, COUNT, ECHO, HALF, WHO};
use super::clock::patience;
use super::count::Counter;
use super::keys::Keys;

/// How long a counter pauses that was asked to, unless it is killed.
const PAUSE: Duration = Duration::from_secs(10);

/// Places in the mailbox. The client never takes more than two, but with four
/// for each that may send, nobody has to ask for one first.
const PLACES: u32 = 64;

/// Serves until the parent is gone.
pub(super) fn run(name: &str) -> Result<ExitCode> {
    let (task, server) = ask::join_the_tree()?;
    let inbox = task.port(Capacity::Bounded(PLACES));
    server.right().notify_dead(inbox.make_send_once()?)?;
    server.check_in(name, &inbox, patience())?;
    serve(&task, &server, &inbox)?;
    Ok(ExitCode::SUCCESS)
}

fn serve(task: &Task, server: &Bootstrap, inbox: &ReceiveRight) -> Result<()> {
    loop {
        let mut request = inbox.receive(Deadline::Never)?;
        if ask::parent_is_gone(&request) {
            return Ok(());
        }
        match request.id() {
            COUNT => {
                let counted = count(&request, || Ok(()));
                answer_bytes(&mut request, counted);
            }
            HALF => {
                let told = request.take_rights().pop();
                let counted = count(&request, || {
                    let told = told.context("nobody is to be told")?.into_send_once();
                    let told = told.ok().context("the right is of another kind")?;
                    told.send(Message::new(""), patience())?;
                    pause(task, server)
                });
                answer_bytes(&mut request, counted);
            }
            ECHO => {
                let same = Ok(request.body().to_vec());
                answer_bytes(&mut request, same);
            }
            WHO => ask::answer_who(task, &mut request),
            // Dropped without an answer, which tells whoever asked.
            _ => {}
        }
    }
}

/// Counts the part in `request`; half-way calls `between`.
fn count(request: &Message, between: impl FnOnce() -> Result<()>) -> Result<Vec<u8>> {
    ensure!(!request.is_body_lost(), "there was no room to map the part");
    let (keys, part) = request.body().split_first_chunk().context("the keys are missing")?;
    let mut counter = Counter::new(&Keys::from_bytes(*keys));
    let (first, second) = part.split_at(part.len() / 2);
    counter.push(first)?;
    between()?;
    counter.push(second)?;
    Ok(counter.finish().encode())
}

/// Sleeps for [`PAUSE`], or until the parent is gone.
fn pause(task: &Task, server: &Bootstrap) -> Result<()> {
    let news = task.port(Capacity::Bounded(1));
    server.right().notify_dead(news.make_send_once()?)?;
    // Whether news came or not: it is over.
    let _ = news.receive(Deadline::after(PAUSE));
    Ok(())
}

fn answer_bytes(request: &mut Message, found: Result<Vec<u8>>) {
    let message = match found {
        Ok(body) => Message::new(body),
        Err(error) => Message::new(format!("{error:#}")).with_id(ask::REFUSED),
    };
    // Whoever asked may have died since: then nobody misses the answer.
    let _ = request.reply(message, patience());
}
