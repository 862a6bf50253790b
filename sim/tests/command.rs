//! What the command prints and how it exits.

use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output().expect("the command runs")
}

#[test]
fn one_line_of_figures_for_a_good_run() {
    let output = sim(&["--seeds", "2", "--seed", "5", "--steps", "300", "--tasks", "3"]);
    let text = String::from_utf8(output.stdout).expect("figures are text");
    assert!(output.status.success());
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("2 seeds, 600 steps, ") && text.ends_with(", lost 0\n"), "{text}");
}

#[test]
fn a_wrong_argument_exits_with_two() {
    assert_eq!(sim(&["--tasks", "1"]).status.code(), Some(2));
    assert_eq!(sim(&["--seeds", "many"]).status.code(), Some(2));
    assert_eq!(sim(&["--help"]).status.code(), Some(0));
}
