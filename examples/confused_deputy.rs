//! A deputy that is told names uses its own authority on them, and can be tricked into
//! using it for somebody else. One that is handed rights cannot: there is nothing to
//! mistake.
//!
//! The compiler may write the bill, its customer may not. By name the customer has its
//! output written over the bill. By right it cannot even try.
// run: cargo run --example confused_deputy
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::time::Duration;

use boot::Server;
use boot::admin::Admin;
use boot::service::ServiceFile;
use pillarbox::bootstrap::{BootstrapError, Refused};
use pillarbox::{
    Bootstrap, Capacity, Deadline, Message, ReceiveRight, SendRight, Task, Terms, bootstrap,
};

const BILL: &str = "com.example.bill";
const BILL_READ: &str = "com.example.bill.read";
const COMPILER: &str = "com.example.compiler";

/// What the bill understands.
const WRITE: i32 = 1;
const READ: i32 = 2;

const OWED: &str = "the customer owes 1";
const OUTPUT: &str = "hello, world";

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    match std::env::args().nth(1).as_deref() {
        Some("bill") => bill(),
        Some("compiler") => compiler(),
        _ => customer(),
    }
}

/// A line that who may write it replaces, and everybody may read.
fn bill() -> Outcome {
    let port = Task::current()?.port(Capacity::Bounded(16));
    let server = bootstrap(soon())?;
    server.check_in(BILL, &port, soon())?;
    let read = port.make_send_with(&Terms::new().ids(READ..=READ))?;
    server.register(BILL_READ, read, soon())?;
    let mut line = String::new();
    loop {
        let mut request = port.receive(Deadline::Never)?;
        if request.id() == WRITE {
            line = String::from_utf8_lossy(request.body()).into_owned();
        }
        request.reply(Message::new(line.as_str()), soon())?;
    }
}

/// Writes the bill, then its output where its customer wants it: to a name, or to a right.
fn compiler() -> Outcome {
    let port = Task::current()?.port(Capacity::Bounded(16));
    let server = bootstrap(soon())?;
    let bill = server.look_up(BILL, soon())?;
    server.check_in(COMPILER, &port, soon())?;
    loop {
        let mut request = port.receive(Deadline::Never)?;
        write(&bill, OWED)?;
        let output = match request.take_rights().pop() {
            Some(right) => right.into_send().ok(),
            // The mistake: our authority, for a name that is the customer's choice.
            None => server.look_up(std::str::from_utf8(request.body())?, soon()).ok(),
        };
        let done = output.is_some_and(|output| write(&output, OUTPUT).is_ok());
        request.reply(Message::new(if done { "done" } else { "not written" }), soon())?;
    }
}

fn write(to: &SendRight, text: &str) -> Outcome {
    to.call(Message::new(text).with_id(WRITE), soon())?;
    Ok(())
}

fn customer() -> Outcome {
    let server = Server::new(&Task::current()?)?
        .service("bill", service("bill", &[BILL, BILL_READ], BILL_RULES)?)?
        .service(
            "compiler",
            service("compiler", &[COMPILER], "entitlements = [\"bill.write\"]")?,
        )?;
    let serving = server.start()?;
    let names = Bootstrap::new(serving.right().clone());
    let compiler = names.look_up(COMPILER, soon())?;
    let bill = names.look_up(BILL_READ, soon())?;

    // We may not write the bill, and are told by which rule.
    match names.look_up(BILL, soon()) {
        Err(BootstrapError::Refused { reason: Refused::NotAllowed(rule), .. }) => {
            println!("the customer may not: {rule}");
        }
        other => return Err(format!("the bill is open: {other:?}").into()),
    }

    // By name: the deputy looks it up for us, and may.
    let answer = compiler.call(Message::new(BILL), soon())?;
    assert_eq!(answer.body(), b"done");
    let line = read(&bill)?;
    println!("by name, the bill says: {line}");
    assert_eq!(line, OUTPUT, "the deputy was tricked");

    // By right: we hand over where the output goes, and have nothing else to hand over.
    let inbox = Task::current()?.port(Capacity::Bounded(1));
    let output = compile_into(&compiler, inbox.make_send()?, &inbox)?;
    let line = read(&bill)?;
    println!("by right, the output is ours: {output}; and the bill says: {line}");
    assert_eq!((output.as_str(), line.as_str()), (OUTPUT, OWED));

    // The only right to the bill that we have does not write: handed over, it is as good as ours.
    let answer = compiler.call(Message::new("").with_right(bill.clone()), soon())?;
    assert_eq!(answer.body(), b"not written");
    assert_eq!(read(&bill)?, OWED);

    println!("what was refused:");
    for entry in Admin::new(&names).audit(0, soon())?.entries {
        if !entry.granted {
            println!(
                "  {:?} {} by process {}: {}",
                entry.attempt, entry.name, entry.pid, entry.rule
            );
        }
    }
    Ok(())
}

const BILL_RULES: &str =
    "[[look_up]]\nnames = [\"com.example.bill\"]\nentitlements = [\"bill.write\"]";

/// A service of this program.
fn service(part: &str, names: &[&str], more: &str) -> Result<ServiceFile, Box<dyn Error>> {
    let own = std::env::current_exe()?;
    let text = format!("program = {own:?}\narguments = [{part:?}]\nnames = {names:?}\n{more}\n");
    ServiceFile::read(&text).map_err(|wrong| format!("{wrong:?}").into())
}

/// Has the compiler write to `to`, which leads to `inbox`. Returns what came.
fn compile_into(
    compiler: &SendRight,
    to: SendRight,
    inbox: &ReceiveRight,
) -> Result<String, Box<dyn Error>> {
    let asked = Message::new("").with_right(to);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| compiler.call(asked, soon()));
        let mut output = inbox.receive(soon())?;
        let text = String::from_utf8_lossy(output.body()).into_owned();
        output.reply(Message::new(""), soon())?;
        let answer = call.join().map_err(|_| "the caller panicked")??;
        assert_eq!(answer.body(), b"done");
        Ok(text)
    })
}

fn read(bill: &SendRight) -> Result<String, Box<dyn Error>> {
    let line = bill.call(Message::new("").with_id(READ), soon())?;
    Ok(String::from_utf8_lossy(line.body()).into_owned())
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}
