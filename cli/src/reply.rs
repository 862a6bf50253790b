//! What the reply of `pillarbox serve` looks like, and how `call` reads any
//! reply.
//!
//! | field | says                                                           |
//! |-------|----------------------------------------------------------------|
//! | id    | 0 to 255: the exit status of the run, 128+n for signal n       |
//! |       | below 0: there was no run, and the body is the reason as text  |
//! | tag   | how many bytes at the end of the body are standard error       |
//! | body  | standard output, then standard error                           |
//!
//! Nothing is encoded, so the bytes of the program are copied once. A service
//! that knows nothing of this and answers with a body alone says by that: exit
//! status 0, all of it standard output. That is why the tag counts standard
//! error and not standard output. A reply that fits no row of the table, its id
//! above 255 or its tag longer than its body, is taken as a body alone too.

use pillarbox::{Message, limits};

/// A reply to a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    /// A run has ended.
    Ended { code: u8, stdout: &'a [u8], stderr: &'a [u8] },
    /// There was none, and why.
    Refused(&'a [u8]),
}

/// The id of a reply that is a reason.
const REFUSED: i32 = -1;

impl<'a> Reply<'a> {
    pub(crate) fn read(message: &'a Message) -> Self {
        Reply::from_parts(message.id(), message.tag(), message.body())
    }

    fn from_parts(id: i32, tag: u64, body: &'a [u8]) -> Self {
        if id < 0 {
            return Reply::Refused(body);
        }
        let split = usize::try_from(tag).ok().and_then(|errors| body.len().checked_sub(errors));
        match (u8::try_from(id), split) {
            (Ok(code), Some(split)) => {
                let (stdout, stderr) = body.split_at(split);
                Reply::Ended { code, stdout, stderr }
            }
            (Ok(_) | Err(_), _) => Reply::Ended { code: 0, stdout: body, stderr: &[] },
        }
    }
}

/// The reply to a run that has ended; a reason where it does not fit into one.
pub(crate) fn ended(code: u8, mut stdout: Vec<u8>, mut stderr: Vec<u8>) -> Message {
    let (output_bytes, error_bytes) = (stdout.len() as u64, stderr.len() as u64);
    if output_bytes + error_bytes > limits::MESSAGE_BYTES {
        return refused(&too_long());
    }
    stdout.append(&mut stderr);
    Message::new(stdout).with_id(i32::from(code)).with_tag(error_bytes)
}

/// The reason why there was no run.
pub(crate) fn refused(reason: &str) -> Message {
    Message::new(reason.as_bytes()).with_id(REFUSED)
}

/// That a run has said more than a message carries.
pub(crate) fn too_long() -> String {
    format!("the output is longer than one message carries, {} bytes", limits::MESSAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serve_says_call_reads() {
        let message = ended(7, b"out".to_vec(), b"err".to_vec());
        let expected = Reply::Ended { code: 7, stdout: b"out", stderr: b"err" };
        assert_eq!(Reply::read(&message), expected);
        assert_eq!(Reply::read(&refused("no")), Reply::Refused(b"no"));
    }

    #[test]
    fn a_reply_of_another_kind_is_a_body() {
        let body = Reply::Ended { code: 0, stdout: b"body", stderr: b"" };
        for (id, tag) in [(0, 0), (256, 1), (3, 5), (0, u64::MAX), (i32::MAX, 0)] {
            assert_eq!(Reply::from_parts(id, tag, b"body"), body, "{id} {tag}");
        }
    }
}
