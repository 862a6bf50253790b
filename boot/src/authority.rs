//! Who may look a name up, and who may put a right under it: the rules, with no process
//! and no clock. The keeper says who asks, and does what is decided.
//!
//! | name                        | looked up by          | checked in by                 |
//! |-----------------------------|-----------------------|-------------------------------|
//! | of no service               | the server's own user | the server's own user         |
//! | of a service, without rules | the server's own user | the process started for it    |
//! | of a service, with rules    | whom one of them lets | that process, and whom one lets |
//!
//! What is not said is closed to other users. A rule only ever lets in; there is none
//! that shuts out, so their order decides nothing but which of them is named.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pillarbox::Identity;
use pillarbox::bootstrap::Refused;

use crate::program::ProgramId;
use crate::subsets::View;

/// What somebody wants of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    LookUp,
    CheckIn,
}

impl Door {
    /// The key of its rules in a service file.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Door::LookUp => "look_up",
            Door::CheckIn => "check_in",
        }
    }
}

/// Whom a rule lets in: who meets each of the conditions it names, by any of the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The names it is about; all of the service where there are none.
    pub(crate) names: Vec<String>,
    /// The user whose server this is counts as one of `uids`.
    pub(crate) own_user: bool,
    pub(crate) uids: Vec<u32>,
    pub(crate) gids: Vec<u32>,
    pub(crate) entitlements: Vec<String>,
    /// Advisory: whoever may trace a process can make it another program. It only
    /// narrows what the other conditions let in.
    pub(crate) executables: Vec<PathBuf>,
}

impl Rule {
    fn is_about(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|one| one == name)
    }

    fn lets(&self, caller: &Caller) -> bool {
        let who = caller.who;
        let any_user = !self.own_user && self.uids.is_empty();
        let user = any_user
            || self.uids.contains(&who.uid)
            || (self.own_user && who.uid == caller.own_uid);
        let group = self.gids.is_empty() || self.gids.contains(&who.gid);
        let entitled = self.entitlements.is_empty()
            || self.entitlements.iter().any(|one| caller.entitlements.contains(one));
        // Last, because it asks the system.
        let runs = || {
            self.executables.is_empty()
                || caller.executable().is_some_and(|path| self.executables.contains(path))
        };
        user && group && entitled && runs()
    }
}

/// The rules of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) look_up: Vec<Rule>,
    pub(crate) check_in: Vec<Rule>,
}

impl Access {
    fn of(&self, door: Door) -> &[Rule] {
        match door {
            Door::LookUp => &self.look_up,
            Door::CheckIn => &self.check_in,
        }
    }
}

/// A service as its names know it.
#[derive(Debug)]
pub(crate) struct Guard {
    /// What the service is called.
    pub(crate) label: Arc<str>,
    pub(crate) access: Access,
}

/// Who asks, as the kernel and the server know it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) who: Identity,
    /// The user whose server this is.
    pub(crate) own_uid: u32,
    /// The program whose process it is, where the server started it: that very process,
    /// none of its children.
    pub(crate) program: Option<ProgramId>,
    /// What that service is called.
    pub(crate) service: Option<Arc<str>>,
    /// What the file of that service entitles it to.
    pub(crate) entitlements: Arc<[String]>,
    /// What the right leads to that it asks with, where that is restricted.
    pub(crate) view: Option<Arc<View>>,
    pub(crate) executable: OnceLock<Option<PathBuf>>,
}

impl Caller {
    /// One that the server did not start.
    pub(crate) fn stranger(who: Identity, own_uid: u32) -> Self {
        Caller {
            who,
            own_uid,
            program: None,
            service: None,
            entitlements: Arc::default(),
            view: None,
            executable: OnceLock::new(),
        }
    }

    pub(crate) const fn is_own_user(&self) -> bool {
        self.who.uid == self.own_uid
    }

    /// Whether it may give orders.
    pub(crate) fn may_order(&self) -> Verdict {
        if self.view.is_some() {
            return Err(Ground::Restricted);
        }
        let ground = Ground::Orders(self.own_uid);
        if self.is_own_user() { Ok(ground) } else { Err(ground) }
    }

    /// What its process runs, as far as the system lets us see.
    fn executable(&self) -> Option<&PathBuf> {
        let look = || {
            let pid = (self.who.pid > 0).then_some(self.who.pid)?;
            std::fs::read_link(format!("/proc/{pid}/exe")).ok()
        };
        self.executable.get_or_init(look).as_ref()
    }
}

/// By what it was decided: what the caller is told, and the audit keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Where there are no rules, this user may.
    OwnUser(u32),
    /// This rule of the service, counted from 1.
    Rule { service: Arc<str>, door: Door, number: usize },
    /// There are rules, and none of them lets it in.
    NoRule { service: Arc<str>, door: Door },
    /// It is the process that was started for the name.
    Started,
    /// Only the process that was started for a name may check in.
    Program,
    /// Only the owner of a port says that it is ready.
    Owner,
    /// The queue is the server's, which lets no other right be put there.
    Queue,
    /// Only the task that put a right under a name takes it away.
    Holder,
    /// This process has the name.
    Held(i32),
    /// Orders are the server's own user's.
    Orders(u32),
    /// The restricted right lists it, which this process has made.
    Listed(i32),
    /// The restricted right does not list it.
    NotListed,
    /// A restricted right is for looking up.
    Restricted,
    /// The port is its service's, who alone narrows a right to it.
    NotNarrowed,
    /// The server before this one has decided it, by this.
    Before(Arc<str>),
}

impl Ground {
    /// Whether it is the same one, which a server before this may have told as text.
    pub(crate) fn is_as(&self, other: &Ground) -> bool {
        match (self, other) {
            (Ground::Before(text), ground) | (ground, Ground::Before(text)) => {
                **text == *ground.to_string()
            }
            (one, other) => one == other,
        }
    }

    /// What who is refused for this is told.
    pub(crate) fn refusal(&self) -> Refused {
        match self {
            Ground::Held(_) => Refused::InUse,
            _ => Refused::NotAllowed(self.to_string()),
        }
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ground::OwnUser(uid) => write!(out, "without a rule, a name is for user {uid}"),
            Ground::Rule { service, door, number } => {
                write!(out, "rule {number} of `{}` of the service {service}", door.key())
            }
            Ground::NoRule { service, door } => {
                write!(out, "no rule of `{}` of the service {service} lets it in", door.key())
            }
            Ground::Started => out.write_str("it is the process that was started for it"),
            Ground::Program => out.write_str("it is for the process that was started for it"),
            Ground::Owner => out.write_str("ready is what the owner of a port says itself"),
            Ground::Queue => out.write_str("it is a queue, and the port of that is the server's"),
            Ground::Holder => out.write_str("a name is for the task that has it to let go"),
            Ground::Held(pid) => write!(out, "process {pid} has the name"),
            Ground::Orders(uid) => write!(out, "orders are for user {uid}"),
            Ground::Listed(pid) => write!(out, "process {pid} lists it in a restricted right"),
            Ground::NotListed => out.write_str("the restricted right lists no such name"),
            Ground::Restricted => out.write_str("a restricted right is for looking up only"),
            Ground::NotNarrowed => {
                out.write_str("the port is its service's, and no other narrows a right to it")
            }
            Ground::Before(ground) => out.write_str(ground),
        }
    }
}

/// What was decided, and by what.
pub(crate) type Verdict = Result<Ground, Ground>;

/// Whether the caller may look up a name, of that service or of none.
pub(crate) fn may_look_up(guard: Option<&Guard>, name: &str, caller: &Caller) -> Verdict {
    decide(guard, Door::LookUp, name, caller)
}

/// Whether the caller may put a right under a name that this program provides, if any.
pub(crate) fn may_check_in(
    guard: Option<&Guard>,
    program: Option<ProgramId>,
    name: &str,
    caller: &Caller,
) -> Verdict {
    if program.is_some() && caller.program == program {
        return Ok(Ground::Started);
    }
    let ruled = guard
        .is_some_and(|guard| guard.access.of(Door::CheckIn).iter().any(|rule| rule.is_about(name)));
    if program.is_some() && !ruled {
        return Err(Ground::Program);
    }
    decide(guard, Door::CheckIn, name, caller)
}

fn decide(guard: Option<&Guard>, door: Door, name: &str, caller: &Caller) -> Verdict {
    let mut any = false;
    if let Some(guard) = guard {
        let service = &guard.label;
        for (place, rule) in guard.access.of(door).iter().enumerate() {
            if !rule.is_about(name) {
                continue;
            }
            any = true;
            if rule.lets(caller) {
                let service = Arc::clone(service);
                return Ok(Ground::Rule { service, door, number: place + 1 });
            }
        }
        if any {
            return Err(Ground::NoRule { service: Arc::clone(service), door });
        }
    }
    let ground = Ground::OwnUser(caller.own_uid);
    if caller.is_own_user() { Ok(ground) } else { Err(ground) }
}

#[cfg(test)]
mod tests {
    use pillarbox::TaskId;

    use super::*;

    const OWN: u32 = 1000;

    fn caller(uid: u32, gid: u32) -> Caller {
        let who = Identity { task: TaskId { process: 7, number: 1 }, pid: 7, uid, gid };
        Caller::stranger(who, OWN)
    }

    fn entitled(to: &[&str]) -> Caller {
        let entitlements = to.iter().map(|one| (*one).to_owned()).collect();
        Caller { entitlements, ..caller(OWN, OWN) }
    }

    fn guard(rules: Vec<Rule>) -> Guard {
        let access = Access { look_up: rules, check_in: Vec::new() };
        Guard { label: "part".into(), access }
    }

    fn lets(rule: Rule, caller: &Caller) -> bool {
        decide(Some(&guard(vec![rule])), Door::LookUp, "a", caller).is_ok()
    }

    #[test]
    fn without_rules_it_is_closed_to_other_users() {
        for guard in [None, Some(&guard(Vec::new()))] {
            for door in [Door::LookUp, Door::CheckIn] {
                let own = decide(guard, door, "a", &caller(OWN, 1));
                assert_eq!(own, Ok(Ground::OwnUser(OWN)));
                // Also to root, and to who has the same group.
                for uid in [0, OWN + 1] {
                    let other = decide(guard, door, "a", &caller(uid, OWN));
                    assert_eq!(other, Err(Ground::OwnUser(OWN)));
                }
            }
        }
    }

    #[test]
    fn where_there_are_rules_the_own_user_needs_one_too() {
        let rule = Rule { uids: vec![1001], ..Rule::default() };
        let guard = guard(vec![rule]);
        let refused = decide(Some(&guard), Door::LookUp, "a", &caller(OWN, 1)).unwrap_err();
        assert_eq!(refused.to_string(), "no rule of `look_up` of the service part lets it in");
        assert!(decide(Some(&guard), Door::LookUp, "a", &caller(1001, 1)).is_ok());
        // They are about looking up, and nothing else.
        assert!(decide(Some(&guard), Door::CheckIn, "a", &caller(OWN, 1)).is_ok());
        assert!(decide(Some(&guard), Door::CheckIn, "a", &caller(1001, 1)).is_err());
    }

    #[test]
    fn the_rule_that_lets_in_is_named() {
        let one = Rule { uids: vec![1], ..Rule::default() };
        let two = Rule { own_user: true, ..Rule::default() };
        let guard = guard(vec![one, two]);
        let ground = decide(Some(&guard), Door::LookUp, "a", &caller(OWN, 1)).unwrap();
        assert_eq!(ground.to_string(), "rule 2 of `look_up` of the service part");
    }

    #[test]
    fn each_condition_that_is_named_must_be_met() {
        let rule = Rule { uids: vec![5, 6], gids: vec![7], ..Rule::default() };
        assert!(lets(rule.clone(), &caller(5, 7)) && lets(rule.clone(), &caller(6, 7)));
        assert!(!lets(rule.clone(), &caller(5, 8)) && !lets(rule.clone(), &caller(4, 7)));
        let rule = Rule { uids: vec![5], own_user: true, ..Rule::default() };
        assert!(lets(rule.clone(), &caller(5, 1)) && lets(rule.clone(), &caller(OWN, 1)));
        assert!(!lets(rule, &caller(6, 1)));
        let rule = Rule { entitlements: vec!["x".into(), "y".into()], ..Rule::default() };
        assert!(lets(rule.clone(), &entitled(&["z", "y"])));
        assert!(!lets(rule.clone(), &entitled(&["xy"])) && !lets(rule, &caller(OWN, OWN)));
    }

    #[test]
    fn a_rule_about_one_name_says_nothing_of_another() {
        let rule = Rule { names: vec!["a".into()], uids: vec![9], ..Rule::default() };
        let guard = guard(vec![rule]);
        assert!(decide(Some(&guard), Door::LookUp, "a", &caller(OWN, 1)).is_err());
        assert!(decide(Some(&guard), Door::LookUp, "b", &caller(OWN, 1)).is_ok());
        assert!(decide(Some(&guard), Door::LookUp, "b", &caller(9, 1)).is_err());
    }

    #[test]
    fn the_process_that_was_started_checks_in_and_others_only_by_a_rule() {
        let (own, other) = (Some(ProgramId(0)), Some(ProgramId(1)));
        let started = Caller { program: own, ..caller(OWN, 1) };
        let may = |rules: Vec<Rule>, program, caller: &Caller| {
            let access = Access { look_up: Vec::new(), check_in: rules };
            let guard = Guard { label: "part".into(), access };
            may_check_in(Some(&guard), program, "a", caller)
        };
        assert_eq!(may(Vec::new(), own, &started), Ok(Ground::Started));
        assert_eq!(may(Vec::new(), other, &started), Err(Ground::Program));
        assert_eq!(may(Vec::new(), own, &caller(OWN, 1)), Err(Ground::Program));
        let rule = || vec![Rule { uids: vec![9], ..Rule::default() }];
        assert_eq!(may(rule(), own, &started), Ok(Ground::Started));
        assert!(may(rule(), own, &caller(9, 1)).is_ok());
        assert!(matches!(may(rule(), own, &caller(OWN, 1)), Err(Ground::NoRule { .. })));
        // A name that nobody provides.
        assert_eq!(may_check_in(None, None, "a", &started), Ok(Ground::OwnUser(OWN)));
        assert_eq!(may_check_in(None, None, "a", &caller(9, 1)), Err(Ground::OwnUser(OWN)));
    }

    #[test]
    fn an_executable_narrows_and_one_that_cannot_be_seen_is_none() {
        let own = std::env::current_exe().unwrap();
        let rule = Rule { own_user: true, executables: vec![own], ..Rule::default() };
        let pid = std::process::id().cast_signed();
        let with = |pid| {
            let mut one = caller(OWN, 1);
            one.who.pid = pid;
            one
        };
        assert!(lets(rule.clone(), &with(pid)));
        assert!(!lets(rule.clone(), &with(0)));
        let mut other = with(pid);
        other.who.uid = 5;
        assert!(!lets(rule.clone(), &other));
        let rule = Rule { executables: vec!["/bin/false".into()], ..rule };
        assert!(!lets(rule, &with(pid)));
    }
}
