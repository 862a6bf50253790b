//! Calls of tokio: ours, driven by its event loop, and bytes over its UNIX socket. One
//! thread at either end.

use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use pillarbox::Message;
use rows::{Casting, Child, Pair, Part, Peer, Row, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use crate::calls::{BODY, Caller, peer, runtime};

const ECHOES: &str = "tokio-echo";

/// Ours: the task's descriptor is one of the runtime's.
struct Ours {
    runtime: Runtime,
    pair: Pair,
}

impl Caller for Ours {
    fn meet(row: &Row) -> Result<Self> {
        let (runtime, pair) = (runtime()?, Pair::new(row.place)?);
        let task = pair.task.clone();
        runtime.spawn(async move { task.drive().await.map(drop) });
        Ok(Ours { runtime, pair })
    }

    fn call(&mut self) -> Result<()> {
        let request = Message::new(BODY).with_id(rows::ECHO);
        let answer = self.runtime.block_on(self.pair.post.call_async(request))?;
        ensure!(answer.body() == BODY, "another body came back");
        Ok(())
    }

    fn server(&self) -> &Child {
        &self.pair.server
    }
}

struct Socket {
    runtime: Runtime,
    socket: tokio::net::UnixStream,
    server: Child,
}

/// Must be called within a runtime.
fn socket(socket: UnixStream) -> Result<tokio::net::UnixStream> {
    socket.set_nonblocking(true)?;
    Ok(tokio::net::UnixStream::from_std(socket)?)
}

impl Caller for Socket {
    fn meet(row: &Row) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let server = Casting::of(ECHOES, row.place).descriptor(&theirs).start()?;
        let runtime = runtime()?;
        let socket = runtime.block_on(async { socket(ours) })?;
        Ok(Socket { runtime, socket, server })
    }

    fn call(&mut self) -> Result<()> {
        let Socket { runtime, socket, .. } = self;
        runtime.block_on(async {
            let mut body = BODY;
            socket.write_all(&body).await?;
            socket.read_exact(&mut body).await?;
            ensure!(body == BODY, "another body came back");
            Ok(())
        })
    }

    fn server(&self) -> &Child {
        &self.server
    }
}

fn echo(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let passed = UnixStream::from(stage.descriptors.pop().context("no socket")?);
    runtime()?.block_on(async {
        let mut socket = socket(passed)?;
        let mut body = BODY;
        while socket.read_exact(&mut body).await.is_ok() {
            socket.write_all(&body).await?;
        }
        Ok(())
    })
}

pub(crate) const PEERS: &[Peer] = &[
    peer::<Ours>("pillarbox on tokio", "async-call-awake"),
    peer::<Ours>("pillarbox on tokio", "async-call-asleep"),
    peer::<Socket>("tokio UNIX socket", "async-call-awake"),
    peer::<Socket>("tokio UNIX socket", "async-call-asleep"),
];

pub(crate) const PARTS: &[Part] = &[Part { name: ECHOES, act: echo }];
