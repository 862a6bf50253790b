//! tarpc: calls over a UNIX socket, on a runtime of one thread at either end.

use std::os::unix::net::UnixStream;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt;
use rows::{Casting, Child, Part, Peer, Row, Stage};
use tarpc::serde_transport::{Transport, new};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{client, context};
use tokio::runtime::Runtime;

use crate::calls::{BODY, Caller, peer, runtime};

const ECHOES: &str = "tarpc-echo";

#[tarpc::service]
trait Echo {
    /// Returns what came.
    async fn echo(body: Vec<u8>) -> Vec<u8>;
}

#[derive(Clone)]
struct Server;

impl Echo for Server {
    async fn echo(self, _: context::Context, body: Vec<u8>) -> Vec<u8> {
        body
    }
}

type Over<Item, SinkItem> =
    Transport<tokio::net::UnixStream, Item, SinkItem, Bincode<Item, SinkItem>>;

/// The transport on a socket. Must be called within a runtime.
fn over<Item, SinkItem>(socket: UnixStream) -> Result<Over<Item, SinkItem>>
where
    Item: for<'de> serde::Deserialize<'de>,
    SinkItem: serde::Serialize,
{
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixStream::from_std(socket)?;
    Ok(new(LengthDelimitedCodec::builder().new_framed(socket), Bincode::default()))
}

struct Tarpc {
    runtime: Runtime,
    client: EchoClient,
    server: Child,
}

impl Caller for Tarpc {
    fn meet(row: &Row) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let server = Casting::of(ECHOES, row.place).descriptor(&theirs).start()?;
        let runtime = runtime()?;
        let client = runtime.block_on(async {
            let client = EchoClient::new(client::Config::default(), over(ours)?);
            anyhow::Ok(client.spawn())
        })?;
        Ok(Tarpc { runtime, client, server })
    }

    fn call(&mut self) -> Result<()> {
        let Tarpc { runtime, client, .. } = self;
        let body = runtime.block_on(client.echo(context::current(), BODY.to_vec()))?;
        ensure!(body == BODY, "another body came back");
        Ok(())
    }

    fn server(&self) -> &Child {
        &self.server
    }
}

fn echo(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let socket = UnixStream::from(stage.descriptors.pop().context("no socket")?);
    runtime()?.block_on(async {
        let channel = BaseChannel::with_defaults(over(socket)?);
        channel.execute(Server.serve()).for_each(|answer| answer).await;
        Ok(())
    })
}

pub(crate) const PEERS: &[Peer] = &[
    peer::<Tarpc>("tarpc", "call-awake"),
    peer::<Tarpc>("tarpc", "call-asleep-two-cores"),
    peer::<Tarpc>("tarpc", "call-asleep-one-core"),
    peer::<Tarpc>("tarpc", "async-call-awake"),
    peer::<Tarpc>("tarpc", "async-call-asleep"),
];

pub(crate) const PARTS: &[Part] = &[Part { name: ECHOES, act: echo }];
