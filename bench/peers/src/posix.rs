//! POSIX message queues: a queue each way, as deep as an ordinary user may make one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;
use rows::clock::in_batches;
use rows::{Casting, Child, Contender, Effort, Part, Peer, Row, Side, Slice, Stage};

use crate::calls::{BODY, Caller, peer};

const ECHOES: &str = "posix-echo";
const DRAINS: &str = "posix-drain";

/// `/proc/sys/fs/mqueue/msg_max` where nobody has changed it.
const PLACES: i64 = 10;

/// The priority of messages that nobody answers. The one that ends a slice has a lower
/// one, so it comes after all of them.
const FLOWS: u32 = 1;

/// Two queues and who reads the other's end of them.
struct Queues {
    to: MqdT,
    from: MqdT,
    server: Child,
}

fn made(name: &str) -> Result<MqdT> {
    let flags = MQ_OFlag::O_RDWR | MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_CLOEXEC;
    let attributes = MqAttr::new(0, PLACES, BODY.len() as i64, 0);
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    mq_open(name, flags, mode, Some(&attributes)).with_context(|| format!("no queue {name}"))
}

impl Queues {
    fn open(row: &Row, part: &'static str) -> Result<Queues> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = |way: &str| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            format!("/bench-{}-{number}-{way}", std::process::id())
        };
        let (there, back) = (name("there"), name("back"));
        let to = made(&there)?;
        let from = made(&back).inspect_err(|_| {
            let _ = mq_unlink(there.as_str());
        })?;
        let casting = Casting::of(part, row.place).argument(&there).argument(&back);
        let opened = casting.start().and_then(|mut server| {
            server.line.hear().context("the other end was not opened")?;
            Ok(server)
        });
        // Both have them open; nothing is left whoever dies now.
        mq_unlink(there.as_str())?;
        mq_unlink(back.as_str())?;
        Ok(Queues { to, from, server: opened? })
    }
}

/// The child's ends: what to read, what to write.
fn passed(stage: &mut Stage) -> Result<(MqdT, MqdT)> {
    stage.take_place()?;
    let open = |index: usize, flags| {
        let name = stage.arguments.get(index).context("a queue has no name")?;
        Ok::<_, anyhow::Error>(mq_open(name.as_str(), flags, Mode::empty(), None)?)
    };
    let (from, to) = (open(0, MQ_OFlag::O_RDONLY)?, open(1, MQ_OFlag::O_WRONLY)?);
    stage.line.say(1)?;
    Ok((from, to))
}

impl Caller for Queues {
    fn meet(row: &Row) -> Result<Self> {
        Queues::open(row, ECHOES)
    }

    fn call(&mut self) -> Result<()> {
        let mut body = BODY;
        mq_send(&self.to, &body, 0)?;
        mq_receive(&self.from, &mut body, &mut 0)?;
        ensure!(body == BODY, "another body came back");
        Ok(())
    }

    fn server(&self) -> &Child {
        &self.server
    }
}

fn echo(stage: &mut Stage) -> Result<()> {
    let (from, to) = passed(stage)?;
    let mut body = BODY;
    loop {
        let bytes = mq_receive(&from, &mut body, &mut 0)?;
        mq_send(&to, &body[..bytes], 0)?;
    }
}

struct Flow(Queues);

impl Contender for Flow {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Flow(Queues { to, from, .. }) = self;
        in_batches(
            span,
            1,
            || Ok(mq_send(to, &BODY, FLOWS)?),
            || {
                mq_send(to, &BODY, 0)?;
                mq_receive(from, &mut [0; 64], &mut 0)?;
                Ok(())
            },
        )
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0.server]
    }
}

fn drain(stage: &mut Stage) -> Result<()> {
    let (from, to) = passed(stage)?;
    let mut body = BODY;
    loop {
        let mut priority = 0;
        mq_receive(&from, &mut body, &mut priority)?;
        if priority != FLOWS {
            mq_send(&to, &body, 0)?;
        }
    }
}

fn flow(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Flow(Queues::open(row, DRAINS)?)))
}

const NAME: &str = "POSIX queue";

pub(crate) const PEERS: &[Peer] = &[
    peer::<Queues>(NAME, "rtt-awake"),
    peer::<Queues>(NAME, "call-asleep-two-cores"),
    peer::<Queues>(NAME, "call-asleep-one-core"),
    Peer { name: NAME, row: "oneway-64", side: Side::Peer, always: false, make: flow },
];

pub(crate) const PARTS: &[Part] =
    &[Part { name: ECHOES, act: echo }, Part { name: DRAINS, act: drain }];
