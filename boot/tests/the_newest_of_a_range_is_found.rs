//! A look-up may take a range of versions or instances: it finds the newest that runs,
//! else the newest that is declared, among those the caller may look up.

mod family;

use boot::Server;
use boot::service::ServiceFile;
use family::asker::{serve_asking_if_acting, tell};
use family::{file_of, long, not_allowed, refused, started, task};
use pillarbox::bootstrap::{Listed, Refused};
use pillarbox::{Capacity, ReceiveRight, SendRight};

const THIRD: &str = "com.example.echo@3";
const SECRET: &str = "com.example.echo@12";

#[test]
fn third_part() {
    serve_asking_if_acting("third_part", THIRD);
}

/// Whether both lead to one port.
fn leads_to(right: &SendRight, port: &ReceiveRight) -> bool {
    right.same_port(&port.make_send().unwrap())
}

#[test]
fn the_newest_that_runs_else_the_newest_declared() {
    let file = |text: String| ServiceFile::read(&text).unwrap();
    let third = file(file_of("third_part", &[THIRD], ""));
    let rule = "[[look_up]]\nentitlements = [\"x\"]";
    let secret = file(file_of("no_such_part", &[SECRET], rule));
    let server = Server::new(&task()).unwrap().service("third", third).unwrap();
    let (_serving, names) = started(server.service("secret", secret).unwrap());
    let [first, second, tenth] =
        ["com.example.echo@1", "com.example.echo@2", "com.example.echo@10"].map(|name| {
            let port = task().port(Capacity::Bounded(4));
            names.check_in(name, &port, long()).unwrap();
            port
        });
    let look_up = |range: &str| names.look_up(&format!("com.example.echo{range}"), long());
    // 3 is declared and does not run, 12 is not for us.
    assert!(leads_to(&look_up("@1..").unwrap(), &tenth));
    assert!(leads_to(&look_up("@..10").unwrap(), &second));
    assert!(leads_to(&look_up("@..=1").unwrap(), &first));
    assert!(leads_to(&look_up("@2").unwrap(), &second));
    for none in ["@13..", "@4..10", "", "/..", "@../.."] {
        assert_eq!(refused(look_up(none)), Refused::NoSuchName, "{none}");
    }
    assert!(not_allowed(look_up("@12")).contains("no rule"));
    assert_eq!(refused(look_up("@11..")), Refused::NoSuchName);
    let running = names.look_up_running("com.example.echo@3..10", long());
    assert_eq!(refused(running), Refused::NoSuchName);
    drop(tenth);
    assert!(leads_to(&look_up("@..").unwrap(), &second));
    // Where none of the range runs, the newest is started.
    let third = look_up("@3..").unwrap();
    assert!(tell(&third, "look_up com.example.none").contains("no such name"));
    let again = look_up("@1..").unwrap();
    assert!(again.status(long()).is_ok() && again.same_port(&third));
    // A name that is written so is that.
    let odd = task().port(Capacity::Bounded(4));
    names.check_in("com.example.echo@1..", &odd, long()).unwrap();
    assert!(leads_to(&look_up("@1..").unwrap(), &odd));
}

#[test]
fn instances_too_and_within_a_restricted_right_those_it_lists() {
    let (_serving, names) = family::server();
    let [one, two, four] = ["x/1", "x/2", "x@4/1"].map(|name| {
        let port = task().port(Capacity::Bounded(4));
        names.check_in(name, &port, long()).unwrap();
        port
    });
    assert!(leads_to(&names.look_up("x/..", long()).unwrap(), &two));
    assert!(leads_to(&names.look_up("x@2../..", long()).unwrap(), &four));
    let listed = [Listed::new("x/1").called("y@1"), Listed::new("x@4/1").called("y@2")];
    let few = names.subset(&listed, long()).unwrap();
    assert!(leads_to(&few.look_up("y@..", long()).unwrap(), &four));
    assert!(leads_to(&few.look_up("y@..2", long()).unwrap(), &one));
    for hidden in ["x/..", "y@3..", "y/.."] {
        assert!(not_allowed(few.look_up(hidden, long())).contains("lists no such name"));
    }
}
