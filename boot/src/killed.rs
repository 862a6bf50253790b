//! Servers that are killed before each of their steps, in each kind of request.
//!
//! The server is the real one, in a process of its own, and is killed by the real signal.
//! Its steps are counted by kinds ([`crate::step`]): a run has one place where it is
//! killed, and the next run the place after, until there is no step of that number.
//! What asks it are two tasks of this process and services that it starts; after its
//! death a next server is started, all connect to it, and put their names there again.
//!
//! | file          | part                                                 |
//! |---------------|------------------------------------------------------|
//! | this one      | runs, one for each step, and rules that are broken   |
//! | `plan.rs`     | in the server: where it is killed, what it breaks    |
//! | `parts.rs`    | the processes of a world                             |
//! | `world.rs`    | servers one after the other, and who asks them       |
//! | `requests.rs` | what is asked, of each kind                          |
//! | `check.rs`    | what must hold                                       |

#[path = "../tests/family/mod.rs"]
mod family;

mod check;
mod parts;
pub(crate) mod plan;
mod requests;
mod world;

use std::time::Duration;

use pillarbox::Deadline;

use self::check::{Kind, Violation};
use self::world::World;
use crate::step::{Rule, Step};

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    First,
    Successor,
}

/// One run.
#[derive(Clone, Copy, Debug)]
struct Plan {
    victim: Victim,
    /// Before which step it is killed: of this kind, after so many; none where it is not.
    at: (Step, Option<u64>),
    broken: Option<Rule>,
}

impl Plan {
    /// How long something may take.
    fn patience(self) -> Deadline {
        // What a broken rule keeps waiting for ever is not waited for as long.
        Deadline::after(Duration::from_secs(if self.broken.is_some() { 10 } else { 20 }))
    }
}

/// What is asked.
type Requests = fn(&mut World) -> Result<(), Violation>;

/// One run. Returns whether the victim was killed, and the kinds of its steps.
fn run(requests: Requests, plan: Plan) -> Result<(bool, Vec<Step>), (Plan, Violation)> {
    let done = World::new(plan).and_then(|mut world| {
        requests(&mut world)?;
        world.audit_is_true()?;
        Ok((world.killed(), world.steps()))
    });
    done.map_err(|violation| (plan, violation))
}

/// Lets the victim live, which shows the kinds of its steps; then kills it before the
/// first of each kind, then before the second, until there is none of that number.
/// Returns the kind of each step that it was killed before, or what did not hold.
fn each_step(
    requests: Requests,
    victim: Victim,
    broken: Option<Rule>,
) -> Result<Vec<Step>, (Plan, Violation)> {
    let (_, kinds) = run(requests, Plan { victim, at: (Step::Wait, None), broken })?;
    let mut killed_before = Vec::new();
    for kind in kinds {
        for number in 0.. {
            let (killed, _) = run(requests, Plan { victim, at: (kind, Some(number)), broken })?;
            if !killed {
                break;
            }
            killed_before.push(kind);
        }
    }
    Ok(killed_before)
}

/// All holds, wherever the victim is killed; and it was killed before each of these.
#[track_caller]
fn holds(requests: Requests, victim: Victim, must: &[&[Step]]) {
    let steps = match each_step(requests, victim, None) {
        Ok(steps) => steps,
        Err((plan, violation)) => panic!("{plan:?}: {violation}"),
    };
    for step in must.concat() {
        assert!(steps.contains(&step), "never before {step:?}: {steps:?}");
    }
}

/// The steps of every request, and those of some.
const EACH: &[Step] = &[Step::Wait, Step::Take, Step::Answer];
const NAMED: &[Step] = &[Step::Arm];
const FORGOTTEN: &[Step] = &[Step::Forget];
const STARTED: &[Step] = &[Step::Start, Step::Watch];
const ENDED: &[Step] = &[Step::End, Step::Reap];
const READ: &[Step] = &[Step::Turn];
const CLOSED: &[Step] = &[Step::Close];
const LEAVING: &[Step] =
    &[Step::Rest, Step::Part, Step::Shut, Step::Pack, Step::Move, Step::Moved, Step::Leave];
const STAYING: &[Step] = &[Step::TakeBack];
const COMING: &[Step] = &[Step::Ask, Step::Inbox, Step::Open, Step::TakeIn, Step::Word];

#[test]
fn names_are_put_there_found_and_freed() {
    holds(requests::names, Victim::First, &[EACH, NAMED]);
}

#[test]
fn a_watch_tells_who_comes_and_goes() {
    holds(requests::watch, Victim::First, &[EACH]);
}

#[test]
fn a_restricted_right_is_made_used_and_forgotten() {
    holds(requests::subset, Victim::First, &[EACH, FORGOTTEN]);
}

#[test]
fn a_look_up_starts_a_program_once_or_says_why_not() {
    holds(requests::activation, Victim::First, &[EACH, STARTED]);
}

#[test]
fn a_service_is_started_stopped_and_restarted_by_hand() {
    holds(requests::orders, Victim::First, &[EACH, STARTED, ENDED]);
}

#[test]
fn a_queue_is_read_by_its_service() {
    holds(requests::queue, Victim::First, &[EACH, STARTED, READ]);
}

#[test]
fn a_server_that_ends_in_order_leaves_its_place() {
    holds(requests::end, Victim::First, &[EACH, CLOSED]);
}

#[test]
fn a_server_that_is_replaced_is_killed() {
    holds(requests::hand_over, Victim::First, &[EACH, LEAVING]);
}

#[test]
fn a_server_that_replaces_another_is_killed() {
    holds(requests::hand_over, Victim::Successor, &[EACH, COMING]);
}

#[test]
fn a_server_whose_successor_gives_up_is_killed() {
    holds(requests::failed_hand_over, Victim::First, &[EACH, STAYING]);
}

#[test]
fn there_is_no_step_that_nobody_is_killed_before() {
    let must =
        [EACH, NAMED, FORGOTTEN, STARTED, ENDED, READ, CLOSED, LEAVING, STAYING, COMING].concat();
    for step in Step::ALL {
        assert!(must.contains(step), "{step:?}");
    }
}

#[test]
fn a_rule_that_is_broken_is_found_out() {
    for rule in Rule::ALL.iter().copied() {
        let (requests, kind): (Requests, Kind) = match rule {
            Rule::WaitersAreTold => (requests::activation, Kind::WaitsEnd),
            Rule::OneHolder => (requests::names, Kind::OneHolder),
            Rule::OneChild => (requests::activation, Kind::OneStart),
            Rule::QueuesGoAlong => (requests::hand_over, Kind::NothingLost),
            Rule::NamesGoAlong => (requests::hand_over, Kind::OneHolder),
            Rule::DecisionsAreKept => (requests::names, Kind::Audit),
        };
        match each_step(requests, Victim::First, Some(rule)) {
            Err((_, violation)) => assert_eq!(violation.kind, kind, "{rule:?}: {violation}"),
            Ok(_) => panic!("{rule:?} was broken, and nobody saw it"),
        }
    }
}
