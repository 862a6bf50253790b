//! Who may look a name up and check in is what the rules of its file say, by user, group,
//! entitlement and program; without a rule it is closed to other users. Each refusal says
//! by which rule, and stands in the audit.

mod family;

use boot::Server;
use boot::audit::{Attempt, Entry};
use boot::service::ServiceFile;
use family::asker::{ask_if_acting, serve_asking_if_acting, start, start_as, tell};
use family::{
    NAME, act, declared, file_of, long, not_allowed, pid_of, refused, report, serve_if_acting,
    server, started, task,
};
use pillarbox::Capacity;
use pillarbox::bootstrap::{Bootstrap, Refused};

const ENTITLED: &str = "com.example.entitled";
const PLAIN: &str = "com.example.plain";

#[test]
fn asker_part() {
    ask_if_acting("asker_part");
}

#[test]
fn child_asker_part() {
    ask_if_acting("child_asker_part");
}

#[test]
fn service_part() {
    serve_if_acting("service_part");
}

#[test]
fn entitled_part() {
    serve_asking_if_acting("entitled_part", ENTITLED);
}

#[test]
fn plain_part() {
    serve_asking_if_acting("plain_part", PLAIN);
}

/// All that was refused.
fn refusals(names: &Bootstrap) -> Vec<Entry> {
    let told = boot::admin::Admin::new(names).audit(0, long()).unwrap();
    assert!(!told.more && told.lost == 0);
    told.entries.into_iter().filter(|entry| !entry.granted).collect()
}

#[test]
fn what_no_rule_opens_is_closed_to_other_users() {
    let (_serving, names) = server();
    let ours = task().port(Capacity::Bounded(4));
    names.check_in(NAME, &ours, long()).unwrap();
    let Some((child, asker)) = start_as("asker_part", 4321, 8765, &names) else { return };
    let own = rustix::process::geteuid().as_raw();
    let closed = format!("{NAME}: not allowed: without a rule, a name is for user {own}");
    assert_eq!(tell(&asker, &format!("look_up {NAME}")), closed);
    assert_eq!(tell(&asker, &format!("check_in {NAME}")), closed);
    // A name that nobody has is told in the same words.
    for verb in ["look_up", "check_in", "register"] {
        let told = tell(&asker, &format!("{verb} com.example.none"));
        assert!(told.ends_with(&format!("without a rule, a name is for user {own}")), "{told}");
    }
    // It sees none, and gives no orders.
    assert_eq!(tell(&asker, "list "), "done");
    assert!(tell(&asker, "stop").contains(&format!("orders are for user {own}")));
    let refusals = refusals(&names);
    let told: Vec<(Attempt, &str)> =
        refusals.iter().map(|entry| (entry.attempt, entry.name.as_str())).collect();
    let none = "com.example.none";
    assert_eq!(
        told,
        [
            (Attempt::LookUp, NAME),
            (Attempt::CheckIn, NAME),
            (Attempt::LookUp, none),
            (Attempt::CheckIn, none),
            (Attempt::Register, none),
            (Attempt::End, ""),
        ]
    );
    assert!(refusals.iter().all(|entry| (entry.uid, entry.gid) == (4321, 8765)));
    assert!(refusals.iter().all(|entry| entry.pid == child.pid() && entry.times == 1));
    // We are not in its way.
    assert_eq!(names.list(long()).unwrap().len(), 1);
}

#[test]
fn a_rule_lets_in_users_and_groups_by_number() {
    let more = "[[look_up]]\nuids = [4321]\ngids = [8765]\n[[look_up]]\nown_user = true\n";
    let (_serving, names, _) = declared(&file_of("service_part", &[NAME], more));
    let service = names.look_up(NAME, long()).unwrap();
    let look_up = format!("look_up {NAME}");
    let as_user = |uid, gid| start_as("asker_part", uid, gid, &names);
    let Some((_let_in, asker)) = as_user(4321, 8765) else { return };
    assert_eq!(tell(&asker, &look_up), "done");
    assert_eq!(tell(&asker, &format!("list {NAME}")), "done");
    // To look up is not to check in.
    assert!(tell(&asker, &format!("check_in {NAME}")).contains("was started for it"));
    for (uid, gid) in [(4321, 8766), (4322, 8765)] {
        let (_child, asker) = as_user(uid, gid).unwrap();
        let told = tell(&asker, &look_up);
        assert!(told.contains("no rule of `look_up` of the service part lets it in"), "{told}");
        assert_eq!(tell(&asker, "list "), "done");
    }
    let told = boot::admin::Admin::new(&names).audit(0, long()).unwrap();
    let granted = |uid| {
        let mut granted = told.entries.iter().filter(|entry| entry.granted && entry.uid == uid);
        granted.find(|entry| entry.attempt == Attempt::LookUp).map(|entry| entry.rule.as_str())
    };
    assert_eq!(granted(4321), Some("rule 1 of `look_up` of the service part"));
    assert_eq!(granted(4322), None);
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(granted(own), Some("rule 2 of `look_up` of the service part"));
    pid_of(&service);
}

#[test]
fn an_entitlement_is_of_the_very_process_its_file_has_started() {
    let rule = "[[look_up]]\nentitlements = [\"secret.use\"]\n";
    let file = |text: String| ServiceFile::read(&text).unwrap();
    let secret = file(file_of("service_part", &[NAME], rule));
    let entitled =
        file(file_of("entitled_part", &[ENTITLED], "entitlements = [\"secret.use\", \"x\"]"));
    let plain = file(file_of("plain_part", &[PLAIN], "entitlements = [\"secret\"]"));
    let server = Server::new(&task()).unwrap();
    let server = server.service("secret", secret).unwrap();
    let server = server.service("entitled", entitled).unwrap().service("plain", plain).unwrap();
    let (_serving, names) = started(server);
    let no_rule = "no rule of `look_up` of the service secret lets it in";
    let look_up = format!("look_up {NAME}");
    let entitled = names.look_up(ENTITLED, long()).unwrap();
    assert_eq!(tell(&entitled, &look_up), "done");
    // Its child has its bootstrap right, its user and all it could give it.
    assert!(tell(&entitled, &format!("child {look_up}")).contains(no_rule));
    let plain = names.look_up(PLAIN, long()).unwrap();
    assert!(tell(&plain, &look_up).contains(no_rule));
    // We are the server's own user, and its own task.
    assert_eq!(not_allowed(names.look_up(NAME, long())), no_rule);
    assert_eq!(names.list(long()).unwrap().len(), 2);
    let told: Vec<(Option<String>, String)> =
        refusals(&names).into_iter().map(|entry| (entry.service, entry.name)).collect();
    let row = |service: Option<&str>| (service.map(str::to_owned), NAME.to_owned());
    assert_eq!(told, [row(None), row(Some("plain")), row(None)]);
}

#[test]
fn a_rule_about_a_program_narrows_the_others() {
    let own = std::env::current_exe().unwrap();
    let rule = |path: &str| format!("[[look_up]]\nown_user = true\nexecutables = [{path:?}]\n");
    for (path, lets) in [(own.to_str().unwrap(), true), ("/bin/true", false)] {
        let (_serving, names, _) = declared(&file_of("service_part", &[NAME], &rule(path)));
        let (_child, asker) = start(act("asker_part"), &names);
        let told = tell(&asker, &format!("look_up {NAME}"));
        assert_eq!(told == "done", lets, "{told}");
    }
}

#[test]
fn whom_a_rule_lets_check_in_stands_in_for_the_program() {
    let rule = "[[check_in]]\nown_user = true\n[[look_up]]\nany_user = true\n";
    let (_serving, names, admin) = declared(&file_of("service_part", &[NAME], rule));
    let ours = task().port(Capacity::Bounded(4));
    names.check_in(NAME, &ours, long()).unwrap();
    assert!(names.look_up(NAME, long()).unwrap().same_port(&ours.make_send().unwrap()));
    // The program is not started, and its process is not said to be ready.
    assert_eq!((report(&admin).starts, report(&admin).pid), (0, None));
    if let Some((_child, asker)) = start_as("asker_part", 4321, 8765, &names) {
        assert_eq!(tell(&asker, &format!("look_up {NAME}")), "done");
        let told = tell(&asker, &format!("check_in {NAME}"));
        assert!(told.contains("no rule of `check_in` of the service part lets it in"), "{told}");
    }
    // Another of those it lets waits until the name is free.
    let (child, asker) = start(act("asker_part"), &names);
    assert!(tell(&asker, &format!("check_in {NAME}")).contains("in use"));
    drop(ours);
    assert_eq!(tell(&asker, &format!("check_in {NAME}")), "done");
    drop(child);
    family::wait_dead(&asker);
    // When nobody stands in, the program is started as ever.
    let pid = pid_of(&names.look_up(NAME, long()).unwrap());
    assert_eq!(report(&admin).pid, Some(pid));
    // Its end frees what it had, and not what another has.
    let other = task().port(Capacity::Bounded(4));
    assert_eq!(refused(names.check_in(NAME, &other, long())), Refused::InUse);
}
