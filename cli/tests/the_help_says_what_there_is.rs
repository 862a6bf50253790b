//! Whoever asks for help gets examples and exit codes.

mod house;

use house::House;

const VERBS: [&str; 17] = [
    "doctor",
    "top",
    "tree",
    "audit",
    "boot",
    "serve",
    "call",
    "send",
    "recv",
    "ls",
    "show",
    "install",
    "uninstall",
    "demo",
    "bench",
    "completions",
    "man",
];

#[test]
fn every_verb_is_listed_and_explains_itself() {
    let house = House::new();
    let all = house.run(["--help"]);
    assert_eq!(all.code, Some(0));
    for verb in VERBS {
        assert!(all.text().contains(&format!("\n  {verb} ")), "{verb}");
        let told = house.run([verb, "--help"]);
        assert_eq!(told.code, Some(0));
        assert!(told.text().contains("Usage: pillarbox"), "{verb}");
        if verb != "demo" {
            assert!(told.text().contains("Examples:\n  "), "{verb}");
            assert!(told.text().lines().all(|line| line.chars().count() <= 100), "{verb}");
        }
    }
    assert!(!all.text().contains("  keep"), "people need not know the keeper");
    for verb in ["audit", "boot", "serve", "call", "send", "recv", "ls", "show", "top", "tree"] {
        let told = house.run([verb, "--help"]);
        for word in ["Exit codes:", "\n  65  ", "--json", "\nJSON"] {
            assert!(told.text().contains(word), "{verb}: {word}");
        }
    }
    house.close();
}

#[test]
fn the_version_is_told() {
    let house = House::new();
    let told = house.run(["--version"]);
    assert_eq!(told.text(), format!("pillarbox {}\n", env!("CARGO_PKG_VERSION")));
    house.close();
}

#[test]
fn every_shell_gets_completions_of_every_verb() {
    let house = House::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let told = house.run(["completions", shell]);
        assert_eq!(told.code, Some(0), "{shell}");
        for verb in VERBS {
            assert!(told.text().contains(verb), "{shell}: {verb}");
        }
    }
    house.close();
}

#[test]
fn the_manual_has_a_page_for_every_verb() {
    let house = House::new();
    let told = house.run(["man"]);
    assert!(told.text().starts_with(".ie") || told.text().contains(".TH pillarbox"), "{told:?}");
    let directory = house.path("man");
    std::fs::create_dir(&directory).unwrap();
    assert_eq!(house.run(["man", directory.to_str().unwrap()]).code, Some(0));
    for verb in VERBS {
        let page = directory.join(format!("pillarbox-{verb}.1"));
        assert!(std::fs::read_to_string(&page).unwrap().contains(verb), "{page:?}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
    house.run(["man", "/no/such/directory"]).fails(2, "/no/such/directory");
    house.close();
}
