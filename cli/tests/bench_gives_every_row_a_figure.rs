//! `bench` measures what it was asked to and says so, to people and to programs.

mod house;

use house::House;

#[test]
fn rows_that_are_asked_for_have_figures() {
    let house = House::new();
    let told = house.run(["bench", "--json", "--row", "call-asleep-one-core", "local-create"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let rows: serde_json::Value = serde_json::from_str(told.text()).unwrap();
    let rows = rows.as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["row"].as_str().unwrap()).collect();
    assert_eq!(names, ["call-asleep-one-core", "local-create"]);
    for row in rows {
        assert!(row["ours"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["runs"].as_u64().unwrap() > 0 && row["pass"].is_boolean(), "{row}");
    }
    assert!(rows[0]["limit"].as_f64().unwrap() > 0.0 && rows[0]["ratio"].is_f64());
    house.close();
}

#[test]
fn the_table_names_its_columns() {
    let house = House::new();
    let told = house.run(["bench", "--row", "local-create"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let text = told.text();
    let head = text.lines().next().unwrap();
    for column in ["row", "state", "ours", "limit", "ratio", "goal", "p99", "p99.9", "cpu/op"] {
        assert!(head.split_whitespace().any(|word| word == column), "{column} in {head}");
    }
    assert!(text.lines().nth(1).unwrap().starts_with("local-create "), "{text}");
    house.close();
}

#[test]
fn a_row_that_is_not_there_is_a_usage_error() {
    let house = House::new();
    let told = house.run(["bench", "--row", "no-such-row"]);
    assert_eq!(told.code, Some(2), "{told:?}");
    assert!(told.stderr.contains("no-such-row"), "{told:?}");
    house.close();
}
