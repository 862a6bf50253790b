//! A server's place is its own: no second server, no stranger's directory, and
//! nothing left of a dead one that keeps the next one out.

mod family;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use boot::Server;
use boot::socket::{SocketError, prepare};
use family::{NAME, Place, long, started, until};
use pillarbox::{Bootstrap, Capacity, Task};

#[test]
fn the_second_server_is_refused() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    let first = prepare(&path).unwrap();
    // Before it listens, while it listens, and at another name beside it.
    assert!(matches!(prepare(&path), Err(SocketError::InUse(_))));
    let server = Server::new(&Task::new()).unwrap().listen(first.path()).unwrap();
    let (serving, _) = started(server);
    let error = prepare(&path).unwrap_err();
    assert!(error.to_string().contains("a server runs at"), "{error}");
    assert!(matches!(prepare(place.path().join("other.sock")), Err(SocketError::InUse(_))));
    // The refused have done no harm.
    let names = Bootstrap::at(&path, long()).unwrap();
    let port = family::task().port(Capacity::Bounded(1));
    names.check_in(NAME, &port, long()).unwrap();
    serving.stop();
    drop(first);
    assert_eq!(place.names(), Vec::<String>::new());
    prepare(&path).unwrap();
}

#[test]
fn who_only_looks_keeps_no_server_out() {
    use rustix::fs::FlockOperation;
    let place = Place::new();
    let path = place.path().join("boot.sock");
    let look = std::fs::File::open(place.path()).unwrap();
    rustix::fs::flock(&look, FlockOperation::NonBlockingLockShared).unwrap();
    // It is in the midst of its look, for however long it is not let run.
    std::thread::scope(|scope| {
        let server = scope.spawn(|| prepare(&path));
        let tried = std::time::Instant::now();
        until(|| tried.elapsed() > std::time::Duration::from_millis(50) || server.is_finished());
        drop(look);
        assert!(server.join().unwrap().is_ok());
    });
    // A server is told from it at once.
    let _server = prepare(&path).unwrap();
    assert!(matches!(prepare(&path), Err(SocketError::InUse(_))));
}

#[test]
fn a_living_server_without_a_lock_is_not_replaced() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    let (_serving, _) = started(Server::new(&Task::new()).unwrap().listen(&path).unwrap());
    assert!(matches!(prepare(&path), Err(SocketError::InUse(_))));
    assert!(Bootstrap::at(&path, long()).is_ok());
    let stream = place.path().join("stream.sock");
    let _listener = UnixListener::bind(&stream).unwrap();
    assert!(matches!(prepare(&stream), Err(SocketError::InUse(_))));
}

#[test]
fn the_socket_of_a_dead_server_is_replaced() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    // What a killed server leaves: a socket nobody listens at.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let locked = prepare(&path).unwrap();
    assert!(!path.exists());
    let server = Server::new(&Task::new()).unwrap().listen(locked.path()).unwrap();
    let (_serving, _) = started(server);
    assert!(Bootstrap::at(&path, long()).is_ok());
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(prepare(&path), Err(SocketError::NotASocket(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    // Nor is what a link leads to.
    let link = place.path().join("link.sock");
    symlink(&path, &link).unwrap();
    assert!(matches!(prepare(&link), Err(SocketError::NotASocket(_))));
}

#[test]
fn a_directory_open_to_others_is_refused_with_the_cure() {
    let place = Place::new();
    let path = place.path().join("boot.sock");
    for mode in [0o755, 0o770, 0o701, 0o1700, 0o500] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(place.path(), permissions).unwrap();
        let error = prepare(&path).unwrap_err();
        assert!(matches!(&error, SocketError::Open { mode: seen, .. } if *seen == mode));
        let cure = format!("chmod 700 {}", place.path().display());
        assert!(error.to_string().contains(&cure), "{error}");
    }
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    prepare(&path).unwrap();
}

#[test]
fn the_directory_of_somebody_else_is_refused() {
    // As root everything else is ours, so one is given away; as a user the root
    // is somebody else's.
    let place = Place::new();
    let given = place.path().join("given");
    std::fs::create_dir(&given).unwrap();
    let root = rustix::process::geteuid().is_root();
    let path = if root {
        std::os::unix::fs::chown(&given, Some(12345), None).unwrap();
        given.join("boot.sock")
    } else {
        "/boot.sock".into()
    };
    let error = prepare(path).unwrap_err();
    assert!(matches!(error, SocketError::NotOurs { .. }), "{error}");
}

#[test]
fn a_link_to_a_directory_is_refused() {
    let (place, real) = (Place::new(), Place::new());
    let link = place.path().join("link");
    symlink(real.path(), &link).unwrap();
    let error = prepare(link.join("boot.sock")).unwrap_err();
    assert!(matches!(error, SocketError::NotADirectory(_)), "{error}");
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = prepare(file.join("boot.sock")).unwrap_err();
    assert!(matches!(error, SocketError::NotADirectory(_)), "{error}");
}

#[test]
fn a_missing_directory_is_made_and_taken_away_again() {
    let place = Place::new();
    let directory = place.path().join("pillarbox");
    let locked = prepare(directory.join("boot.sock")).unwrap();
    let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    let server = Server::new(&Task::new()).unwrap().listen(locked.path()).unwrap();
    started(server).0.stop();
    drop(locked);
    assert!(!directory.exists());
    // Where something else lies in it, it stays.
    let locked = prepare(directory.join("boot.sock")).unwrap();
    std::fs::write(directory.join("other"), "").unwrap();
    drop(locked);
    assert!(directory.exists());
    // Its parents are not made.
    let deep = place.path().join("a/b/boot.sock");
    let error = prepare(deep).unwrap_err();
    assert!(matches!(error, SocketError::NotMade { .. }), "{error}");
    assert!(matches!(prepare("/"), Err(SocketError::NotAPath(_))));
}

#[test]
fn of_many_at_once_one_gets_the_place() {
    let place = Place::new();
    let path = place.path().join("pillarbox/boot.sock");
    for _ in 0..50 {
        let ready = std::sync::Barrier::new(4);
        let done = std::sync::Barrier::new(4);
        let got: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        ready.wait();
                        let locked = prepare(&path);
                        done.wait();
                        usize::from(locked.is_ok())
                    })
                })
                .collect();
            tries.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(got, 1);
        // Who made it may not be who got it, and only he who did both took it
        // away: for the next round it may be there or not.
    }
}
