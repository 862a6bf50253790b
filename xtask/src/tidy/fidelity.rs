//! Every fact that a face is held to stands in its FIDELITY.md, with the test that shows
//! it or the reason why there is none.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Tree};

/// A face, and how many facts each section of its system has. Who finds another fact adds
/// a row there and counts it here; a row does not go unnoticed.
struct Face {
    dir: &'static str,
    sections: &'static [(&'static str, usize)],
}

const FACES: [Face; 2] = [
    Face {
        dir: "faces/mach",
        sections: &[
            ("2.1", 21),
            ("2.2", 28),
            ("2.3", 9),
            ("2.4", 16),
            ("2.5", 3),
            ("2.6", 5),
            ("2.7", 28),
            ("2.8", 4),
            ("2.9", 18),
            ("2.10", 4),
            ("2.11", 4),
            ("2.12", 8),
            ("2.13", 1),
            ("2.14", 14),
            ("6", 20),
        ],
    },
    Face {
        dir: "faces/qnx",
        sections: &[
            ("A1", 15),
            ("A2", 10),
            ("A3", 6),
            ("A4", 12),
            ("A5", 14),
            ("A6", 7),
            ("A7", 9),
            ("A8", 4),
            ("A9", 6),
            ("A10", 8),
            ("A11", 1),
            ("A12", 12),
        ],
    },
];

/// What a row says where no test is named, before it says why.
const NONE: &str = "none: ";

/// Every number has one row, every row a test that runs or a reason.
pub(super) fn shown(tree: &Tree) -> Vec<Finding> {
    FACES.iter().flat_map(|face| of_face(tree, face)).collect()
}

fn of_face(tree: &Tree, face: &Face) -> Vec<Finding> {
    let path = format!("{}/FIDELITY.md", face.dir);
    let Some(text) = tree.text(&path) else {
        return vec![Finding::new(path, 0, "is missing: it says what the face is held to")];
    };
    let tests = tests(tree, face.dir);
    let wanted = |id: &str| {
        let (section, number) = id.rsplit_once('.')?;
        let count = face.sections.iter().find(|(name, _)| *name == section)?.1;
        number.parse().ok().filter(|number| (1..=count).contains(number))
    };
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (number, id, by) in rows(text) {
        let mut say = |what: String| found.push(Finding::new(&path, number, what));
        if wanted(id).is_none() {
            say(format!("no fact has the number {id}: count it in the rule `fidelity`"));
        } else if !seen.insert(id.to_owned()) {
            say(format!("{id} stands here twice"));
        }
        if let Some(why) = by.strip_prefix(NONE) {
            if why.split_whitespace().count() < 3 || why.contains('`') {
                say(format!("{id} has no test and does not say why"));
            }
            continue;
        }
        let named: Vec<&str> = by.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            say(format!("{id} names no test: say `{NONE}` and why"));
        }
        for test in named.into_iter().filter(|&test| !tests.contains(test)) {
            say(format!("{id} names {test}, which is no test that runs"));
        }
    }
    for &(section, count) in face.sections {
        for number in 1..=count {
            let id = format!("{section}.{number}");
            if !seen.contains(&id) {
                found.push(Finding::new(&path, 0, format!("the fact {id} is missing")));
            }
        }
    }
    found
}

/// The rows of facts: their line, their number, and what shows them.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let (id, rest) = cells.split_once(" | ")?;
        let (_, by) = rest.rsplit_once(" | ")?;
        let (section, last) = id.rsplit_once('.')?;
        let is_number = last.parse::<usize>().is_ok()
            && section.starts_with(|c: char| c.is_ascii_digit() || c == 'A');
        is_number.then_some((number, id, by))
    })
}

/// Everything in a face that is a test and runs: functions marked as tests, programs in C
/// that a test names, and the checks which such a program calls.
fn tests<'a>(tree: &'a Tree, dir: &str) -> BTreeSet<&'a str> {
    let inside = |path: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let rust: BTreeMap<&str, &str> = tree.ending(".rs").filter(|(path, _)| inside(path)).collect();
    let mut found: BTreeSet<&str> = rust.values().flat_map(|text| marked(text)).collect();
    for (path, text) in tree.ending(".c").filter(|(path, _)| inside(path)) {
        let Some((_, name)) = path.rsplit_once("/tests/c/") else { continue };
        let Some(program) = name.strip_suffix(".c") else { continue };
        let quoted = format!("\"{program}\"");
        if rust.values().any(|text| text.contains(&quoted)) {
            found.insert(program);
            found.extend(called(text));
        }
    }
    found
}

/// The functions of a source in Rust that are marked as tests.
fn marked(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]\n").skip(1).filter_map(|rest| {
        let line = rest.lines().next()?.trim_start();
        line.strip_prefix("fn ")?.split('(').next()
    })
}

/// The checks of a program in C that its `main` calls.
fn called(text: &str) -> impl Iterator<Item = &str> {
    let main = text.split_once("\nint main(void) {").map_or("", |(_, main)| main);
    text.lines().filter_map(move |line| {
        let name = line.strip_prefix("static void ")?.strip_suffix("(void) {")?;
        let call = format!("{name}();");
        main.lines().any(|line| line.trim() == call).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACE: Face = Face { dir: "faces/x", sections: &[("A1", 2), ("2.10", 1)] };
    const DRIVER: &str =
        "const ALONE: [&str; 1] = [\"runs\"];\n#[test]\nfn a_promise_holds() {\n}\n";
    const PROGRAM: &str = "static void one_check(void) {\n}\nstatic void forgotten(void) {\n}\n\
                           int main(void) {\n    one_check();\n}\n";

    fn found(rows: &str) -> Vec<String> {
        let text = format!("# Facts\n\n| fact | what | shown by |\n|---|---|---|\n{rows}");
        let tree = Tree::of(&[
            ("faces/x/FIDELITY.md", &text),
            ("faces/x/tests/driver.rs", DRIVER),
            ("faces/x/tests/c/runs.c", PROGRAM),
            ("faces/x/tests/c/left.c", PROGRAM),
            ("faces/xy/tests/c/other.c", PROGRAM),
        ]);
        of_face(&tree, &FACE).into_iter().map(|it| it.what).collect()
    }

    #[test]
    fn what_is_shown_passes() {
        let rows = "| A1.1 | one | `runs`, `one_check` |\n| A1.2 | a `call` | `a_promise_holds` |\n\
                    | 2.10.1 | two | none: nobody can see it |\n";
        assert_eq!(found(rows), [""; 0]);
    }

    #[test]
    fn what_is_missing_twice_or_unknown_is_found() {
        let rows = "| A1.1 | one | `runs` |\n| A1.1 | one | `runs` |\n| A1.3 | three | `runs` |\n\
                    | 2.10.1 | two | `runs` |\n";
        let found = found(rows);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("twice") && found[1].contains("no fact has the number A1.3"));
        assert_eq!(found[2], "the fact A1.2 is missing");
    }

    #[test]
    fn what_is_no_test_that_runs_is_found() {
        for by in
            ["`gone`", "`left`", "`forgotten`", "`other`", "`runs`, `gone`", "yes", "none: no", ""]
        {
            let rows = format!(
                "| A1.1 | one | {by} |\n| A1.2 | two | `runs` |\n| 2.10.1 | x | `runs` |\n"
            );
            assert_eq!(found(&rows).len(), 1, "{by}: {:?}", found(&rows));
        }
    }

    #[test]
    fn a_face_without_the_file_is_found() {
        assert_eq!(of_face(&Tree::of(&[]), &FACE).len(), 1);
    }
}
