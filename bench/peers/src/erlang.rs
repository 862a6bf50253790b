//! Erlang, where it is installed: messages between the processes of one node, which does
//! the work by itself and says how much it was.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rows::{Contender, Effort, Peer, Row, Side, Slice};

/// What the node runs.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/erlang.escript");

struct Node {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Node {
    fn start(row: &Row) -> Result<Node> {
        let mut command = Command::new("escript");
        command.args([SCRIPT, row.name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("no Erlang here")?;
        let to = process.stdin.take().context("it has no input")?;
        let from = process.stdout.take().context("it has no output")?;
        Ok(Node { process, to, from: BufReader::new(from) })
    }
}

impl Contender for Node {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        writeln!(self.to, "{}", span.as_nanos())?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::parse);
        let mut next = || Ok::<u64, anyhow::Error>(words.next().context("the node ended")??);
        let operations = next()?;
        Ok(Slice { operations, elapsed: Duration::from_nanos(next()?), ..Slice::default() })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn node(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Node::start(row)?))
}

const PEER: Peer =
    Peer { name: "Erlang", row: "local-oneway", side: Side::Peer, always: false, make: node };

pub(crate) const PEERS: &[Peer] = &[
    PEER,
    Peer { row: "local-fanin", ..PEER },
    Peer { row: "local-pingpong", ..PEER },
    Peer { row: "select-100k", ..PEER },
];
