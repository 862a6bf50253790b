//! Whatever a caller sends, the server says what is wrong with it and serves on.

mod family;

use family::{NAME, ask, long, refused, request, server, task};
use pillarbox::bootstrap::{Answer, BootstrapError, Listed, Refused, Request};
use pillarbox::{Capacity, Message, NameError};

const BAD_REQUEST: Answer = Answer::Refused(Refused::BadRequest);
const BAD_NAME: Answer = Answer::Refused(Refused::BadName);

#[test]
fn each_bad_name_has_its_own_error_at_the_client() {
    let (_serving, names) = server();
    let error = |name: &str| match names.look_up(name, long()) {
        Err(BootstrapError::Name(error)) => error,
        other => panic!("{name:?}: {other:?}"),
    };
    assert_eq!(error(""), NameError::Empty);
    assert_eq!(error(&"a".repeat(256)), NameError::TooLong(256));
    assert_eq!(error("a\0b"), NameError::Control);
    assert_eq!(refused(names.look_up(&"a".repeat(255), long())), Refused::NoSuchName);
}

#[test]
fn each_bad_name_is_refused_by_the_server() {
    let (_serving, names) = server();
    for bad in ["", "a\nb", &"a".repeat(256), &"a".repeat(5000)] {
        let look_up = Request::LookUp { name: bad.into(), start: true, wait_ns: None };
        assert_eq!(ask(&names, request(&look_up)), BAD_NAME, "{bad:?}");
        let unregister = Request::Unregister { name: bad.into() };
        assert_eq!(ask(&names, request(&unregister)), BAD_NAME, "{bad:?}");
        let list = Request::List { after: Some(bad.into()) };
        assert_eq!(ask(&names, request(&list)), BAD_NAME, "{bad:?}");
        let watch = Request::Watch { name: bad.into(), known: None };
        assert_eq!(ask(&names, request(&watch)), BAD_NAME, "{bad:?}");
        for listed in [Listed::new(bad), Listed::new(NAME).called(bad)] {
            let subset = Request::Subset { names: vec![listed] };
            assert_eq!(ask(&names, request(&subset)), BAD_NAME, "{bad:?}");
        }
        let port = task().port(Capacity::Bounded(1));
        let check_in = request(&Request::CheckIn { name: bad.into() });
        let check_in = check_in.with_right(port.make_send().unwrap());
        assert_eq!(ask(&names, check_in), BAD_NAME, "{bad:?}");
    }
}

#[test]
fn garbage_is_refused() {
    let (_serving, names) = server();
    let not_utf8 = {
        let mut bytes = postcard::to_stdvec(&Request::Unregister { name: "abc".into() }).unwrap();
        let last = bytes.len() - 1;
        bytes[last] = 0xff;
        bytes
    };
    let bodies = [vec![], vec![0xff; 16], vec![0; 1], not_utf8, vec![3; 100_000], vec![0x80; 12]];
    for body in bodies {
        let length = body.len();
        assert_eq!(ask(&names, Message::new(body)), BAD_REQUEST, "{length} bytes");
    }
    // Every start of a good request, and every byte of it changed.
    let listed = vec![Listed::new(NAME).called("a").ids(1..=2).messages(3), Listed::new("b")];
    for good in [
        Request::LookUp { name: NAME.into(), start: false, wait_ns: Some(1 << 40) },
        Request::Watch { name: NAME.into(), known: None },
        Request::Subset { names: listed },
    ] {
        let good = postcard::to_stdvec(&good).unwrap();
        for length in 0..good.len() {
            assert_eq!(ask(&names, Message::new(&good[..length])), BAD_REQUEST);
        }
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x80;
            // It may still be a request; an answer it has in any case.
            let _ = ask(&names, Message::new(bad));
        }
    }
    assert_eq!(refused(names.look_up(NAME, long())), Refused::NoSuchName);
}

#[test]
fn rights_that_do_not_belong_there_are_refused() {
    let (_serving, names) = server();
    let port = task().port(Capacity::Bounded(1));
    let right = || port.make_send().unwrap();
    let check_in = || request(&Request::CheckIn { name: NAME.into() });
    assert_eq!(ask(&names, check_in()), BAD_REQUEST);
    // The second is one to look at who asks.
    let three = check_in().with_right(right()).with_right(right()).with_right(right());
    assert_eq!(ask(&names, three), BAD_REQUEST);
    let once = port.make_send_once().unwrap();
    assert_eq!(ask(&names, check_in().with_right(once)), BAD_REQUEST);
    let list = request(&Request::List { after: None });
    assert_eq!(ask(&names, list.with_right(right())), BAD_REQUEST);
    let stop = request(&Request::Stop);
    assert_eq!(ask(&names, stop.with_right(right())), BAD_REQUEST);
    let (_read, write) = std::io::pipe().unwrap();
    let list = request(&Request::List { after: None });
    assert_eq!(ask(&names, list.with_descriptor(write.into())), BAD_REQUEST);
    // What was sent in vain is not kept.
    assert_eq!(port.status().senders, 0);
    assert!(names.list(long()).unwrap().is_empty());
}

#[test]
fn a_request_without_a_reply_is_done_or_dropped() {
    let (_serving, names) = server();
    let port = task().port(Capacity::Bounded(1));
    let check_in = request(&Request::CheckIn { name: NAME.into() });
    names.right().send(check_in.with_right(port.make_send().unwrap()), long()).unwrap();
    names.right().send(Message::new("garbage"), long()).unwrap();
    names.right().send(family::look_up_request(NAME), long()).unwrap();
    assert!(names.look_up(NAME, long()).is_ok());
}
