//! Services that are declared in files: started by a call, listed, stopped, started and
//! restarted by hand, and what they say is printed.

mod house;

use std::path::PathBuf;

use house::{House, Running, signal, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A house with a directory of service files.
struct Services {
    house: House,
    directory: PathBuf,
}

impl Services {
    fn new() -> Self {
        let house = House::new();
        let directory = house.path("services");
        std::fs::create_dir(&directory).unwrap();
        Services { house, directory }
    }

    /// Declares a service that runs this binary with these words.
    fn declare(&self, name: &str, words: &[&str], more: &str) -> &Self {
        let own = env!("CARGO_BIN_EXE_pillarbox");
        let kind = if words.contains(&"--kept") { "queues" } else { "names" };
        let text = format!("program = {own:?}\narguments = {words:?}\n{kind} = [{name:?}]\n{more}");
        std::fs::write(self.directory.join(format!("{name}-service.toml")), text).unwrap();
        self
    }

    /// Starts the server. Returns it, and what it said.
    fn boot(&self) -> (Running, Value) {
        let directory = self.directory.to_str().unwrap();
        let mut running = self.house.start(["boot", "--json", "--services", directory]);
        let line = running.wait_line();
        (running, serde_json::from_str(&line).unwrap())
    }

    fn list(&self) -> Vec<Value> {
        let told = self.house.run(["ls", "--services", "--json"]);
        assert_eq!(told.code, Some(0), "{told:?}");
        told.json_lines()
    }

    fn close(self, mut server: Running) {
        server.signal(Signal::TERM);
        assert!(server.end_status().success());
        std::fs::remove_dir_all(self.directory).unwrap();
        self.house.close();
    }
}

#[test]
fn a_call_starts_it_and_a_killed_one_is_started_again() {
    let services = Services::new();
    services.declare("upper", &["serve", "upper", "--", "tr", "a-z", "A-Z"], "throttle = \"1ms\"");
    let (server, ready) = services.boot();
    assert_eq!((&ready["services"], &ready["wrong"]), (&json!(["upper-service"]), &json!([])));
    let listed = services.list().remove(0);
    assert_eq!((&listed["state"], &listed["pid"]), (&json!("on-demand"), &Value::Null));
    assert_eq!(services.house.names(), ["upper"]);
    for run in 0..3_u64 {
        assert_eq!(services.house.call("upper", b"grey").text(), "GREY");
        let listed = services.list().remove(0);
        assert_eq!((&listed["state"], &listed["restarts"]), (&json!("running"), &json!(run)));
        assert_eq!(listed["names"], json!(["upper"]));
        let pid = i32::try_from(listed["pid"].as_i64().unwrap()).unwrap();
        signal(pid, Signal::KILL);
        wait_until("its end is known", || services.list()[0]["pid"].is_null());
        let end = services.list().remove(0);
        assert!(end["last_end"].as_str().unwrap().contains("signal: 9"), "{end}");
    }
    services.close(server);
}

#[test]
fn it_is_stopped_started_and_restarted_by_hand() {
    let services = Services::new();
    services.declare("cat", &["serve", "cat", "--", "cat"], "keep_alive = \"always\"\n");
    let (server, _) = services.boot();
    let house = &services.house;
    let told = house.run(["start", "cat-service", "--json"]);
    assert_eq!(told.json(), json!({"ok": true, "service": "cat-service", "done": "started"}));
    let first = services.list()[0]["pid"].clone();
    assert!(first.is_i64());
    // By a name it provides, too.
    assert_eq!(house.run(["restart", "cat"]).code, Some(0));
    let second = services.list()[0]["pid"].clone();
    assert!(second.is_i64() && second != first);
    let told = house.run(["stop", "cat"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), "pillarbox: cat was stopped\n"));
    let table = house.run(["ls", "--services"]);
    let rows: Vec<Vec<&str>> =
        table.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["SERVICE", "STATE", "PID", "RESTARTS", "LAST", "END"]);
    assert_eq!(rows[1][..4], ["cat-service", "stopped", "-", "1"]);
    house.call("cat", b"").fails(67, "stopped by hand");
    assert_eq!(house.run(["start", "cat"]).code, Some(0));
    assert_eq!(house.call("cat", b"grey").text(), "grey");
    house.run(["stop", "dog"]).fails(64, "no service dog is declared");
    services.close(server);
}

#[test]
fn what_it_says_is_printed_also_of_one_that_fails() {
    let services = Services::new();
    services.declare(
        "broken",
        &["no-such-verb"],
        "throttle = \"1ms\"\nback_off = \"20s\"\nlog_bytes = 200\n",
    );
    let (server, _) = services.boot();
    let house = &services.house;
    house.run(["start", "broken"]).fails(67, "exit status: 2");
    let told = house.run(["logs", "broken"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.text().contains("For more information"), "{told:?}");
    let json = house.run(["logs", "broken-service", "--json"]).json();
    assert_eq!((&json["ok"], &json["text_encoding"]), (&json!(true), &json!("utf-8")));
    assert_eq!(json["text"].as_str().unwrap(), told.text());
    assert!(told.text().len() <= 200 && json["lost"].is_u64());
    house.run(["start", "broken"]).fails(67, "pillarbox logs broken");
    // One that is started by hand begins anew.
    house.call("broken", b"").fails(67, "exit status: 2");
    house.call("broken", b"").fails(67, "2 times in a row");
    let listed = services.list().remove(0);
    assert_eq!(listed["state"], "backing-off", "{listed}");
    services.close(server);
}

#[test]
fn a_wrong_file_keeps_nobody_from_the_others() {
    let services = Services::new();
    services.declare("good", &["serve", "good", "--", "cat"], "");
    services.declare("wrong", &["serve", "wrong", "--", "cat"], "colour = \"grey\"\n");
    let again = std::fs::read(services.directory.join("good-service.toml")).unwrap();
    std::fs::write(services.directory.join("same.toml"), again).unwrap();
    let (mut server, ready) = services.boot();
    assert_eq!(ready["services"], json!(["good-service"]));
    assert_eq!(ready["wrong"].as_array().unwrap().len(), 2);
    let line = server.wait_error_line();
    assert!(line.contains("same.toml:1:1: two programs provide good"), "{line}");
    assert_eq!(services.house.call("good", b"grey").text(), "grey");
    services.close(server);
    let house = House::new();
    house.run(["boot", "--services", "/nowhere"]).fails(2, "/nowhere is not a directory");
    house.close();
}

#[test]
fn a_call_to_a_queue_is_answered_though_its_service_is_killed() {
    let services = Services::new();
    let (begun, go) = (services.house.path("begun"), services.house.path("go"));
    // The first run waits for ever, the next one for nothing.
    let script = "touch \"$0\"; while [ ! -e \"$1\" ]; do sleep 0.01; done; tr a-z A-Z";
    let words = [begun.to_str().unwrap(), go.to_str().unwrap()];
    let words = ["serve", "jobs", "--kept", "--", "sh", "-c", script, words[0], words[1]];
    services.declare("jobs", &words, "throttle = \"1ms\"");
    let (server, _) = services.boot();
    let body = services.house.file("body", b"grey");
    let call = services.house.start(["call".as_ref(), "jobs".as_ref(), body.as_os_str()]);
    house::wait_until("it is worked on", || begun.exists());
    let pid = services.list()[0]["pid"].as_i64().unwrap();
    signal(i32::try_from(pid).unwrap(), Signal::KILL);
    std::fs::write(&go, "").unwrap();
    let told = call.end();
    assert_eq!((told.code, told.text()), (Some(0), "GREY"), "{told:?}");
    assert_eq!(services.list()[0]["restarts"], 1);
    for file in [begun, go, body] {
        std::fs::remove_file(file).unwrap();
    }
    services.close(server);
}

#[test]
fn files_are_read_anew_by_a_command_and_by_a_signal() {
    let services = Services::new();
    services.declare("upper", &["serve", "upper", "--", "tr", "a-z", "A-Z"], "throttle = \"1ms\"");
    let directory = services.directory.to_str().unwrap();
    // Without a terminal, whose end the signal would tell of.
    let mut server =
        services.house.start(["boot", "--detached", "--json", "--services", directory]);
    server.wait_line();
    assert_eq!(services.house.call("upper", b"a").text(), "A");
    let reload = || services.house.run(["boot", "--reload", "--json"]);
    let told = |added: &[&str], changed: &[&str], gone: &[&str]| json!({"ok": true, "added": added, "changed": changed, "gone": gone, "wrong": []});
    assert_eq!(reload().json(), told(&[], &[], &[]));
    services.declare("lower", &["serve", "lower", "--", "tr", "A-Z", "a-z"], "");
    services.declare("upper", &["serve", "upper", "--", "rev"], "throttle = \"1ms\"");
    assert_eq!(reload().json(), told(&["lower-service"], &["upper-service"], &[]));
    assert_eq!(services.house.call("lower", b"A").text(), "a");
    assert_eq!(services.house.call("upper", b"ab").text(), "AB");
    assert_eq!(services.house.run(["restart", "upper"]).code, Some(0));
    assert_eq!(services.house.call("upper", b"ab").text(), "ba");
    let wrong = services.directory.join("wrong.toml");
    std::fs::write(&wrong, "program = 1\nnames = [\"x\"]").unwrap();
    let said = services.house.run(["boot", "--reload"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("wrong.toml:1:11: `program` is a text"), "{said:?}");
    std::fs::remove_file(wrong).unwrap();
    std::fs::remove_file(services.directory.join("lower-service.toml")).unwrap();
    server.signal(Signal::HUP);
    wait_until("it has gone", || services.list().len() == 1);
    services.house.call("lower", b"A").fails(64, "lower");
    services.close(server);
    House::new().run(["boot", "--reload"]).fails(65, "no bootstrap server");
}
