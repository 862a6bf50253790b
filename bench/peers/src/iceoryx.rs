//! iceoryx2: two services of its publish-subscribe pattern, one each way. Awake its
//! subscribers poll, which is how it is fastest; asleep each end waits for an event
//! that the other sends after its sample.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use rows::clock::{back_to_back, with_silences};
use rows::{Casting, Child, Contender, Effort, Part, Peer, Row, Side, Slice, Stage, State};

const ECHOES: &str = "iceoryx-echo";
const DRAINS: &str = "iceoryx-drain";

const BYTES: usize = 64;

type Body = [u8; BYTES];

/// The first byte of a body that ends a slice.
const LAST: u8 = 0xff;

/// Samples a subscriber has room for: more make it no faster.
const PLACES: usize = 256;

/// Words of the parent's.
const SLICE: u64 = 0;
const END: u64 = 1;

pub(crate) fn told<E: Debug>(error: E) -> anyhow::Error {
    anyhow!("iceoryx2: {error:?}")
}

/// What one process has of both ways.
struct Ends {
    publisher: Publisher<ipc::Service, Body, ()>,
    subscriber: Subscriber<ipc::Service, Body, ()>,
    /// Where the ends sleep.
    events: Option<(Notifier<ipc::Service>, Listener<ipc::Service>)>,
    _node: Node<ipc::Service>,
}

impl Ends {
    fn open(base: &str, to: &str, from: &str, asleep: bool) -> Result<Ends> {
        set_log_level(LogLevel::Fatal);
        let node = NodeBuilder::new().create::<ipc::Service>().map_err(told)?;
        let stream = |way: &str| {
            let name = ServiceName::new(&format!("{base}/{way}")).map_err(told)?;
            node.service_builder(&name)
                .publish_subscribe::<Body>()
                .enable_safe_overflow(false)
                .subscriber_max_buffer_size(PLACES)
                .open_or_create()
                .map_err(told)
        };
        let event = |way: &str| {
            let name = ServiceName::new(&format!("{base}/{way}")).map_err(told)?;
            node.service_builder(&name).event().open_or_create().map_err(told)
        };
        let publisher = stream(to)?
            .publisher_builder()
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(told)?;
        let subscriber = stream(from)?.subscriber_builder().create().map_err(told)?;
        let events = if asleep {
            let notifier = event(to)?.notifier_builder().create().map_err(told)?;
            let listener = event(from)?.listener_builder().create().map_err(told)?;
            Some((notifier, listener))
        } else {
            None
        };
        Ok(Ends { publisher, subscriber, events, _node: node })
    }

    #[inline]
    fn send(&self, body: Body) -> Result<()> {
        let sample = self.publisher.loan_uninit().map_err(told)?.write_payload(body);
        sample.send().map_err(told)?;
        if let Some((notifier, _)) = &self.events {
            notifier.notify().map_err(told)?;
        }
        Ok(())
    }

    #[inline]
    fn receive(&self) -> Result<Body> {
        loop {
            if let Some(sample) = self.subscriber.receive().map_err(told)? {
                return Ok(*sample);
            }
            match &self.events {
                Some((_, listener)) => {
                    listener.timed_wait(|_| (), Duration::from_secs(1)).map_err(told)?;
                }
                None => std::hint::spin_loop(),
            }
        }
    }
}

/// Services of this row of this process.
pub(crate) fn base(row: &Row) -> String {
    format!("pillarbox-bench/{}/{}", std::process::id(), row.name)
}

/// A message there and one back.
struct Echo {
    ends: Ends,
    server: Child,
    asleep: bool,
}

impl Contender for Echo {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        self.server.line.say(SLICE)?;
        let trip = |first: u8| {
            self.ends.send([first; BYTES])?;
            let back = self.ends.receive()?;
            ensure!(back[0] == first, "another body came back");
            Ok(())
        };
        trip(0)?;
        let slice = if self.asleep {
            with_silences(span, || trip(0))?
        } else {
            back_to_back(span, || trip(0))?
        };
        trip(LAST)?;
        Ok(slice)
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.server]
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        end(&mut self.server);
    }
}

/// Lets it clean up: what a killed process of theirs leaves behind stays there.
pub(crate) fn end(server: &mut Child) {
    if server.line.say(END).is_ok() {
        let _ = server.line.hear();
    }
}

fn echo(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let name = stage.arguments.first().context("no service")?.clone();
    let ends = Ends::open(&name, "back", "there", stage.number(1)? == 1)?;
    stage.line.say(0)?;
    while stage.line.hear()? == SLICE {
        loop {
            let body = ends.receive()?;
            ends.send(body)?;
            if body[0] == LAST {
                break;
            }
        }
    }
    drop(ends);
    stage.line.say(0)
}

/// Messages one way.
struct Flow {
    ends: Ends,
    server: Child,
}

impl Contender for Flow {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        self.server.line.say(SLICE)?;
        let slice = rows::clock::in_batches(
            span,
            32,
            || (0..32).try_for_each(|_| self.ends.send([0; BYTES])),
            || {
                self.ends.send([LAST; BYTES])?;
                self.ends.receive().map(drop)
            },
        )?;
        let taken = self.server.line.hear()?;
        ensure!(taken == slice.operations, "samples were lost");
        Ok(slice)
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.server]
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        end(&mut self.server);
    }
}

fn drain(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let name = stage.arguments.first().context("no service")?.clone();
    let ends = Ends::open(&name, "back", "there", false)?;
    stage.line.say(0)?;
    while stage.line.hear()? == SLICE {
        let mut taken = 0;
        while ends.receive()?[0] != LAST {
            taken += 1;
        }
        ends.send([LAST; BYTES])?;
        stage.line.say(taken)?;
    }
    drop(ends);
    stage.line.say(0)
}

fn pair(row: &Row, part: &'static str, asleep: bool) -> Result<(Ends, Child)> {
    let base = base(row);
    let ends = Ends::open(&base, "there", "back", asleep)?;
    let casting = Casting::of(part, row.place).argument(&base).argument(u8::from(asleep));
    let mut server = casting.start()?;
    server.line.hear().context("the other end did not open")?;
    Ok((ends, server))
}

fn trips(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    let asleep = row.state == State::Asleep;
    let (ends, server) = pair(row, ECHOES, asleep)?;
    Ok(Box::new(Echo { ends, server, asleep }))
}

fn one_way(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    let (ends, server) = pair(row, DRAINS, false)?;
    Ok(Box::new(Flow { ends, server }))
}

const PEER: Peer =
    Peer { name: "iceoryx2", row: "rtt-awake", side: Side::Peer, always: true, make: trips };

pub(crate) const PEERS: &[Peer] = &[
    PEER,
    Peer { row: "call-awake", ..PEER },
    Peer { row: "call-asleep-two-cores", ..PEER },
    Peer { row: "call-asleep-one-core", ..PEER },
    Peer { row: "oneway-64", make: one_way, ..PEER },
];

pub(crate) const PARTS: &[Part] =
    &[Part { name: ECHOES, act: echo }, Part { name: DRAINS, act: drain }];
