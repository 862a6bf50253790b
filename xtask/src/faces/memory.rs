//! The programs in C of both faces once more, by tools that see what memory they touch.

use std::fs;
use std::process::Command;

use super::FACES;
use crate::child::count;
use crate::step::{Bench, Ending, Outcome, Tally, answers};

/// What valgrind is not to tell: the addresses that programs pass on purpose.
const KNOWN: &str = "faces/valgrind.supp";

/// How valgrind ends a program that it has something to tell of.
const BAD: &str = "--error-exitcode=99";

/// Runs the tests of both faces whose programs are in C, with a variable set.
fn run(bench: &mut Bench, variables: &[(&str, String)]) -> Result<Tally, crate::step::Broken> {
    let mut tally = Tally::default();
    for face in FACES {
        let test = face.dir.replace("faces/", "c_programs_behave_as_on_");
        let mut command = bench.cargo(&format!("test --locked -p {} --test {test}", face.name));
        for (variable, value) in variables {
            command.env(variable, value);
        }
        tally.add(bench.test(&mut command)?);
    }
    Ok(tally)
}

/// The step `valgrind`. It lacks newer system calls: so what is done without them is shown.
pub(crate) fn valgrind(bench: &mut Bench) -> Ending {
    if !answers(Command::new("valgrind").arg("--version")) {
        return Ok(Outcome::Skipped("apt-get install valgrind".into()));
    }
    let known = bench.root().join(KNOWN);
    let runner = format!("valgrind -q {BAD} --suppressions={}", known.display());
    let tally = run(bench, &[("PILLARBOX_C_RUNNER", runner)])?;
    Ok(Outcome::Passed(count(tally.passed, "test")))
}

/// The step `asan`: the programs are built to see what they touch, and what is called for
/// them touches, and to tell of memory that nobody can free any more.
pub(crate) fn asan(bench: &mut Bench) -> Ending {
    const FLAGS: &str = "-fsanitize=address -fno-omit-frame-pointer";
    let scratch = bench.workspace.target.join("xtask");
    fs::create_dir_all(&scratch)?;
    let (source, made) = (scratch.join("asan.c"), scratch.join("asan"));
    fs::write(&source, "int main(void) { return 0; }\n")?;
    let mut command = Command::new("cc");
    command.args(FLAGS.split(' ')).arg(&source).arg("-o").arg(&made);
    if !answers(&mut command) || !answers(&mut Command::new(&made)) {
        return Ok(Outcome::Skipped("apt-get install gcc libasan8".into()));
    }
    let options = ("ASAN_OPTIONS", "detect_leaks=1".to_owned());
    let few = ("JUMPS", "500".to_owned());
    let tally = run(bench, &[("PILLARBOX_C_FLAGS", FLAGS.to_owned()), options, few])?;
    Ok(Outcome::Passed(count(tally.passed, "test")))
}
