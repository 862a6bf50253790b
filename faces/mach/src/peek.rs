//! A look at a message that stays where it is.

use pillarbox::Deadline;

use crate::codes::*;
use crate::letter;
use crate::names::{Name, is_valid};
use crate::receive::Known;
use crate::send::HEADER;
use crate::space::{NotTaken, Space};
use crate::trailer::{self, Trailer};

/// What there is to see of a message.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) seqno: u32,
    /// Its bytes, the trailer left out.
    pub(crate) size: u32,
    pub(crate) id: i32,
    pub(crate) trailer: Vec<u8>,
}

/// Looks at the first message of a port, or at the one that will have the number `wanted`.
pub(crate) fn peek(
    space: &mut Space,
    name: Name,
    wanted: u32,
    options: u32,
    room: u32,
) -> Result<Seen, Code> {
    const AUDIT: u32 = 3;
    let elements = options >> 24 & 0xf;
    let format = options >> 28;
    let options = (elements << 24) as i32;
    if format != 0 || elements > AUDIT || (room as usize) < trailer::size(options) {
        return Err(KERN_INVALID_VALUE);
    }
    if !is_valid(name) {
        return Err(KERN_INVALID_NAME);
    }
    let own = space.task.identity().task;
    let receive = space.receive(name).map_err(|why| match why {
        NotTaken::Name => KERN_INVALID_NAME,
        NotTaken::Right | NotTaken::Disposition => KERN_INVALID_RIGHT,
    })?;
    // Messages are numbered as they are taken: the first has the next number.
    let first = receive.next_seqno();
    let mut left = if wanted == 0 { 0 } else { wanted.wrapping_sub(first) };
    let seqno = first.wrapping_add(left);
    let mut seen = None;
    // Nothing is wanted: each is only looked at.
    let _ = receive.right.receive_where(
        |message| {
            if seen.is_none() && left == 0 {
                let mut bytes = vec![0; HEADER];
                let Known { flags, id, .. } = Known::of(message, &mut bytes);
                let size = bytes.len() as u32;
                bytes.clear();
                let is_news = flags & letter::NEWS != 0;
                let trailer = Trailer { seqno, context: 0, sender: message.sender(), is_news };
                trailer.put_behind(&mut bytes, options, own);
                seen = Some(Seen { seqno, size, id, trailer: bytes });
            }
            left = left.wrapping_sub(1);
            false
        },
        Deadline::Now,
    );
    seen.ok_or(KERN_FAILURE)
}
