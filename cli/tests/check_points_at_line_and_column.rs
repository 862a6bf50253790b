//! `pillarbox check` says everything that is wrong with a service file, where, and
//! what to do about it.

mod house;

use house::House;

const GOOD: &[u8] = b"program = \"/bin/true\"\nnames = [\"a\"]\n";
const WRONG: &[u8] = b"program = \"/bin/true\"\nnames = [\"a\"]\nthrottel = \"1s\"\nstart = 7\n";

#[test]
fn each_problem_is_a_line_that_editors_jump_to() {
    let house = House::new();
    let (good, wrong) = (house.file("good.toml", GOOD), house.file("wrong.toml", WRONG));
    let told = house.run(["check".as_ref(), good.as_os_str()]);
    assert_eq!((told.code, told.text(), told.stderr.as_str()), (Some(0), "", ""));
    let told = house.run(["check".as_ref(), good.as_os_str(), wrong.as_os_str()]);
    assert_eq!((told.code, told.text()), (Some(1), ""));
    let lines: Vec<&str> = told.stderr.lines().collect();
    let shown = wrong.display();
    assert_eq!(lines[0], format!("{shown}:3:1: there is no key `throttel`"));
    assert!(lines[1].starts_with("  hint: `throttle` is one: "), "{told:?}");
    assert_eq!(lines[2], format!("{shown}:4:9: `start` is \"on-demand\" or \"at-start\""));
    assert_eq!((lines[3], lines.len()), ("  hint: choose one of them", 4));
    std::fs::remove_file(good).unwrap();
    std::fs::remove_file(wrong).unwrap();
    house.close();
}

#[test]
fn a_program_reads_it_as_objects() {
    let house = House::new();
    let (good, wrong) = (house.file("good.toml", GOOD), house.file("wrong.toml", WRONG));
    let bytes = house.file("bytes.toml", b"program = \"/bin/true\"\n# \xff\n");
    let files = [good.as_os_str(), wrong.as_os_str(), bytes.as_os_str()];
    let told = house.run(["check".as_ref(), "--json".as_ref()].into_iter().chain(files));
    assert_eq!((told.code, told.stderr.as_str()), (Some(1), ""));
    let objects = told.json_lines();
    let ok: Vec<_> = objects.iter().map(|it| it["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [true, false, false]);
    let problem = &objects[1]["problems"][0];
    assert_eq!((&problem["line"], &problem["column"]), (&3.into(), &1.into()));
    let problem = &objects[2]["problems"][0];
    assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &3.into()));
    assert!(problem["what"].as_str().unwrap().contains("not UTF-8"));
    for file in files {
        std::fs::remove_file(file).unwrap();
    }
    house.close();
}

#[test]
fn a_file_that_is_not_there_is_another_failure() {
    let house = House::new();
    house.run(["check", "/nowhere/at.toml"]).fails(2, "/nowhere/at.toml cannot be read");
    assert_eq!(house.run(["check"]).code, Some(2));
    house.close();
}

#[test]
fn the_schema_is_printed() {
    let house = House::new();
    let schema = house.run(["check", "--schema"]).json();
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["keep_alive"]["enum"].is_array());
    house.close();
}
