//! `cargo xtask tidy`: the house rules as code.
//!
//! A rule is a pure function from the tree to what it finds, in a file of its
//! kind under `tidy/`, with fixtures that keep it and fixtures that break it;
//! and a row in [`RULES`].

mod commits;
mod fidelity;
mod imports;
mod length;
mod limits;
mod links;
mod machines;
mod map;
mod names;
mod orderings;
mod promises;
mod rights;
mod sleeps;
mod source;
mod tree;
mod unfinished;
mod unsafety;
mod wire;

use std::fmt;
use std::path::Path;

use anyhow::Result;

use crate::step::{Bench, Broken, Ending, Outcome};
use crate::workspace::Workspace;
use crate::{Verdict, say};
use tree::Tree;

pub(crate) use tree::files;

/// Checks the house rules.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only name the rules.
    #[arg(long)]
    list: bool,
    /// Only print the hash that docs/wire.md must hold.
    #[arg(long)]
    wire_hash: bool,
}

/// A house rule.
struct Rule {
    name: &'static str,
    about: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

/// Every rule.
const RULES: &[Rule] = &[
    Rule {
        name: "imports",
        about: "crates need only what the house's import table allows",
        check: imports::table,
    },
    Rule {
        name: "forbid",
        about: "forbid(unsafe_code) at the root of every crate but shm and faces",
        check: imports::forbid,
    },
    Rule {
        name: "unsafe",
        about: "unsafe in shm and faces only, each file named in docs/soundness.md",
        check: unsafety::files,
    },
    Rule {
        name: "pairs",
        about: "orderings in shm carry `// pairs: tag`, each tag at both ends",
        check: orderings::pairs,
    },
    Rule {
        name: "names",
        about: "no module or type is named after nothing in particular",
        check: names::barred,
    },
    Rule {
        name: "length",
        about: "a source file has at most 800 lines, a second look at 500",
        check: length::lines,
    },
    Rule {
        name: "heads",
        about: "every source file begins by saying what it is",
        check: length::heads,
    },
    Rule {
        name: "links",
        about: "links and anchors in documents lead somewhere",
        check: links::targets,
    },
    Rule { name: "paths", about: "paths named in documents exist", check: links::paths },
    Rule { name: "ignore", about: "no test and no example is ignored", check: unfinished::ignored },
    Rule { name: "todo", about: "nothing is left to be written", check: unfinished::todo },
    Rule { name: "sleeps", about: "a sleep in a test says why it must", check: sleeps::reasons },
    Rule {
        name: "wire",
        about: "the bytes on the wire are those docs/wire.md records",
        check: wire::recorded,
    },
    Rule {
        name: "limits",
        about: "every limit stands in docs/limits.md, and nothing else does",
        check: limits::told,
    },
    Rule {
        name: "rights",
        about: "every operation of a right stands in docs/rights.md, and nothing else does",
        check: rights::told,
    },
    Rule {
        name: "promises",
        about: "public operations say their rights, errors, blocking and cancel safety",
        check: promises::told,
    },
    Rule {
        name: "fidelity",
        about: "every fact a face is held to stands in its FIDELITY.md, with its test or why not",
        check: fidelity::shown,
    },
    Rule { name: "machines", about: "no path of somebody's machine", check: machines::paths },
    Rule {
        name: "map",
        about: "ARCHITECTURE.md says a sentence about every crate",
        check: map::crates,
    },
    Rule {
        name: "subject",
        about: "the last commit's subject has at most 60 characters",
        check: commits::subject,
    },
];

/// Something a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Zero where the whole file is meant.
    line: usize,
    what: String,
    /// Told, but no reason to fail.
    advice: bool,
}

impl Finding {
    fn new(path: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Finding { path: path.into(), line, what: what.into(), advice: false }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Checks every rule and says what it found.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    if options.list {
        for rule in RULES {
            say(format_args!("{:<9} {}", rule.name, rule.about));
        }
        return Ok(Verdict::Good);
    }
    let tree = Tree::read(&Workspace::load()?)?;
    if options.wire_hash {
        say(wire::hash(&tree));
        return Ok(Verdict::Good);
    }
    let (found, bad) = check(&tree);
    for line in &found {
        say(line);
    }
    say(format_args!("tidy: {} rules, {} files, {bad} broken", RULES.len(), tree.paths().count(),));
    Ok(Verdict::good_if(bad == 0))
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    let tree = Tree::read(bench.workspace)?;
    let (found, bad) = check(&tree);
    if bad > 0 {
        return Err(Broken { why: format!("{bad} broken"), output: found.join("\n") });
    }
    for line in found {
        say(line);
    }
    Ok(Outcome::Passed(format!("{} rules", RULES.len())))
}

/// What is found, in words, and how much of it is more than advice.
fn check(tree: &Tree) -> (Vec<String>, usize) {
    let mut lines = Vec::new();
    let mut bad = 0;
    for rule in RULES {
        for finding in (rule.check)(tree) {
            bad += usize::from(!finding.advice);
            let advice = if finding.advice { ", advice" } else { "" };
            lines.push(format!("{finding} ({}{advice})", rule.name));
        }
    }
    (lines, bad)
}

/// Files in folders `examples` that must be examples of some crate.
pub(crate) fn example_files(root: &Path) -> Result<Vec<String>> {
    let mut found = files(root)?;
    found.retain(|path| {
        path.rsplit_once('/').is_some_and(|(dir, file)| {
            let alone = dir == "examples" || dir.ends_with("/examples");
            let folder = dir
                .rsplit_once('/')
                .is_some_and(|(above, _)| above == "examples" || above.ends_with("/examples"));
            alone && file.ends_with(".rs") || folder && file == "main.rs"
        })
    });
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rules_share_a_name() {
        for (at, rule) in RULES.iter().enumerate() {
            assert!(RULES[at + 1..].iter().all(|other| other.name != rule.name));
        }
    }

    #[test]
    fn a_finding_is_told_with_its_place() {
        let finding = Finding::new("a.rs", 3, "is wrong");
        assert_eq!(finding.to_string(), "a.rs:3: is wrong");
        assert_eq!(Finding::new("a.rs", 0, "is long").to_string(), "a.rs: is long");
    }
}
