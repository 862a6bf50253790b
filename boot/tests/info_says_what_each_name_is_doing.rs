//! Who asks what names there are is told of each what it is doing, and of one that somebody
//! has whose it is, by the kernel's word; with the right to it.

mod family;

use family::{
    NAME, acting, command, long, parents_server, pid_of, serve_if_acting, started, task, until,
};
use pillarbox::bootstrap::{Bootstrap, BootstrapError, Service, ServiceState};
use pillarbox::{Capacity, Deadline, SendRight};

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

/// Never checks in, and ends with its server.
#[test]
fn mute_part() {
    if !acting("mute_part") {
        return;
    }
    let gone = task().port(Capacity::Bounded(1));
    if parents_server().right().notify_dead(gone.make_send_once().unwrap()).is_ok() {
        let _ = gone.receive(Deadline::Never);
    }
}

/// What is told of a name.
fn info(names: &Bootstrap, name: &str) -> Option<(Service, Option<SendRight>)> {
    names.list(long()).unwrap().into_iter().find(|(service, _)| service.name == name)
}

#[test]
fn each_is_told_with_what_it_is_doing_and_whose_it_is() {
    let own = task().identity();
    let server = boot::Server::new(&task()).unwrap();
    let server = server.on_demand(NAME, || command("service_part")).unwrap();
    let server = server.on_demand("mute", || command("mute_part")).unwrap();
    let (serving, names) = started(server);
    let on_demand = |name: &str| {
        let (service, right) = info(&names, name).unwrap();
        assert!(right.is_none() && service.pid.is_none() && service.uid.is_none());
        service.state
    };
    assert_eq!(on_demand(NAME), ServiceState::OnDemand);
    assert_eq!(on_demand("mute"), ServiceState::OnDemand);

    let pid = pid_of(&names.look_up(NAME, long()).unwrap());
    let (service, right) = info(&names, NAME).unwrap();
    assert_eq!(service.state, ServiceState::Running);
    assert_eq!((service.pid, service.uid), (Some(pid), Some(own.uid)));
    assert_eq!(pid_of(&right.unwrap()), pid);

    std::thread::scope(|scope| {
        let waits = scope.spawn(|| names.look_up("mute", long()));
        until(|| on_demand("mute") == ServiceState::Starting);
        serving.stop();
        assert!(matches!(waits.join().unwrap(), Err(BootstrapError::Died)));
    });
}

#[test]
fn a_name_that_was_registered_is_there_as_long_as_its_port() {
    let (_serving, names) = family::server();
    let port = task().port(Capacity::Bounded(1));
    assert!(info(&names, "mine").is_none());
    names.register("mine", port.make_send().unwrap(), long()).unwrap();
    let (service, right) = info(&names, "mine").unwrap();
    assert_eq!(service.state, ServiceState::Running);
    assert_eq!(service.pid, Some(task().identity().pid));
    assert!(right.unwrap().same_port(&port.make_send().unwrap()));
    drop(port);
    assert!(info(&names, "mine").is_none());
}
