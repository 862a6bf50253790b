//! What a caller wants is what every holder of its reply right reads (I7), and
//! whoever asked to be told of a change is told (I6).

use abi::right::Kind as RightKind;
use rights::reply::ReplyState;

use crate::task::TaskNumber;
use crate::world::{Violation, World};

impl World {
    pub(super) fn replies_agree(&self) -> Result<(), Violation> {
        for (me, task) in self.tasks.iter().enumerate() {
            if !task.honest() || !task.alive {
                continue;
            }
            let shared = self.sharing_agrees(me);
            shared.map_err(|what| Violation { invariant: "I4", what })?;
            if task.calls.is_empty() {
                continue;
            }
            for (&peer, link) in task.links.iter().filter(|(_, link)| !link.ended) {
                for (slot, export) in link.exports.iter() {
                    if export.kind != RightKind::SendOnce || !export.port.is_call() {
                        continue;
                    }
                    let promise = export.port.promise;
                    let wants = task.calls.get(&promise).map(|call| call.state());
                    let board = self.memory.get(&(me, peer)).map(|out| out.board.reply(slot));
                    if wants.is_some() && board != wants {
                        let what = format!(
                            "task {peer} reads {board:?} of call {promise} of task {me}, \
                             which wants {wants:?}"
                        );
                        return Err(Violation { invariant: "I7", what });
                    }
                }
            }
        }
        Ok(())
    }

    /// The world has come to rest: nobody waits for news that is there.
    pub(crate) fn everybody_was_told(&mut self, me: TaskNumber) {
        let watched = self.tasks[me].watched.keys().copied();
        let mut untold = watched.filter(|&right| self.tasks[me].rights.contains_key(&right));
        if let Some(right) = untold.find(|&right| self.reply_state(me, right) != ReplyState::Wanted)
        {
            let state = self.reply_state(me, right);
            let what = format!("task {me} was not told that of right {right} is {state:?}");
            self.violated("I6", what);
        }
    }
}
