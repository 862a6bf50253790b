//! Pulses: a number in the order of the letters, in a message that is all header.

use pillarbox::{Pulse, PulseError};

use super::held::Known;
use super::voice::Voice;
use crate::kills::letter::Stream;
use crate::kills::sends::How;

/// Sends one, now or not at all.
pub(super) fn send(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    let (from, number) = voice.next_number(&to, 0);
    let id = voice.chance.below(1000) as i32;
    match to.right.pulse(id, from.0 << 32 | number, 0) {
        Ok(()) => {
            to.confirm();
            voice.was_accepted(to.port, from, number, How::Pulse);
            voice.own.count("pulses");
        }
        Err(why) => failed(voice, &to, why),
    }
}

fn failed(voice: &Voice, to: &Known, why: PulseError) {
    match why {
        PulseError::NoRoom | PulseError::NotJoined(_) => {}
        PulseError::Dead => voice.own.saw_dead(&to.trust()),
        PulseError::Revoked if to.port.is_facet() => voice.own.saw_dead(&to.trust()),
        other => voice.own.broken(format_args!("a pulse to {:?} failed: {other}", to.port)),
    }
}

/// Whose it is, and its number.
pub(super) const fn read(pulse: &Pulse) -> (Stream, u64) {
    (Stream(pulse.value >> 32), pulse.value & 0xffff_ffff)
}
