//! Who comes to the socket and says nothing, says nonsense, or comes ten thousand times
//! costs the server a bounded number of descriptors, and keeps nobody else out.

mod family;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use family::placed::{self, serve_if_acting};
use family::{Place, Reaped, long, until};
use pillarbox::bootstrap::Bootstrap;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

#[test]
fn server_part() {
    serve_if_acting("server_part", |server| server);
}

/// A server in a process of its own, whose descriptors can be counted.
fn start(place: &Place) -> (Reaped, PathBuf) {
    (placed::start("server_part", place), placed::path(place))
}

fn descriptors(server: &Reaped) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// A connection that speaks no word of ours; none where too many wait.
fn knock(path: &Path) -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).unwrap()).ok()?;
    Some(socket)
}

/// Somebody who means it: connects anew, and is answered.
fn ask(path: &Path) {
    let names = Bootstrap::at(path, long()).unwrap();
    assert!(names.list(long()).unwrap().is_empty());
}

/// What the server has open where nobody is there: more than this and two limits is a leak.
const ROOM: usize = 64;

#[test]
fn ten_thousand_connections_keep_nobody_out() {
    let place = Place::new();
    let (server, path) = start(&place);
    ask(&path);
    let before = descriptors(&server);
    let most = before + pillarbox::limits::STRANGERS + ROOM;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            // As many at once as we have descriptors for; the oldest leave.
            let mut open = std::collections::VecDeque::new();
            let mut made = 0;
            while made < 10_000 && !over.load(Ordering::Relaxed) {
                match knock(&path) {
                    Some(socket) => {
                        made += 1;
                        open.push_back(socket);
                    }
                    None => std::thread::yield_now(),
                }
                if open.len() > 400 {
                    open.pop_front();
                }
            }
            made
        });
        let mut asked = 0;
        while !crowd.is_finished() {
            ask(&path);
            asked += 1;
            let open = descriptors(&server);
            if open > most {
                over.store(true, Ordering::Relaxed);
                panic!("{open} descriptors are open, {before} were before");
            }
        }
        assert_eq!(crowd.join().unwrap(), 10_000);
        assert!(asked > 0);
    });
    ask(&path);
    until(|| descriptors(&server) <= before + 2);
}

#[test]
fn who_says_nonsense_or_nothing_is_shown_out() {
    let place = Place::new();
    let (server, path) = start(&place);
    ask(&path);
    let before = descriptors(&server);
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut strangers = Vec::new();
    for length in [0_usize, 1, 7, 64, 512, 4096, 60_000] {
        let Some(socket) = knock(&path) else { panic!("nobody else is there") };
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_le_bytes()[0]
            })
            .collect();
        // The longer ones are refused while they speak.
        for _ in 0..3 {
            let _ = rustix::net::send(&socket, &bytes, SendFlags::NOSIGNAL);
        }
        strangers.push(socket);
        ask(&path);
    }
    // Each is hung up on: those who spoke at once, the others when they were waited for.
    for socket in strangers {
        let mut space = [0; 4096];
        until(|| match rustix::net::recv(&socket, &mut space, RecvFlags::empty()) {
            Ok((_, 0)) => true,
            Ok(_) | Err(rustix::io::Errno::AGAIN) => false,
            Err(_) => true,
        });
    }
    ask(&path);
    until(|| descriptors(&server) <= before + 2);
}
