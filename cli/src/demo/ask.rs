//! What the processes of the demo ask of one another.
//!
//! A message's id says what is asked. Parts and their results travel as they
//! are; everything else is a small JSON text, since nothing else needs to be
//! fast and anybody can read it in a trace.
//!
//! | id            | asked of  | body                        | answer             |
//! |---------------|-----------|-----------------------------|--------------------|
//! | [`COUNT`]     | a counter | the keys, then the part     | the part's result  |
//! | [`HALF`]      | a counter | the same, and a right       | nothing, if it is killed in time |
//! | [`ECHO`]      | a counter | anything                    | the same           |
//! | [`WHO`]       | a service | nothing                     | [`Asker`]          |
//! | [`VISIT`]     | a guest   | nothing, and a right        | [`Visit`]          |
//! | [`KILL`]      | the parent | the pid                    | [`Kill`]           |
//! | [`FORGE`]     | the parent | [`Target`]                 | [`Forgery`]        |
//! | [`MEMORY`]    | the parent | nothing                    | [`Memory`]         |

use anyhow::{Context, Result, ensure};
use pillarbox::bootstrap::BOOTSTRAP;
use pillarbox::{Bootstrap, Identity, Message, Right, SendRight, Task};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::clock::patience;

/// Count this part.
pub(super) const COUNT: i32 = 1;
/// Count half of this part, say so on the right in the message, and pause.
pub(super) const HALF: i32 = 2;
/// Send this back.
pub(super) const ECHO: i32 = 3;
/// Who am I, by the kernel's word to you?
pub(super) const WHO: i32 = 4;
/// Use the right in this message.
pub(super) const VISIT: i32 = 5;
/// Kill this child of yours.
pub(super) const KILL: i32 = 6;
/// Have a stranger try to forge a right.
pub(super) const FORGE: i32 = 7;
/// How much memory do we all have?
pub(super) const MEMORY: i32 = 8;

/// The id of an answer that is none: what was asked is not done.
pub(super) const REFUSED: i32 = -1;

/// The longest answer in JSON that anybody has to give.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The name of the right by which the client asks its parent.
pub(super) const PARENT: &str = "parent";

/// The name of the service that a right is given to.
pub(super) const GUEST_NAME: &str = "demo.guest";

/// The names of the services that count.
pub(super) fn counter_names() -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    (1..=cores.clamp(2, 4)).map(|number| format!("demo.count.{number}")).collect()
}

/// Who asked, as the one asked sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asker {
    pub(super) pid: i32,
    /// How many tasks the one asked is linked with.
    pub(super) links: usize,
}

/// What a guest found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Visit {
    /// Who answered the guest, by the kernel's word to the guest.
    pub(super) answered_by: i32,
    /// Who had asked, by the kernel's word to the one who answered.
    pub(super) asked_by: i32,
    pub(super) first_ns: u64,
    pub(super) second_ns: u64,
}

/// How a child was killed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kill {
    pub(super) resident_bytes: u64,
    /// On [`super::clock`]: just before the signal was sent.
    pub(super) sent_ns: u64,
    /// When the child's pidfd became readable.
    pub(super) dead_ns: u64,
}

/// Whom a forger shall deceive, and what it is told for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Target {
    /// The process whose right it wants.
    pub(super) pid: i32,
    /// The task that has given such a right to somebody else.
    pub(super) giver_process: u64,
    pub(super) giver_number: u64,
    /// Where the tickets begin that this giver has used lately.
    pub(super) first_ticket: u64,
}

/// What became of a forger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Forgery {
    /// The forger's own pid.
    pub(super) pid: u32,
    /// Who listened at the door, by the kernel's word to the forger.
    pub(super) door_of: i32,
    pub(super) tries: u32,
    pub(super) refused: u32,
    /// What the refusals said, without repetition.
    pub(super) reasons: Vec<String>,
    /// The median span from the connection to the refusal.
    pub(super) median_ns: u64,
}

/// How much memory the whole tree had resident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The most at the moment of a sample.
    pub(super) peak_bytes: u64,
    /// The sum of what each process had at its own worst moment.
    pub(super) sum_of_peaks_bytes: u64,
    pub(super) processes: usize,
    pub(super) samples: u64,
}

/// Asks, and reads the answer.
pub(super) fn ask<A: DeserializeOwned>(
    right: &SendRight,
    question: Message,
) -> Result<(A, Identity)> {
    let answer = right.call(question, patience())?;
    let sender = answer.sender().context("an answer has a sender")?;
    ensure!(answer.id() != REFUSED, "{}", String::from_utf8_lossy(answer.body()));
    ensure!(answer.body().len() <= ANSWER_BYTES_MAX, "the answer is too long");
    Ok((serde_json::from_slice(answer.body())?, sender))
}

/// A question with a body in JSON.
pub(super) fn question(id: i32, body: &impl Serialize) -> Result<Message> {
    Ok(Message::new(serde_json::to_vec(body)?).with_id(id))
}

/// Answers in JSON, or says why not.
///
/// Whoever asked may have died since: then nobody misses the answer.
pub(super) fn answer(request: &mut Message, found: Result<impl Serialize>) {
    let found = found.and_then(|found| Ok(serde_json::to_vec(&found)?));
    let message = match found {
        Ok(body) => Message::new(body),
        Err(error) => Message::new(format!("{error:#}")).with_id(REFUSED),
    };
    let _ = request.reply(message, patience());
}

/// The task of a child, and the bootstrap right its parent gave it.
///
/// Only the parent's: a server that the user runs is none of the demo's.
pub(super) fn join_the_tree() -> Result<(Task, Bootstrap)> {
    let task = Task::current()?;
    let right = inherited(&task, BOOTSTRAP)?;
    Ok((task, Bootstrap::new(right)))
}

/// A send right that the parent gave this process.
pub(super) fn inherited(task: &Task, name: &str) -> Result<SendRight> {
    task.inherited(name, patience())
        .map(Right::into_send)
        .and_then(Result::ok)
        .context("this role is the demo's own: run `pillarbox demo FILE`")
}

/// Whether this is the library's word, not a peer's, that the parent is gone.
pub(super) fn parent_is_gone(message: &Message) -> bool {
    message.notification().is_some() && message.sender().is_none()
}

/// Tells whoever asks [`WHO`].
pub(super) fn answer_who(task: &Task, request: &mut Message) {
    let asker = request.sender().context("a request has a sender");
    let links = task.peers().len();
    answer(request, asker.map(|asker| Asker { pid: asker.pid, links }));
}
