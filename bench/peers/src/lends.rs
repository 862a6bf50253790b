//! iceoryx2 where memory is lent: slices that are written in place each time, and copied
//! out by a subscriber that polls.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use rows::clock::in_batches;
use rows::{Casting, Child, Contender, Effort, Part, Peer, Row, Side, Slice, Stage};

use crate::iceoryx::{base, end, told};

const COPIES: &str = "iceoryx-copy";

/// Slices a subscriber has room for: as many as our port has places.
const PLACES: usize = 4;

/// Words of the parent's.
const SLICE: u64 = 0;

/// One way: the end that lends, or the one that reads.
struct Way<P> {
    port: P,
    _node: Node<ipc::Service>,
}

fn lender(name: &str, bytes: usize) -> Result<Way<Publisher<ipc::Service, [u8], ()>>> {
    let (service, node) = service(name)?;
    let builder = service.publisher_builder().initial_max_slice_len(bytes);
    let builder = builder.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
    Ok(Way { port: builder.create().map_err(told)?, _node: node })
}

fn reader(name: &str) -> Result<Way<Subscriber<ipc::Service, [u8], ()>>> {
    let (service, node) = service(name)?;
    Ok(Way { port: service.subscriber_builder().create().map_err(told)?, _node: node })
}

type Service =
    iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()>;

fn service(name: &str) -> Result<(Service, Node<ipc::Service>)> {
    set_log_level(LogLevel::Fatal);
    let node = NodeBuilder::new().create::<ipc::Service>().map_err(told)?;
    let name = ServiceName::new(name).map_err(told)?;
    let service = node
        .service_builder(&name)
        .publish_subscribe::<[u8]>()
        .enable_safe_overflow(false)
        .subscriber_max_buffer_size(PLACES)
        .open_or_create()
        .map_err(told)?;
    Ok((service, node))
}

struct Lends {
    way: Way<Publisher<ipc::Service, [u8], ()>>,
    bytes: usize,
    fill: u8,
    server: Child,
}

impl Lends {
    fn send(&mut self, bytes: usize) -> Result<()> {
        self.fill = self.fill.wrapping_add(1);
        let fill = self.fill;
        let lent = self.way.port.loan_slice_uninit(bytes).map_err(told)?;
        lent.write_from_fn(|_| fill).send().map_err(told)?;
        Ok(())
    }
}

impl Contender for Lends {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let begun = std::time::Instant::now();
        self.server.line.say(SLICE)?;
        let waited = begun.elapsed();
        let bytes = self.bytes;
        let mut slice = in_batches(span, 1, || self.send(bytes), || Ok(()))?;
        let begun = std::time::Instant::now();
        // One of another length is the last.
        self.send(1)?;
        let taken = self.server.line.hear()?;
        slice.elapsed += begun.elapsed() + waited;
        ensure!(taken == slice.operations, "slices were lost");
        Ok(slice)
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.server]
    }
}

impl Drop for Lends {
    fn drop(&mut self) {
        end(&mut self.server);
    }
}

fn copy(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let way = reader(stage.arguments.first().context("no service")?)?;
    let bytes = stage.number(1)?;
    let mut room = vec![0; bytes];
    stage.line.say(0)?;
    while stage.line.hear()? == SLICE {
        let mut taken = 0;
        loop {
            let Some(sample) = way.port.receive().map_err(told)? else {
                std::hint::spin_loop();
                continue;
            };
            if sample.len() != bytes {
                break;
            }
            room.copy_from_slice(&sample);
            ensure!(room[0] == room[bytes - 1], "a slice holds something else");
            taken += 1;
        }
        stage.line.say(taken)?;
    }
    drop(way);
    stage.line.say(0)
}

fn lent(row: &Row, bytes: usize) -> Result<Box<dyn Contender>> {
    let name = base(row);
    let way = lender(&name, bytes)?;
    let casting = Casting::of(COPIES, row.place).argument(&name).argument(bytes);
    let mut server = casting.start()?;
    server.line.hear().context("the other end did not open")?;
    Ok(Box::new(Lends { way, bytes, fill: 0, server }))
}

fn lent_64k(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    lent(row, 64 * 1024)
}

fn lent_1m(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    lent(row, 1024 * 1024)
}

const PEER: Peer =
    Peer { name: "iceoryx2", row: "loan-64k", side: Side::Peer, always: true, make: lent_64k };

pub(crate) const PEERS: &[Peer] = &[PEER, Peer { row: "loan-1m", make: lent_1m, ..PEER }];

pub(crate) const PARTS: &[Part] = &[Part { name: COPIES, act: copy }];
