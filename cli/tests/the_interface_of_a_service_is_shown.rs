//! `show --interface` prints what a running service says it understands.

mod house;

use house::House;
use pillarbox::interface::Sink;
use pillarbox::{Bootstrap, Capacity, Deadline, Notification, Task};

/// Keeps numbers.
#[pillarbox::interface(name = "org.example.Counter", version = 3)]
#[reserved(9)]
trait Counter {
    /// Adds to the number.
    #[id(1)]
    fn add(&self, amount: i64, #[default] twice: bool) -> i64;
    #[id(2, since = 3)]
    fn watch(&self) -> Stream<i64>;
}

struct Plain;

impl Counter for Plain {
    fn add(&self, amount: i64, _: bool) -> i64 {
        amount
    }

    fn watch(&self, _: Sink<i64>) {}
}

#[test]
fn a_service_says_what_it_understands() {
    let house = House::new();
    let mut boot = house.boot();
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
    let names = Bootstrap::at(house.socket(), Deadline::after(house::LONG)).unwrap();
    names.check_in("counter", &inbox, Deadline::after(house::LONG)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let deadline = Deadline::after(house::LONG);
            let ended = CounterServer::new(Plain).serve(&inbox, deadline);
            assert_eq!(ended, Ok(Notification::SendOnceDropped));
        });
        let told = house.run(["show", "counter", "--interface"]);
        assert_eq!(told.code, Some(0), "{told:?}");
        assert_eq!(told.text(), CounterClient::PROTOCOL.to_markdown());
        assert!(told.text().starts_with("# org.example.Counter, version 3\n\nKeeps numbers.\n"));

        let told = house.run(["show", "counter", "--interface", "--json"]).json();
        assert_eq!(told, serde_json::to_value(CounterClient::PROTOCOL).unwrap());
        assert_eq!(told["methods"][1]["kind"], "Stream");
        // It ends with any notification.
        drop(inbox.make_send_once().unwrap());
    });
    boot.signal(rustix::process::Signal::TERM);
    assert_eq!(boot.end().code, Some(0));
    house.close();
}

#[test]
fn a_service_without_an_interface_is_not_run_to_find_out() {
    let house = House::new();
    let mark = house.path("mark");
    let body = format!("touch {}", mark.display());
    let service = house.serve(&["plain", "--", "sh", "-c", &body]);
    let told = house.run(["show", "plain", "--interface"]);
    assert_eq!(told.code, Some(68), "{told:?}");
    assert!(!mark.exists());
    assert_eq!(house.run(["show", "nobody", "--interface"]).code, Some(64));
    service.kill();
    house.close();
}
