//! Fuzzes what lies in a lane: headers, attachments, names of rights.
//!
//! Whatever the bytes, nothing panics and nothing is read past their end. What
//! decodes encodes again to the same meaning; a header even to the same bytes,
//! since it has no byte without one.
#![no_main]

use abi::frame::{Attached, HEADER_BYTES, Header, PortStatus, flag};
use abi::limits;
use abi::right::RightRef;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    right(data);
    status(data);
    let Some((head, rest)) = data.split_first_chunk::<HEADER_BYTES>() else {
        return;
    };
    let Ok(header) = Header::decode(head) else {
        return;
    };
    assert_eq!(header.encode(), *head);
    assert!(header.room().is_multiple_of(8) && header.room() - header.length < 8);
    let parts = HEADER_BYTES + header.extra as usize + header.body_bytes();
    assert_eq!(parts, header.length as usize);
    let extra = rest.get(..header.extra as usize).unwrap_or(rest);
    attached(header.flags, extra);
});

fn attached(flags: u8, bytes: &[u8]) {
    let Ok(attached) = Attached::decode(flags, bytes) else {
        return;
    };
    assert!(attached.rights.len() <= limits::MESSAGE_RIGHTS);
    assert_eq!(attached.reply.is_some(), flags & flag::REPLY != 0);
    let mut again = Vec::new();
    let flags = attached.encode(&mut again);
    assert!(again.len() <= bytes.len());
    let mut meant = attached;
    if flags & flag::ATTACHED == 0 {
        // An attachment head that attaches nothing: its packet means nothing.
        meant.packet = 0;
    }
    assert_eq!(Attached::decode(flags, &again), Ok(meant));
}

fn right(bytes: &[u8]) {
    let Ok((right, used)) = RightRef::decode(bytes) else {
        return;
    };
    assert!(used <= bytes.len());
    let mut again = Vec::new();
    right.encode(&mut again);
    assert_eq!(RightRef::decode(&again), Ok((right, used)));
}

fn status(bytes: &[u8]) {
    if let Ok(status) = PortStatus::decode(bytes) {
        assert_eq!(Some(&status.encode()[..]), bytes.get(..PortStatus::BYTES));
    }
}
