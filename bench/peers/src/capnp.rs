//! Cap'n Proto: calls over a UNIX socket, on a runtime of one thread at either end.

use std::os::unix::net::UnixStream;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use capnp_rpc::{RpcSystem, new_client};
use rows::{Casting, Child, Part, Peer, Row, Stage};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::calls::{BODY, Caller, peer, runtime};
use crate::echo_capnp::echo;

const ECHOES: &str = "capnp-echo";

struct Server;

impl echo::Server for Server {
    async fn echo(
        self: Rc<Self>,
        params: echo::EchoParams,
        mut results: echo::EchoResults,
    ) -> ::capnp::Result<()> {
        results.get().set_body(params.get()?.get_body()?);
        Ok(())
    }
}

type Network = VatNetwork<tokio_util::compat::Compat<tokio::net::unix::OwnedReadHalf>>;

/// Must be called within a runtime.
fn network(socket: UnixStream, side: Side) -> Result<Network> {
    socket.set_nonblocking(true)?;
    let (from, to) = tokio::net::UnixStream::from_std(socket)?.into_split();
    Ok(VatNetwork::new(
        from.compat(),
        to.compat_write(),
        side,
        ::capnp::message::ReaderOptions::new(),
    ))
}

struct Client {
    runtime: Runtime,
    local: LocalSet,
    echo: echo::Client,
    server: Child,
}

impl Caller for Client {
    fn meet(row: &Row) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let server = Casting::of(ECHOES, row.place).descriptor(&theirs).start()?;
        let (runtime, local) = (runtime()?, LocalSet::new());
        let echo = local.block_on(&runtime, async {
            let mut system = RpcSystem::new(Box::new(network(ours, Side::Client)?), None);
            let echo: echo::Client = system.bootstrap(Side::Server);
            tokio::task::spawn_local(system);
            anyhow::Ok(echo)
        })?;
        Ok(Client { runtime, local, echo, server })
    }

    fn call(&mut self) -> Result<()> {
        let Client { runtime, local, echo, .. } = self;
        local.block_on(runtime, async {
            let mut request = echo.echo_request();
            request.get().set_body(&BODY);
            let answer = request.send().promise.await?;
            ensure!(answer.get()?.get_body()? == BODY, "another body came back");
            Ok(())
        })
    }

    fn server(&self) -> &Child {
        &self.server
    }
}

fn serve(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let socket = UnixStream::from(stage.descriptors.pop().context("no socket")?);
    let (runtime, local) = (runtime()?, LocalSet::new());
    local.block_on(&runtime, async {
        let echo: echo::Client = new_client(Server);
        RpcSystem::new(Box::new(network(socket, Side::Server)?), Some(echo.client)).await?;
        Ok(())
    })
}

pub(crate) const PEERS: &[Peer] = &[
    peer::<Client>("capnp-rpc", "call-awake"),
    peer::<Client>("capnp-rpc", "call-asleep-two-cores"),
    peer::<Client>("capnp-rpc", "call-asleep-one-core"),
    peer::<Client>("capnp-rpc", "async-call-awake"),
    peer::<Client>("capnp-rpc", "async-call-asleep"),
];

pub(crate) const PARTS: &[Part] = &[Part { name: ECHOES, act: serve }];
