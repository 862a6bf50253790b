//! What was granted and refused is printed, with whom and by which rule, as it comes.

mod house;

use house::House;

const KEYS: &str = "\
names = [\"keys\"]
[[look_up]]
entitlements = [\"keys.use\"]
";

/// A house with a server of two services: one that only who is entitled may look up.
fn server() -> (House, house::Running) {
    let house = House::new();
    let services = house.path("services");
    std::fs::create_dir(&services).unwrap();
    let own = env!("CARGO_BIN_EXE_pillarbox");
    let program = |name: &str| {
        format!("program = {own:?}\narguments = [\"serve\", {name:?}, \"--\", \"cat\"]\n")
    };
    std::fs::write(services.join("keys.toml"), program("keys") + KEYS).unwrap();
    let open = program("open") + "names = [\"open\"]\n";
    std::fs::write(services.join("open.toml"), open).unwrap();
    let mut server = house.start(["boot", "--json", "--services", services.to_str().unwrap()]);
    assert!(server.wait_line().contains("\"wrong\":[]"));
    (house, server)
}

fn close(house: House, mut server: house::Running) {
    server.signal(rustix::process::Signal::TERM);
    assert!(server.end_status().success());
    std::fs::remove_dir_all(house.path("services")).unwrap();
    house.close();
}

#[test]
fn grants_and_refusals_say_who_and_by_which_rule() {
    let (house, server) = server();
    house.call("keys", b"").fails(68, "no rule of `look_up` of the service keys lets it in");
    assert_eq!(house.call("open", b"grey").text(), "grey");
    let told = house.run(["audit", "--json"]).json_lines();
    let refused: Vec<_> = told.iter().filter(|row| row["granted"] == false).collect();
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!((refused.len(), &refused[0]["name"]), (1, &"keys".into()), "{told:?}");
    assert_eq!((&refused[0]["attempt"], &refused[0]["uid"]), (&"look-up".into(), &uid.into()));
    assert!(refused[0]["service"].is_null());
    let checked_in = told.iter().find(|row| row["attempt"] == "check-in").unwrap();
    assert_eq!((&checked_in["service"], &checked_in["granted"]), (&"open".into(), &true.into()));
    assert_eq!(checked_in["rule"], "it is the process that was started for it");
    let lines = house.run(["audit", "--refused"]);
    assert_eq!(lines.text().lines().count(), 1, "{lines:?}");
    assert!(lines.text().contains(" REFUSED look-up keys: process "), "{lines:?}");
    close(house, server);
}

#[test]
fn it_is_followed_as_it_comes() {
    let (house, server) = server();
    let mut follow = house.start(["audit", "--follow", "--refused"]);
    for number in 1..4 {
        house.call("keys", b"").fails(68, "not allowed");
        let line = follow.wait_line();
        assert!(line.contains("REFUSED look-up keys"), "{number}: {line}");
        assert!(house.call("open", b"").code == Some(0));
    }
    follow.kill();
    // With a deadline it ends well.
    let told = house.run(["audit", "--follow", "--deadline", "100ms"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    close(house, server);
}
