//! Channels between threads. They are the limit of the in-process rows.

use anyhow::{Context, Result};
use rows::channel::{BYTES, Channel, Flow, PLACES, PingPong};
use rows::{Contender, Effort, Peer, Row, Side};

type Body = [u8; BYTES];

/// A channel by the names it gives its parts: they all mean the same.
macro_rules! channel {
    ($(#[$doc:meta])* $name:ident: $sender:ty, $receiver:ty, $open:path, $send:ident, $receive:ident) => {
        $(#[$doc])*
        struct $name;

        impl Channel for $name {
            type Sender = $sender;
            type Receiver = $receiver;

            fn open() -> Result<(Self::Sender, Self::Receiver)> {
                Ok($open(PLACES))
            }

            #[inline]
            fn send(sender: &Self::Sender, body: Body) -> Result<()> {
                Ok(sender.$send(body)?)
            }

            #[inline]
            fn receive(receiver: &mut Self::Receiver) -> Result<Body> {
                receiver.$receive().context("nobody sends any more")
            }
        }
    };
}

channel!(Crossbeam: crossbeam_channel::Sender<Body>, crossbeam_channel::Receiver<Body>,
    crossbeam_channel::bounded, send, recv);
channel!(Flume: flume::Sender<Body>, flume::Receiver<Body>, flume::bounded, send, recv);
channel!(Kanal: kanal::Sender<Body>, kanal::Receiver<Body>, kanal::bounded, send, recv);
channel!(
    /// Its ends block here, as everybody's do in these rows; it is made for futures.
    Tokio: tokio::sync::mpsc::Sender<Body>, tokio::sync::mpsc::Receiver<Body>,
    tokio::sync::mpsc::channel, blocking_send, blocking_recv
);

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
