//! A calculator of one trait: its server in a child process, and clients that
//! block, that await, and that are of an older and of a newer version.
// run: cargo run --example calculator
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use pillarbox::interface::{ClientError, Sink};
use pillarbox::{Capacity, Deadline, Message, Notification, SendRight, Spawn, Task};
use serde::{Deserialize, Serialize};

/// Why there is no quotient.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum DivideError {
    /// The divisor is 0.
    ByZero,
}

/// Does sums.
#[pillarbox::interface(name = "org.example.Calculator", version = 2)]
pub trait Calculator {
    /// The sum of two numbers.
    #[id(1)]
    fn add(&self, a: i64, b: i64) -> i64;
    /// The quotient. An error of the author's is an answer like any other.
    #[id(2)]
    fn divide(&self, a: f64, b: f64) -> Result<f64, DivideError>;
    /// The sum of many.
    #[id(3, since = 2)]
    fn sum(&self, numbers: Vec<i64>) -> i64;
    /// Says something where the server runs. Nobody waits for it.
    #[id(4)]
    #[oneway]
    fn log(&self, line: String);
    /// The squares of 1 to `last`, one after the other.
    #[id(5)]
    fn squares(&self, last: u32) -> Stream<u64>;
    /// A right to a calculator that adds `to` to every sum.
    #[id(6)]
    fn shifted(&self, to: i64) -> CalculatorClient;
}

/// The same interface before there was `sum`.
mod older {
    /// Did sums.
    #[pillarbox::interface(name = "org.example.Calculator", version = 1)]
    pub trait Calculator {
        /// The sum of two numbers.
        #[id(1)]
        fn add(&self, a: i64, b: i64) -> i64;
    }
}

/// And as it will be.
mod newer {
    /// Will do sums.
    #[pillarbox::interface(name = "org.example.Calculator", version = 3)]
    pub trait Calculator {
        /// The sum of two numbers, or of three.
        #[id(1)]
        fn add(&self, a: i64, b: i64, c: Option<i64>) -> i64;
        /// The product.
        #[id(7, since = 3)]
        fn multiply(&self, a: i64, b: i64) -> i64;
    }
}

struct Shifted(i64);

impl Calculator for Shifted {
    fn add(&self, a: i64, b: i64) -> i64 {
        a + b + self.0
    }

    fn divide(&self, a: f64, b: f64) -> Result<f64, DivideError> {
        if b == 0.0 { Err(DivideError::ByZero) } else { Ok(a / b) }
    }

    fn sum(&self, numbers: Vec<i64>) -> i64 {
        numbers.iter().sum::<i64>() + self.0
    }

    fn log(&self, line: String) {
        println!("  the server, process {}: {line}", std::process::id());
    }

    fn squares(&self, last: u32, sink: Sink<u64>) {
        std::thread::spawn(move || {
            for number in 1..=u64::from(last) {
                if sink.send(number * number, soon()).is_err() {
                    return; // nobody reads them any more
                }
            }
            let _ = sink.finish(soon());
        });
    }

    fn shifted(&self, to: i64) -> CalculatorClient {
        // It is served as long as somebody has a right to it.
        serve_somewhere(Shifted(self.0 + to)).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn serve_somewhere(calculator: Shifted) -> Result<CalculatorClient, Box<dyn Error>> {
    let inbox = Task::current()?.port(Capacity::Bounded(16));
    let client = CalculatorClient::new(inbox.make_send()?);
    inbox.notify_no_senders(inbox.make_send_once()?)?;
    std::thread::spawn(move || {
        let ended = CalculatorServer::new(calculator).serve(&inbox, Deadline::Never);
        assert_eq!(ended, Ok(Notification::NoSenders));
    });
    Ok(client)
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("server") { server() } else { client() }
}

/// Serves until nobody has a right to it any more.
fn server() -> Result<(), Box<dyn Error>> {
    let task = Task::current()?;
    let inbox = task.port(Capacity::Bounded(16));
    let own = inbox.make_send()?;
    inbox.notify_no_senders(inbox.make_send_once()?)?;
    let parent = task.inherited("parent", soon()).ok_or("no right came")?;
    let parent = parent.into_send().map_err(|_| "no send right")?;
    parent.send(Message::new("").with_right(own), soon())?;
    let ended = CalculatorServer::new(Shifted(0)).serve(&inbox, Deadline::Never)?;
    println!("  the server ends: {ended:?}");
    Ok(())
}

fn client() -> Result<(), Box<dyn Error>> {
    let inbox = Task::current()?.port(Capacity::Bounded(1));
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("server");
    let mut child = Spawn::new(command).right("parent", inbox.make_send()?).spawn()?;
    let mut ready = inbox.receive(soon())?;
    let right = ready.take_rights().pop().ok_or("no right came")?;
    let right: SendRight = right.into_send().map_err(|_| "no send right")?;

    let calculator = CalculatorClient::new(right.clone());
    println!("1 + 2 = {}", calculator.add(1, 2, soon())?);
    assert_eq!(calculator.divide(1.0, 0.0, soon())?, Err(DivideError::ByZero));
    calculator.log("hello".into(), soon())?;
    let mut squares = calculator.squares(5, soon())?;
    while let Some(square) = squares.receive(soon())? {
        println!("a square: {square}");
    }
    let shifted = calculator.shifted(100, soon())?;
    println!("1 + 2 = {}, shifted", shifted.add(1, 2, soon())?);

    let sum = block_on(calculator.sum_async((1..=100).collect()))?;
    println!("1 + … + 100 = {sum}, awaited");

    let older = older::CalculatorClient::new(right.clone());
    println!("3 + 4 = {}, asked by version 1", older.add(3, 4, soon())?);
    let newer = newer::CalculatorClient::new(right.clone());
    println!("3 + 4 = {}, asked by version 3", newer.add(3, 4, Some(5), soon())?);
    match newer.multiply(3, 4, soon()) {
        Err(error @ ClientError::UnknownMethod { .. }) => println!("3 x 4: {error}"),
        other => return Err(format!("version 2 cannot multiply: {other:?}").into()),
    }
    println!("\n{}", pillarbox::interface::describe(&right, soon())?.to_markdown());

    drop((calculator, shifted, older, newer, right));
    assert!(child.wait()?.success());
    Ok(())
}

/// Runs one future in this thread. Any runtime does.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Thread(std::thread::Thread);
    impl Wake for Thread {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Thread(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}
