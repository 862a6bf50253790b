//! Channels between threads. They are the limit of the in-process rows.

use anyhow::{Context, Result};
use rows::channel::{BYTES, Channel, Flow, PLACES, PingPong};
use rows::{Contender, Effort, Peer, Row, Side};

type Body = [u8; BYTES];

struct Crossbeam;

impl Channel for Crossbeam {
    type Sender = crossbeam_channel::Sender<Body>;
    type Receiver = crossbeam_channel::Receiver<Body>;

    fn open() -> Result<(Self::Sender, Self::Receiver)> {
        Ok(crossbeam_channel::bounded(PLACES))
    }

    #[inline]
    fn send(sender: &Self::Sender, body: Body) -> Result<()> {
        Ok(sender.send(body)?)
    }

    #[inline]
    fn receive(receiver: &mut Self::Receiver) -> Result<Body> {
        Ok(receiver.recv()?)
    }
}

struct Flume;

impl Channel for Flume {
    type Sender = flume::Sender<Body>;
    type Receiver = flume::Receiver<Body>;

    fn open() -> Result<(Self::Sender, Self::Receiver)> {
        Ok(flume::bounded(PLACES))
    }

    #[inline]
    fn send(sender: &Self::Sender, body: Body) -> Result<()> {
        Ok(sender.send(body)?)
    }

    #[inline]
    fn receive(receiver: &mut Self::Receiver) -> Result<Body> {
        Ok(receiver.recv()?)
    }
}

struct Kanal;

impl Channel for Kanal {
    type Sender = kanal::Sender<Body>;
    type Receiver = kanal::Receiver<Body>;

    fn open() -> Result<(Self::Sender, Self::Receiver)> {
        Ok(kanal::bounded(PLACES))
    }

    #[inline]
    fn send(sender: &Self::Sender, body: Body) -> Result<()> {
        Ok(sender.send(body)?)
    }

    #[inline]
    fn receive(receiver: &mut Self::Receiver) -> Result<Body> {
        Ok(receiver.recv()?)
    }
}

/// Its ends block here, as everybody's do in these rows; it is made for futures.
struct Tokio;

impl Channel for Tokio {
    type Sender = tokio::sync::mpsc::Sender<Body>;
    type Receiver = tokio::sync::mpsc::Receiver<Body>;

    fn open() -> Result<(Self::Sender, Self::Receiver)> {
        Ok(tokio::sync::mpsc::channel(PLACES))
    }

    #[inline]
    fn send(sender: &Self::Sender, body: Body) -> Result<()> {
        Ok(sender.blocking_send(body)?)
    }

    #[inline]
    fn receive(receiver: &mut Self::Receiver) -> Result<Body> {
        receiver.blocking_recv().context("nobody sends any more")
    }
}

fn one_way<C: Channel>(_: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Flow::<C>::of(1)))
}

fn fan_in<C: Channel>(_: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Flow::<C>::of(4)))
}

fn ping_pong<C: Channel>(_: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    Ok(Box::new(PingPong::<C>::default()))
}

const fn three<C: Channel>(name: &'static str) -> [Peer; 3] {
    let peer = Peer {
        name,
        row: "local-oneway",
        side: Side::PeerAndLimit,
        always: true,
        make: one_way::<C>,
    };
    [
        peer,
        Peer { row: "local-fanin", make: fan_in::<C>, ..peer },
        Peer { row: "local-pingpong", make: ping_pong::<C>, ..peer },
    ]
}

const CROSSBEAM: [Peer; 3] = three::<Crossbeam>("crossbeam");
const FLUME: [Peer; 3] = three::<Flume>("flume");
const KANAL: [Peer; 3] = three::<Kanal>("kanal");
const TOKIO: [Peer; 3] = three::<Tokio>("tokio");

pub(crate) const PEERS: &[Peer] = &[
    CROSSBEAM[0],
    FLUME[0],
    KANAL[0],
    TOKIO[0],
    CROSSBEAM[1],
    FLUME[1],
    KANAL[1],
    TOKIO[1],
    CROSSBEAM[2],
    FLUME[2],
    KANAL[2],
    TOKIO[2],
];
