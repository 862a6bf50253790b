//! What stands behind a received message: who sent it, as the kernel knows.

use pillarbox::{Identity, TaskId};

/// What a trailer may tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trailer {
    pub(crate) seqno: u32,
    pub(crate) context: u64,
    pub(crate) sender: Option<Identity>,
    /// The message says it is news of its sender's task: believed of our own.
    pub(crate) is_news: bool,
}

/// The size of what the options ask for.
pub(crate) const fn size(options: i32) -> usize {
    match (options >> 24) & 0xf {
        0 => 8,
        1 => 12,
        2 => 20,
        3 => 52,
        4 => 60,
        _ => 68,
    }
}

impl Trailer {
    /// Puts the bytes the options ask for behind the others.
    pub(crate) fn put_behind(self, bytes: &mut Vec<u8>, options: i32, own: TaskId) {
        let sender = self.sender.filter(|sender| !(self.is_news && sender.task == own));
        let (pid, uid, gid) =
            sender.map_or((0, 0, 1), |sender| (sender.pid as u32, sender.uid, sender.gid));
        let audit = match sender {
            // Audit id, effective and real user and group, process, session, version.
            Some(_) => [uid, uid, gid, uid, gid, pid, 0, 1],
            None => [0; 8],
        };
        let size = size(options);
        let end = bytes.len() + size;
        let words = [0, size as u32, self.seqno, uid, gid];
        for word in words.into_iter().chain(audit) {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(&self.context.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::word;

    fn told(trailer: Trailer, options: i32, own: TaskId) -> Vec<u8> {
        let mut bytes = Vec::new();
        trailer.put_behind(&mut bytes, options, own);
        bytes
    }

    #[test]
    fn a_trailer_has_the_size_that_is_asked_for() {
        let own = pillarbox::Task::new().identity();
        let trailer =
            Trailer { seqno: 9, context: 0x1_0000_0002, sender: Some(own), is_news: false };
        for (elements, size) in
            [(0, 8), (1, 12), (2, 20), (3, 52), (4, 60), (5, 68), (7, 68), (8, 68)]
        {
            let bytes = told(trailer, elements << 24, own.task);
            assert_eq!((bytes.len(), word(&bytes, 4)), (size, size as u32));
        }
        let bytes = told(trailer, 4 << 24, own.task);
        assert_eq!((word(&bytes, 8), word(&bytes, 12)), (9, own.uid));
        assert_eq!(word(&bytes, 20 + 4 * 5), own.pid as u32);
        assert_eq!((word(&bytes, 52), word(&bytes, 56)), (2, 1));
    }

    #[test]
    fn news_has_no_sender_where_it_is_our_own() {
        let own = pillarbox::Task::new().identity();
        let trailer = Trailer { seqno: 0, context: 0, sender: Some(own), is_news: true };
        let bytes = told(trailer, 3 << 24, own.task);
        assert!(bytes[20..].iter().all(|byte| *byte == 0));
        assert_eq!((word(&bytes, 12), word(&bytes, 16)), (0, 1));
        let other = pillarbox::Task::new().identity();
        let said = told(trailer, 3 << 24, other.task);
        assert_eq!(word(&said, 40), own.pid as u32);
    }
}
