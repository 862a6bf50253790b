//! However many ask at once, one process is started, and all get a right to it.

mod family;

use family::{NAME, long, pid_of, serve_if_acting, server_of};

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

#[test]
fn twenty_look_ups_start_one_process() {
    let (serving, names) = server_of("service_part");
    let ready = std::sync::Barrier::new(20);
    let pids: Vec<i32> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    ready.wait();
                    pid_of(&names.look_up(NAME, long()).unwrap())
                })
            })
            .collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    // This is the only test in this binary that has children.
    assert_eq!(family::children().len(), 1);
    serving.stop();
    assert_eq!(family::children(), []);
}
