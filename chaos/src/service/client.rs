//! A client: calls and messages without an answer, each with a number of its own.

use std::time::Duration;

use pillarbox::{Deadline, Message, PendingCall, SendRight, Task, bootstrap};

use super::{GO_ON, QUEUE};
use crate::chance::Chance;

/// No wait of a client is as long: killed, started again and caught up takes less.
const LONG: Duration = Duration::from_secs(50);

/// What one client sends.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    number: u64,
    #[arg(long)]
    seed: u64,
}

/// Sends until the parent has seen enough.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let told = |what: &str, error: &dyn std::fmt::Display| {
        format!("client {}: {what}: {error}", options.number)
    };
    let deadline = || Deadline::after(LONG);
    let names = bootstrap(deadline()).map_err(|error| told("no server", &error))?;
    let right = names.look_up(QUEUE, deadline()).map_err(|error| told("no queue", &error))?;
    let task = Task::current().map_err(|error| told("no task", &error))?;
    let go_on = task.inherited(GO_ON, deadline()).and_then(|right| right.into_send().ok());
    let go_on = go_on.ok_or("a client was given no right")?;
    let mut chance = Chance::of(options.seed, 100 + options.number);
    let (mut next, mut calls, mut messages) = (0_u64, 0_u64, 0_u64);
    loop {
        let mut pending = Vec::new();
        for _ in 0..1 + chance.below(24) {
            let body = format!("{} {next}", options.number);
            if chance.one_in(4) {
                right
                    .send(Message::new(body), deadline())
                    .map_err(|error| told("a message was not accepted", &error))?;
                messages += 1;
            } else {
                let call = right
                    .start_call(Message::new(body.clone()), deadline())
                    .map_err(|error| told("a call was not accepted", &error))?;
                pending.push((call, body));
                calls += 1;
            }
            next += 1;
        }
        for (call, body) in pending {
            answered(call, &body).map_err(|what| format!("client {}: {what}", options.number))?;
        }
        if !ask(&go_on, &format!("{} {calls} {messages}", options.number))? {
            return Ok(());
        }
    }
}

fn answered(mut call: PendingCall, body: &str) -> Result<(), String> {
    let answer = call
        .wait(Deadline::after(LONG))
        .map_err(|error| format!("the call {body} was not answered: {error}"))?;
    if answer.body() != body.as_bytes() {
        let said = String::from_utf8_lossy(answer.body()).into_owned();
        return Err(format!("the call {body} was answered with {said}"));
    }
    Ok(())
}

fn ask(go_on: &SendRight, sent: &str) -> Result<bool, String> {
    let answer = go_on
        .call(Message::new(sent), Deadline::after(LONG))
        .map_err(|error| format!("the parent does not answer: {error}"))?;
    Ok(answer.body() == b"go")
}
