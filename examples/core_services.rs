//! An app among the services of a system: it reaches what its entitlements grant, and
//! nothing else, and each refusal stands in the audit.
//!
//! | service  | names                        | whom they let                         |
//! |----------|------------------------------|---------------------------------------|
//! | notify   | `notify.post`, `notify.observe` | who is entitled to post, to observe |
//! | location | `location`                   | who is entitled to use it             |
//! | keychain | `keychain`                   | who is entitled to use it             |
//! | center   | `center`                     | the user; it observes                 |
//! | app      | `app`                        | the user; it posts, and asks where it is |
// run: cargo run --example core_services
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

const POST: &str = "com.example.notify.post";
const OBSERVE: &str = "com.example.notify.observe";
const LOCATION: &str = "com.example.location";
const KEYCHAIN: &str = "com.example.keychain";
const CENTER: &str = "com.example.center";
const APP: &str = "com.example.app";

/// The ids of what the notification daemon understands.
const NOTE: i32 = 1;
const OBSERVER: i32 = 2;

type Outcome = Result<(), Box<dyn Error>>;

/// What each service is entitled to, and whom its names let.
const FILES: [(&str, &str); 5] = [
    (
        "notify",
        r#"names = ["com.example.notify.post", "com.example.notify.observe"]
        [[look_up]]
        names = ["com.example.notify.post"]
        entitlements = ["notify.post"]
        [[look_up]]
        names = ["com.example.notify.observe"]
        entitlements = ["notify.observe"]"#,
    ),
    (
        "location",
        r#"names = ["com.example.location"]
        [[look_up]]
        entitlements = ["location.use"]"#,
    ),
    (
        "keychain",
        r#"names = ["com.example.keychain"]
        [[look_up]]
        entitlements = ["keychain.use"]"#,
    ),
    (
        "center",
        r#"names = ["com.example.center"]
        entitlements = ["notify.observe"]"#,
    ),
    (
        "app",
        r#"names = ["com.example.app"]
        entitlements = ["notify.post", "location.use"]"#,
    ),
];

fn main() -> Outcome {
    match std::env::args().nth(1).as_deref() {
        Some("notify") => notify(),
        Some("location") => answer(LOCATION, "52.5200 N, 13.4050 E"),
        Some("keychain") => answer(KEYCHAIN, "the password"),
        Some("center") => center(),
        Some("app") => app(),
        _ => system(),
    }
}

/// Hands each note that is posted to all who observe.
fn notify() -> Outcome {
    let port = Task::current()?.port(Capacity::Bounded(16));
    let server = bootstrap(soon())?;
    // Who may post cannot observe: the right itself says so.
    let post = port.make_send_with(&Terms::new().ids(NOTE..=NOTE))?;
    let observe = port.make_send_with(&Terms::new().ids(OBSERVER..=OBSERVER))?;
    server.register(POST, post, soon())?;
    server.register(OBSERVE, observe, soon())?;
    let mut observers: Vec<SendRight> = Vec::new();
    loop {
        let mut request = port.receive(Deadline::Never)?;
        if request.id() == OBSERVER {
            let right = request.take_rights().pop().and_then(|right| right.into_send().ok());
            observers.extend(right);
        } else {
            let note = request.body().to_vec();
            // Nobody who is full or gone keeps the others waiting.
            let now = Deadline::Now;
            observers.retain(|to| to.send(Message::new(note.clone()), now).is_ok());
        }
        request.reply(Message::new(""), soon())?;
    }
}

/// A service that has one answer.
fn answer(name: &str, text: &str) -> Outcome {
    let port = check_in(name)?;
    loop {
        port.receive(Deadline::Never)?.reply(Message::new(text), soon())?;
    }
}

/// Observes, and answers each call with the next note.
fn center() -> Outcome {
    let notes = Task::current()?.port(Capacity::Bounded(16));
    let daemon = bootstrap(soon())?.look_up(OBSERVE, soon())?;
    let asked = Message::new("").with_id(OBSERVER).with_right(notes.make_send()?);
    daemon.call(asked, soon())?;
    let port = check_in(CENTER)?;
    loop {
        let mut request = port.receive(Deadline::Never)?;
        let note = notes.receive(Deadline::Never)?;
        request.reply(Message::new(note.body().to_vec()), soon())?;
    }
}

/// Asks where it is, posts that, and says of each name whether it reaches it.
fn app() -> Outcome {
    let port = check_in(APP)?;
    let server = bootstrap(soon())?;
    loop {
        let mut request = port.receive(Deadline::Never)?;
        let mut said = String::new();
        for name in [LOCATION, POST, OBSERVE, KEYCHAIN] {
            let outcome = match server.look_up(name, soon()) {
                Ok(_) => "reached".to_owned(),
                Err(BootstrapError::Refused { reason: Refused::NotAllowed(rule), .. }) => rule,
                Err(error) => return Err(error.into()),
            };
            said.push_str(&format!("{name}: {outcome}\n"));
        }
        let place = server.look_up(LOCATION, soon())?.call(Message::new(""), soon())?;
        let place = String::from_utf8_lossy(place.body()).into_owned();
        let post = server.look_up(POST, soon())?;
        post.call(Message::new(format!("we are at {place}")).with_id(NOTE), soon())?;
        // A right to post is none to observe.
        let spy = Task::current()?.port(Capacity::Bounded(1));
        let asked = Message::new("").with_id(OBSERVER).with_right(spy.make_send()?);
        assert!(post.call(asked, soon()).is_err(), "the terms of the right hold");
        request.reply(Message::new(said), soon())?;
    }
}

fn system() -> Outcome {
    let own = std::env::current_exe()?;
    let mut server = Server::new(&Task::current()?)?;
    for (label, more) in FILES {
        let text = format!("program = {own:?}\narguments = [{label:?}]\n{more}\n");
        let file = ServiceFile::read(&text).map_err(|wrong| format!("{label}: {wrong:?}"))?;
        server = server.service(label, file)?;
    }
    let serving = server.start()?;
    let names = Bootstrap::new(serving.right().clone());

    // It observes when it has checked in.
    let center = names.look_up(CENTER, soon())?;
    let said = names.look_up(APP, soon())?.call(Message::new("go"), soon())?;
    let said = String::from_utf8_lossy(said.body()).into_owned();
    print!("{said}");
    let reached = said.lines().filter(|line| line.ends_with(": reached")).count();
    assert_eq!((reached, said.lines().count()), (2, 4));

    let note = center.call(Message::new("next"), soon())?;
    println!("the center has seen: {}", String::from_utf8_lossy(note.body()));
    assert_eq!(note.body(), b"we are at 52.5200 N, 13.4050 E");

    println!("the audit has:");
    let mut refused = Vec::new();
    for entry in Admin::new(&names).audit(0, soon())?.entries {
        if !entry.granted {
            let service = entry.service.unwrap_or_default();
            println!("  {service} was refused {}: {}", entry.name, entry.rule);
            refused.push((service, entry.name));
        }
    }
    let app = |name: &str| ("app".to_owned(), name.to_owned());
    assert_eq!(refused, [app(OBSERVE), app(KEYCHAIN)]);
    Ok(())
}

fn check_in(name: &str) -> Result<ReceiveRight, Box<dyn Error>> {
    let port = Task::current()?.port(Capacity::Bounded(16));
    bootstrap(soon())?.check_in(name, &port, soon())?;
    Ok(port)
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}
