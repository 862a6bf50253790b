//! What everybody said, heard and received in one run, for who looks for the cause of a
//! failure.

use abi::frame::Kind;

use crate::lane::Frame;
use crate::moving::number_of;
use crate::spilled::Late;
use crate::task::{Mail, RightNumber, Task, TaskNumber};
use crate::world::World;

impl World {
    /// Notes a line, where somebody wants to read it.
    pub(crate) fn tell(&mut self, line: impl FnOnce(&World) -> String) {
        if self.trace.is_none() {
            return;
        }
        let line = format!("{:5} {}", self.figures.steps, line(self));
        self.trace.get_or_insert_default().push(line);
    }

    /// Notes what becomes of a frame between two tasks.
    pub(crate) fn tell_frame(
        &mut self,
        what: &str,
        (from, to): (TaskNumber, TaskNumber),
        frame: &Frame,
    ) {
        self.tell(|_| {
            let header = &frame.header;
            let message = match header.kind {
                Kind::Message => format!(" message {}", number_of(frame)),
                _ => String::new(),
            };
            let rights: Vec<_> = frame.references().collect();
            format!(
                "{what} {from} to {to}: {:?} slot {}.{} tag {} id {} flags {:#x}{message} {rights:?}",
                header.kind, header.slot.index, header.slot.generation, header.tag, header.id,
                header.flags
            )
        });
    }

    /// Notes what every living task has in its ports and beside them.
    pub(crate) fn tell_ports(&mut self) {
        for me in 0..self.tasks.len() {
            let Some(task) = self.tasks.get(me).filter(|task| self.trace.is_some() && task.alive)
            else {
                continue;
            };
            let mut lines = vec![format!("task {me} has {:?}", task.space)];
            for (&port, state) in &task.ports {
                let to = state.gone.as_ref().map(|gone| gone.to);
                let mails: Vec<_> = state.queue.iter().map(|mail| mail_of(task, mail)).collect();
                lines.push(format!(
                    "  port {port}, first {}, alive {}, gone to {to:?}, {:?}, receive {}: {}",
                    self.first_name(port),
                    state.alive,
                    state.options.capacity,
                    state.receive,
                    mails.join(", ")
                ));
            }
            for (peer, link) in &task.links {
                let held = link.held.iter().map(|held| match &held.what {
                    Late::Message(_, _, mail) => {
                        format!("{} for port {}", mail_of(task, mail), held.port)
                    }
                    Late::Word(frame) => format!("{:?} for port {}", frame.header.kind, held.port),
                });
                let held: Vec<_> = held.collect();
                if !held.is_empty() {
                    lines.push(format!("  held of {peer}: {}", held.join(", ")));
                }
            }
            for waiting in &task.waiting {
                let over = task.rights.get(&waiting.out.over);
                lines.push(format!("  waits to send over {over:?}: {:?}", waiting.out));
            }
            for line in lines {
                self.tell(|_| line);
            }
        }
    }
}

/// A message with what its rights are.
fn mail_of(task: &Task, mail: &Mail) -> String {
    let right = |right: &RightNumber| match task.rights.get(right) {
        Some(known) => format!("{right} {known:?}"),
        None => format!("{right} unknown"),
    };
    let rights: Vec<_> = mail.rights.iter().map(right).collect();
    let kind = if mail.pulse.is_some() { "pulse" } else { "message" };
    format!("{kind} {} [{}]", mail.number, rights.join(", "))
}
