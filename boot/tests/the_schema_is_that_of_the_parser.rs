//! The JSON Schema says what the parser does: of each key, what it takes and what not.

use boot::service::{ServiceFile, schema};
use serde_json::Value;

fn properties(of: &Value) -> Vec<(&str, &Value)> {
    of["properties"].as_object().unwrap().iter().map(|(key, value)| (key.as_str(), value)).collect()
}

/// A value the schema allows, as TOML.
fn good(of: &Value) -> String {
    if let Some(words) = of["enum"].as_array() {
        return words[0].to_string();
    }
    match of["type"].as_str().unwrap() {
        "string" if of.get("pattern").is_some() => "\"2s\"".to_owned(),
        "string" => "\"/usr\"".to_owned(),
        "array" => match of["items"]["type"].as_str().unwrap() {
            "integer" => "[1]".to_owned(),
            // What a rule must say beside one key.
            "object" => "[{ own_user = true }]".to_owned(),
            _ => "[\"b\"]".to_owned(),
        },
        "boolean" => "true".to_owned(),
        "integer" => of["minimum"].to_string(),
        "object" => "{}".to_owned(),
        other => panic!("{other}"),
    }
}

/// Values it does not allow.
fn bad(of: &Value) -> Vec<String> {
    if of.get("enum").is_some() {
        return vec!["\"what\"".to_owned(), "1".to_owned()];
    }
    let bad: &[&str] = match of["type"].as_str().unwrap() {
        "string" if of.get("pattern").is_some() => &["2", "\"2\"", "\"2 s\"", "\"s\"", "\"2d\""],
        "string" => &["1", "\"\"", "[]"],
        "array" => match of["items"]["type"].as_str().unwrap() {
            "integer" => &["1", "[\"1\"]", "[-1]", "[4294967295]", "[1.5]"],
            "object" => &["1", "{ own_user = true }", "[1]", "[{ no_such_key = 1 }]"],
            _ => &["\"a\"", "[1]"],
        },
        "boolean" => &["\"true\"", "1"],
        "integer" => &["\"1\"", "-1", "1.5"],
        "object" => &["1", "\"a\"", "{ \"no such key of it\" = 1 }"],
        other => panic!("{other}"),
    };
    bad.iter().map(|&value| value.to_owned()).collect()
}

/// A file with this one key as it is here, and else only what must be.
fn file(required: &[&str], key: &str, value: &str, within: Option<&str>) -> String {
    let mut text = String::new();
    for required in required.iter().filter(|required| within.is_some() || **required != key) {
        let usual = match *required {
            "names" => "[\"a\"]",
            "queues" => "[\"q\"]",
            _ => "\"/bin/true\"",
        };
        text.push_str(&format!("{required} = {usual}\n"));
    }
    if let Some(table) = within {
        text.push_str(&format!("{table}\n"));
    }
    text.push_str(&format!("{key} = {value}\n"));
    text
}

/// The keys of a rule in two halves: those of users, which exclude one another, and the
/// others.
fn rule(of: &Value) -> (Value, Value) {
    let (mut users, mut others) = (of.clone(), of.clone());
    users["properties"].as_object_mut().unwrap().retain(|key, _| key.ends_with("_user"));
    others["properties"].as_object_mut().unwrap().retain(|key, _| !key.ends_with("_user"));
    (users, others)
}

#[test]
fn each_key_takes_what_the_schema_says_and_nothing_else() {
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
    };
    let always = texts(&schema["required"]);
    // Either of these must be there.
    let either: Vec<String> =
        schema["anyOf"].as_array().unwrap().iter().flat_map(|of| texts(&of["required"])).collect();
    assert_eq!(either, ["names", "queues"]);
    let with = |one: &'static str| -> Vec<&str> {
        always.iter().map(String::as_str).chain([one]).collect()
    };
    let mut tried = 0;
    let mut try_all = |of: &Value, within: Option<&str>| {
        assert_eq!(of["additionalProperties"], false);
        for (key, value) in properties(of) {
            assert!(value["description"].as_str().is_some_and(|about| about.ends_with('.')));
            // Only who has nothing but queues can be idle.
            let required = with(if key == "idle_exit" { "queues" } else { "names" });
            let good = match (key, within) {
                ("names", Some(_)) => "[\"a\"]".to_owned(),
                ("executables", _) => "[\"/bin/true\"]".to_owned(),
                _ => good(value),
            };
            let text = file(&required, key, &good, within);
            assert!(ServiceFile::read(&text).is_ok(), "{text}");
            for bad in bad(value) {
                let text = file(&required, key, &bad, within);
                let wrong = ServiceFile::read(&text).expect_err(&text);
                assert_eq!(wrong[0].line, text.lines().count(), "{text}{wrong:?}");
                tried += 1;
            }
        }
        let text = file(&with("names"), "no_such_key", "1", within);
        assert!(ServiceFile::read(&text).is_err());
    };
    try_all(&schema, None);
    try_all(&schema["properties"]["limits"], Some("[limits]"));
    try_all(&schema["properties"]["cgroup"], Some("[cgroup]"));
    for door in ["look_up", "check_in"] {
        // A rule says whose it is, and this says so beside each other key.
        let (rule, others) = rule(&schema["properties"][door]["items"]);
        try_all(&others, Some(&format!("[[{door}]]\nown_user = true")));
        try_all(&rule, Some(&format!("[[{door}]]\ngids = [1]")));
    }
    assert!(tried > 80);
    for key in always.iter().chain(&either) {
        let text = file(&[], key, &good(&schema["properties"][key]), None);
        assert!(ServiceFile::read(&text).is_err(), "{text}");
    }
}
