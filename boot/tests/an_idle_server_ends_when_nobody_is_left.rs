//! With an idle span a server ends when nobody has been linked with it for that
//! long, and not before.

mod family;

use std::time::Duration;

use boot::{Ended, Server};
use family::{NAME, Place, Reaped, acting, command, given, long, refused, started, task};
use pillarbox::bootstrap::Refused;
use pillarbox::{Bootstrap, Capacity, Message, Task};

const SPAN: Duration = Duration::from_millis(100);

#[test]
fn a_server_nobody_comes_to_ends() {
    let server = Server::new(&Task::new()).unwrap().idle_exit(SPAN);
    assert_eq!(server.serve(), Ended::Idle);
}

#[test]
fn client_part() {
    if !acting("client_part") {
        return;
    }
    // Linked, and silent.
    let names = Bootstrap::at(std::env::var_os("PILLARBOX_TEST_PATH").unwrap(), long()).unwrap();
    let port = task().port(Capacity::Bounded(1));
    let linked = Message::new("linked").with_right(port.make_send().unwrap());
    given("told").send(linked, long()).unwrap();
    port.receive(long()).unwrap();
    assert_eq!(refused(names.look_up(NAME, long())), Refused::NoSuchName);
}

#[test]
fn a_server_somebody_is_linked_with_goes_on() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    let server = Server::new(&Task::new()).unwrap().listen(&path).unwrap().idle_exit(SPAN);
    let told = task().port(Capacity::Bounded(1));
    let mut command = command("client_part");
    command.env("PILLARBOX_TEST_PATH", &path);
    let client = pillarbox::Spawn::new(command).right("told", told.make_send().unwrap());
    let mut client = Reaped(client.spawn().unwrap());
    let mut linked = told.receive(long()).unwrap();
    let client_right = linked.take_rights().remove(0).into_send().unwrap();
    // Only now: whoever was linked before it began to look counts.
    let (serving, _) = started(server);
    // sleep: that a time passes and nothing happens is what is tested.
    std::thread::sleep(3 * SPAN);
    client_right.send(Message::new("go"), long()).unwrap();
    assert!(client.0.wait().unwrap().success());
    assert_eq!(serving.wait(), Ended::Idle);
    assert!(!path.exists());
}
