//! zeromq, the one in Rust: requests and replies, and pushing, over its `ipc` transport,
//! on a runtime of one thread at either end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rows::clock::in_batches;
use rows::{Casting, Child, Contender, Effort, Part, Peer, Row, Side, Slice, Stage};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::runtime::Runtime;
use zeromq::{
    PullSocket, PushSocket, RepSocket, ReqSocket, Socket, SocketRecv, SocketSend, ZmqMessage,
};

use crate::calls::{BODY, Caller, peer, runtime};

const ECHOES: &str = "zeromq-echo";
const DRAINS: &str = "zeromq-drain";

/// A body of one byte ends a slice of messages that nobody answers.
const LAST: [u8; 1] = [1];

/// Messages that are pushed between two looks at the clock.
const BATCH: u64 = 32;

/// Where a server listens; the file goes when this is dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench-zeromq-{}-{number}", std::process::id());
        Place(std::env::temp_dir().join(name))
    }

    fn endpoint(&self) -> String {
        format!("ipc://{}", self.0.display())
    }

    /// A child that acts `part` and listens there.
    fn server(&self, row: &Row, part: &'static str) -> Result<Child> {
        let casting = Casting::of(part, row.place).argument(self.endpoint());
        let mut server = casting.start()?;
        server.line.hear().context("the server does not listen")?;
        Ok(server)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The server may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What a server is told: where to listen.
fn endpoint(stage: &Stage) -> Result<String> {
    stage.arguments.first().cloned().context("nowhere to listen")
}

struct Requests {
    runtime: Runtime,
    socket: ReqSocket,
    server: Child,
    _place: Place,
}

impl Caller for Requests {
    fn meet(row: &Row) -> Result<Self> {
        let place = Place::new();
        let server = place.server(row, ECHOES)?;
        let runtime = runtime()?;
        let mut socket = ReqSocket::new();
        runtime.block_on(socket.connect(&place.endpoint()))?;
        Ok(Requests { runtime, socket, server, _place: place })
    }

    fn call(&mut self) -> Result<()> {
        let Requests { runtime, socket, .. } = self;
        let answer = runtime.block_on(async {
            socket.send(ZmqMessage::from(BODY.to_vec())).await?;
            socket.recv().await
        })?;
        ensure!(answer.get(0).is_some_and(|body| **body == BODY), "another body came back");
        Ok(())
    }

    fn server(&self) -> &Child {
        &self.server
    }
}

fn echo(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let endpoint = endpoint(stage)?;
    runtime()?.block_on(async {
        let mut socket = RepSocket::new();
        socket.bind(&endpoint).await?;
        stage.line.say(1)?;
        loop {
            let request = socket.recv().await?;
            socket.send(request).await?;
        }
    })
}

struct Pushes {
    runtime: Runtime,
    socket: PushSocket,
    server: Child,
    _place: Place,
}

impl Pushes {
    fn meet(row: &Row) -> Result<Self> {
        let place = Place::new();
        let server = place.server(row, DRAINS)?;
        let runtime = runtime()?;
        let mut socket = PushSocket::new();
        runtime.block_on(socket.connect(&place.endpoint()))?;
        Ok(Pushes { runtime, socket, server, _place: place })
    }
}

impl Contender for Pushes {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Pushes { runtime, socket, server, .. } = self;
        let mut slice = in_batches(
            span,
            BATCH,
            || {
                runtime.block_on(async {
                    for _ in 0..BATCH {
                        socket.send(ZmqMessage::from(BODY.to_vec())).await?;
                    }
                    Ok(())
                })
            },
            || Ok(()),
        )?;
        let start = std::time::Instant::now();
        runtime.block_on(async {
            socket.send(ZmqMessage::from(LAST.to_vec())).await?;
            // What was sent goes out while the runtime runs, and not after.
            let socket = server.line.socket().try_clone_to_owned()?;
            let told = tokio::task::spawn_blocking(move || {
                poll(&mut [PollFd::new(&socket, PollFlags::IN)], None)
            });
            told.await??;
            anyhow::Ok(())
        })?;
        server.line.hear()?;
        slice.elapsed += start.elapsed();
        Ok(slice)
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.server]
    }
}

fn drain(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let endpoint = endpoint(stage)?;
    runtime()?.block_on(async {
        let mut socket = PullSocket::new();
        socket.bind(&endpoint).await?;
        stage.line.say(1)?;
        loop {
            let message = socket.recv().await?;
            if message.get(0).is_some_and(|body| **body == LAST) {
                stage.line.say(1)?;
            }
        }
    })
}

fn pushes(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Pushes::meet(row)?))
}

const PUSHES: Peer =
    Peer { name: "zeromq", row: "oneway-64", side: Side::Peer, always: false, make: pushes };

pub(crate) const PEERS: &[Peer] = &[
    peer::<Requests>("zeromq", "call-awake"),
    peer::<Requests>("zeromq", "call-asleep-two-cores"),
    peer::<Requests>("zeromq", "call-asleep-one-core"),
    PUSHES,
    Peer { row: "oneway-64-streamed", ..PUSHES },
];

pub(crate) const PARTS: &[Part] =
    &[Part { name: ECHOES, act: echo }, Part { name: DRAINS, act: drain }];
