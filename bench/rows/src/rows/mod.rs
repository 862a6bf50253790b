//! The rows, one file for each kind of doubt.

mod asleep;
mod awake;
mod fanin;
mod futures;
mod idle;
mod life;
mod local;
mod rights;
pub(crate) mod server;
mod stream;

use crate::child::Part;
use crate::place::Place;
use crate::row::{Goal, Row, State, Unit};

/// Every row, in the order of the table.
pub const ROWS: &[Row] = &[
    Row {
        name: "rtt-awake",
        unit: Unit::Nanoseconds,
        about: "64 bytes to the server's port and 64 back to the client's",
        limit: "a bare ring there and one back",
        goal: Goal::RatioAtMost(1.3),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: awake::round_trip,
    },
    Row {
        name: "call-awake",
        unit: Unit::Nanoseconds,
        about: "a call with 64 bytes each way and a fresh reply right",
        limit: "a bare ring there and one back",
        goal: Goal::RatioAtMost(1.5),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: awake::call,
    },
    Row {
        name: "call-asleep-two-cores",
        unit: Unit::Nanoseconds,
        about: "the same call where both ends have gone to sleep before it",
        limit: "the best of futex, eventfd, pipe and socket",
        goal: Goal::RatioAtMost(1.1),
        state: State::Asleep,
        place: Place::TwoCores,
        once: false,
        make: asleep::call,
    },
    Row {
        name: "call-asleep-one-core",
        unit: Unit::Nanoseconds,
        about: "the same where both ends share a core",
        limit: "the best of futex, eventfd, pipe and socket",
        goal: Goal::RatioAtMost(1.3),
        state: State::Asleep,
        place: Place::OneCore,
        once: false,
        make: asleep::call,
    },
    Row {
        name: "oneway-64",
        unit: Unit::PerSecond,
        about: "64 bytes one way, one send each",
        limit: "a bare ring that can sleep, each frame published alone",
        goal: Goal::RatioAtLeast(0.4),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: stream::each,
    },
    Row {
        name: "oneway-64-streamed",
        unit: Unit::PerSecond,
        about: "64 bytes one way, as many as can be sent; the library has no call that sends many yet, so these are single sends",
        limit: "a bare ring that can sleep, frames published in batches of 32",
        goal: Goal::RatioAtLeast(0.4),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: stream::streamed,
    },
    Row {
        name: "fanin-4-64",
        unit: Unit::PerSecond,
        about: "64 bytes from each of four processes into one port",
        limit: "four bare rings, polled by one reader",
        goal: Goal::RatioAtLeast(0.5),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: fanin::four,
    },
    Row {
        name: "copy-64k",
        unit: Unit::PerSecond,
        about: "64 KiB one way by copy",
        limit: "a bare ring of such frames",
        goal: Goal::RatioAtLeast(0.9),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: stream::copied_64k,
    },
    Row {
        name: "copy-1m",
        unit: Unit::PerSecond,
        about: "1 MiB one way by copy",
        limit: "a bare ring of such frames",
        goal: Goal::RatioAtLeast(0.9),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: stream::copied_1m,
    },
    Row {
        name: "right-transfer",
        unit: Unit::Nanoseconds,
        about: "a fresh right to my port, sent, and 64 bytes back by it; no descriptor is used",
        limit: "a round trip of 64 bytes by rights both have",
        goal: Goal::RatioAtMost(1.15),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: rights::transferred,
    },
    Row {
        name: "port-per-call",
        unit: Unit::Nanoseconds,
        about: "a port made, a right to it sent, 64 bytes received there, the port ended",
        limit: "a call",
        goal: Goal::RatioAtMost(1.5),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: rights::port_for_each,
    },
    Row {
        name: "local-create",
        unit: Unit::Nanoseconds,
        about: "a port made and let go; beside it the same with many alive",
        limit: "",
        goal: Goal::AtMost(150.0),
        state: State::Local,
        place: Place::TwoCores,
        once: false,
        make: local::create,
    },
    Row {
        name: "local-oneway",
        unit: Unit::PerSecond,
        about: "64 bytes from one thread to another",
        limit: "the best channel that runs beside it",
        goal: Goal::RatioAtLeast(0.9),
        state: State::Local,
        place: Place::TwoCores,
        once: false,
        make: local::one_way,
    },
    Row {
        name: "local-fanin",
        unit: Unit::PerSecond,
        about: "64 bytes from each of four threads to one",
        limit: "the best channel that runs beside it",
        goal: Goal::RatioAtLeast(0.9),
        state: State::Local,
        place: Place::TwoCores,
        once: false,
        make: local::fan_in,
    },
    Row {
        name: "local-pingpong",
        unit: Unit::Nanoseconds,
        about: "64 bytes to another thread and back",
        limit: "the best channel that runs beside it",
        goal: Goal::RatioAtMost(1.1),
        state: State::Local,
        place: Place::TwoCores,
        once: false,
        make: local::ping_pong,
    },
    Row {
        name: "third-party-first",
        unit: Unit::Nanoseconds,
        about: "from S sending B a right of A's to B's first message at A, where A and B have no link yet",
        limit: "",
        goal: Goal::AtMost(60_000.0),
        state: State::Awake,
        place: Place::Anywhere,
        once: false,
        make: rights::third_first,
    },
    Row {
        name: "third-party-later",
        unit: Unit::Nanoseconds,
        about: "the same where A and B have a link",
        limit: "",
        goal: Goal::AtMost(20_000.0),
        state: State::Awake,
        place: Place::Anywhere,
        once: false,
        make: rights::third_later,
    },
    Row {
        name: "async-call-awake",
        unit: Unit::Nanoseconds,
        about: "a call as a future, polled by one thread on the task's descriptor",
        limit: "the call that blocks",
        goal: Goal::RatioAtMost(1.5),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: futures::call,
    },
    Row {
        name: "async-call-asleep",
        unit: Unit::Nanoseconds,
        about: "the same where both ends have gone to sleep before it",
        limit: "the call that blocks",
        goal: Goal::RatioAtMost(1.5),
        state: State::Asleep,
        place: Place::TwoCores,
        once: false,
        make: futures::call,
    },
    Row {
        name: "select-100k",
        unit: Unit::Nanoseconds,
        about: "a message sent and received by its tag past 100,000 others that wait; beside it past none",
        limit: "",
        goal: Goal::AtMost(1_000.0),
        state: State::Local,
        place: Place::TwoCores,
        once: false,
        make: local::select,
    },
    Row {
        name: "call-pipelined-32",
        unit: Unit::PerSecond,
        about: "32 calls outstanding on one right",
        limit: "one call at a time, both ends asleep",
        goal: Goal::RatioAtLeast(5.0),
        state: State::Awake,
        place: Place::TwoCores,
        once: false,
        make: futures::pipelined,
    },
    Row {
        name: "death-notice",
        unit: Unit::Nanoseconds,
        about: "from the kernel's hang-up to the notice of a death",
        limit: "",
        goal: Goal::Nearly(200_000.0),
        state: State::Asleep,
        place: Place::Anywhere,
        once: false,
        make: life::deaths,
    },
    Row {
        name: "idle-wakeups",
        unit: Unit::Runs,
        about: "how often any thread of two linked processes ran while nothing was sent",
        limit: "",
        goal: Goal::AtMost(0.0),
        state: State::Asleep,
        place: Place::Anywhere,
        once: true,
        make: idle::idle,
    },
    Row {
        name: "start-to-first-reply",
        unit: Unit::Nanoseconds,
        about: "from starting a client process to its first answer of a named service",
        limit: "",
        goal: Goal::AtMost(3_000_000.0),
        state: State::Either,
        place: Place::Anywhere,
        once: false,
        make: life::starts,
    },
    Row {
        name: "idle-link-bytes",
        unit: Unit::Bytes,
        about: "memory of a task for each idle link, private and shared",
        limit: "",
        goal: Goal::Stated,
        state: State::Asleep,
        place: Place::Anywhere,
        once: true,
        make: idle::links,
    },
    Row {
        name: "idle-right-bytes",
        unit: Unit::Bytes,
        about: "memory of a task for each send right it holds, over ten links",
        limit: "",
        goal: Goal::Stated,
        state: State::Asleep,
        place: Place::Anywhere,
        once: true,
        make: idle::rights,
    },
];

/// Rows of the plan that are not here, and why: what is not built is not measured.
pub const ABSENT: &[(&str, &str)] = &[
    ("loan-64k", LOANS),
    ("loan-1m", LOANS),
    ("loan-1m-untouched", LOANS),
    ("sealed-1m-to-8", "the library has no regions that are sealed once and sent to many"),
];

const LOANS: &str = "the library has no loans: a body is copied, or travels in memory of its own";

/// What children can act.
pub(crate) const PARTS: &[Part] = &[
    Part { name: server::SERVER, act: server::serve },
    Part { name: awake::ECHOES, act: awake::echo },
    Part { name: asleep::SLEEPS, act: asleep::sleep },
    Part { name: stream::DRAINS, act: stream::drain },
    Part { name: fanin::SENDS, act: fanin::send },
    Part { name: fanin::FILLS, act: fanin::fill },
    Part { name: rights::THIRD, act: rights::third },
    Part { name: life::DIES, act: life::die },
    Part { name: life::NAMED, act: life::serve },
    Part { name: life::STARTS, act: life::start },
    Part { name: idle::WAITS, act: idle::wait },
    Part { name: idle::HUB, act: idle::hub },
    Part { name: idle::SPOKES, act: idle::spokes },
    Part { name: idle::GIVES, act: idle::give },
    Part { name: idle::KEEPS, act: idle::keep },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_and_no_two_parts_share_a_name() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(ROWS[at + 1..].iter().all(|other| other.name != row.name), "{}", row.name);
        }
        for (at, part) in PARTS.iter().enumerate() {
            assert!(PARTS[at + 1..].iter().all(|other| other.name != part.name), "{}", part.name);
        }
    }
}
