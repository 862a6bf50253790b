//! `cargo xtask instructions`: what the hot path costs in instructions.
//!
//! Callgrind counts them while one thread plays both ends of a lane, so nobody waits
//! and the figures are the same on a busy machine. They stand in
//! `bench/instructions.toml`; where one has risen by more than [`RISE`] the step of
//! `cargo xtask check` fails, until the file is written anew with a reason. Another
//! compiler or C library makes other code: then nothing is compared.

mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::child::tail;
use crate::program::Program;
use crate::step::{Bench, Broken, Ending, Outcome, answers};
use crate::workspace::Workspace;
use crate::{Verdict, say};
use record::{Figure, Record, Tools};

/// Where the figures stand, seen from the root.
const FILE: &str = "bench/instructions.toml";

/// What is counted: functions of that name in the program, with `_` for `-`.
const OPERATIONS: [&str; 9] = [
    "send",
    "receive",
    "call",
    "local-send",
    "local-receive",
    "local-create",
    "right-transfer",
    "port-per-call",
    "loan",
];

/// How often each is done.
const TIMES: u32 = 10_000;

/// How much more than recorded is too much.
const RISE: f64 = 0.05;

/// How long one count may take: it takes some seconds.
const BOUND: Duration = Duration::from_secs(120);

/// How to get what counts.
const MISSING: &str = "apt-get install valgrind";

/// Counts the instructions of one send, one receive and one call of 64 bytes, between
/// tasks and within one, with callgrind, and compares them with bench/instructions.toml.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write what was counted into the file.
    #[arg(long)]
    write: bool,
    /// Why a figure has changed; it is needed to write one that has risen.
    #[arg(long, value_name = "WHY", requires = "write")]
    reason: Option<String>,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show which functions an operation spends its instructions in, callees included;
    /// of every operation where none is named.
    #[arg(long, value_name = "OPERATION", num_args = 0..=1, conflicts_with = "write",
          default_missing_value = "every",
          value_parser = ["send", "receive", "call", "local-send", "local-receive",
                          "local-create", "right-transfer", "port-per-call", "loan", "every"])]
    profile: Option<String>,
    /// How many functions are shown.
    #[arg(long, value_name = "N", default_value_t = 40, requires = "profile")]
    top: usize,
}

/// What was counted of one operation, beside what is recorded.
#[derive(Clone, Debug, PartialEq)]
struct Counted {
    operation: &'static str,
    instructions: f64,
    recorded: Option<u64>,
}

impl Counted {
    /// By which part it has risen.
    fn rise(&self) -> Option<f64> {
        self.recorded.map(|recorded| self.instructions / recorded as f64 - 1.0)
    }

    fn has_risen(&self) -> bool {
        self.rise().is_some_and(|rise| rise > RISE)
    }

    fn told(&self) -> String {
        let Counted { operation, instructions, .. } = self;
        match self.rise() {
            Some(rise) => format!("{operation} {instructions:.0} ({:+.1} %)", rise * 100.0),
            None => format!("{operation} {instructions:.0}"),
        }
    }
}

/// Counts, and compares or writes.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let workspace = Workspace::load()?;
    let mut bench = Bench::new(&workspace, "instructions");
    if !answers(Command::new("valgrind").arg("--version")) {
        bail!("valgrind is missing: {MISSING}");
    }
    match options.profile.as_deref() {
        Some(which) => shown(profile(&mut bench, which, options.top)),
        None => shown(compare(&mut bench, options)),
    }
}

/// What went wrong, for whoever sits at the terminal.
fn shown(ended: Result<Verdict, Broken>) -> Result<Verdict> {
    ended.or_else(|broken| {
        say(tail(&broken.output, 100));
        say(format_args!("failed: {}", broken.why));
        Ok(Verdict::Bad)
    })
}

fn compare(bench: &mut Bench, options: &Options) -> Result<Verdict, Broken> {
    let file = bench.root().join(FILE);
    let before = match std::fs::read_to_string(&file) {
        Ok(text) => Some(Record::read(&text).context(FILE)?),
        Err(error) if options.write && error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(anyhow::Error::from(error).context(FILE).into()),
    };
    let tools = tools()?;
    let alike = before.as_ref().filter(|record| record.tools == tools);
    let counted = count(bench, alike)?;
    for one in &counted {
        say(one.told());
    }
    if let Some(path) = &options.json {
        std::fs::write(path, as_json(&tools, &counted)?)?;
    }
    let risen = counted.iter().any(Counted::has_risen);
    if options.write {
        if risen && options.reason.is_none() {
            return Err(Broken::new("a figure has risen: say --reason WHY"));
        }
        let reason = options.reason.as_deref().unwrap_or("fewer, or counted with other tools");
        let record = written(before.as_ref(), tools, &counted, reason);
        std::fs::write(file, record.text())?;
        say(format_args!("{FILE} is written"));
        return Ok(Verdict::Good);
    }
    if alike.is_none() {
        say("counted with other tools than those recorded: not compared");
    }
    if risen {
        say(format_args!("failed: {}", too_many(&counted)));
    }
    Ok(Verdict::good_if(!risen))
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    if !answers(Command::new("valgrind").arg("--version")) {
        return Ok(Outcome::Skipped(MISSING.to_owned()));
    }
    let text = std::fs::read_to_string(bench.root().join(FILE)).context(FILE)?;
    let record = Record::read(&text).context(FILE)?;
    let tools = tools()?;
    let alike = (record.tools == tools).then_some(&record);
    let counted = count(bench, alike)?;
    if counted.iter().any(Counted::has_risen) {
        return Err(Broken::new(too_many(&counted)));
    }
    let mut remark = counted.iter().map(Counted::told).collect::<Vec<_>>().join(", ");
    if alike.is_none() {
        remark += "; not compared, the tools are others";
    }
    Ok(Outcome::Passed(remark))
}

fn too_many(counted: &[Counted]) -> String {
    let risen: Vec<_> = counted.iter().filter(|one| one.has_risen()).map(Counted::told).collect();
    format!(
        "more instructions than {FILE} says: {}; where that is meant, \
         cargo xtask instructions --write --reason WHY",
        risen.join(", ")
    )
}

/// The new file. A figure that is the same as before keeps its reason.
fn written(before: Option<&Record>, tools: Tools, counted: &[Counted], reason: &str) -> Record {
    let known = before.map(|record| &record.figures);
    let figures = counted.iter().map(|one| {
        let instructions = one.instructions.round() as u64;
        let same = known.and_then(|known| known.get(one.operation));
        let same = same.filter(|figure| figure.instructions == instructions);
        let reason = same.map_or(reason, |figure| &figure.reason).to_owned();
        (one.operation.to_owned(), Figure { instructions, reason })
    });
    Record { tools, figures: figures.collect::<BTreeMap<_, _>>() }
}

fn as_json(tools: &Tools, counted: &[Counted]) -> Result<String> {
    let operations: Vec<_> = counted
        .iter()
        .map(|one| {
            json!({
                "operation": one.operation,
                "instructions": one.instructions,
                "recorded": one.recorded,
                "rise": one.rise(),
                "pass": !one.has_risen(),
            })
        })
        .collect();
    let all = json!({
        "compiler": tools.compiler,
        "libc": tools.libc,
        "operations": operations,
    });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

/// The compiler and the C library that the program is made of.
fn tools() -> Result<Tools> {
    let mut compiler = Command::new("rustc");
    compiler.arg("--version");
    let mut libc = Command::new("getconf");
    libc.arg("GNU_LIBC_VERSION");
    let said = |command: &mut Command| {
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let compiler = said(&mut compiler).context("rustc does not say its version")?;
    // Another system's machine code is another, whoever compiled it.
    let compiler = format!("{compiler}, {}", std::env::consts::ARCH);
    Ok(Tools { compiler, libc: said(&mut libc).unwrap_or_else(|| "unknown".to_owned()) })
}

/// Counts every operation. Compares with `record`, where there is one.
fn count(bench: &mut Bench, record: Option<&Record>) -> Result<Vec<Counted>, Broken> {
    let program = program(bench)?;
    let mut all = Vec::new();
    for operation in OPERATIONS {
        let recorded = record.and_then(|record| record.figures.get(operation));
        let recorded = recorded.map(|figure| figure.instructions);
        let mut counted = Counted { operation, instructions: f64::INFINITY, recorded };
        // A bell at the wrong moment, and the background thread of one of the two tasks
        // takes part: what is too much is counted again, and the least is true.
        for _ in 0..3 {
            counted.instructions = counted.instructions.min(once(bench, &program, operation)?);
            if !counted.has_risen() {
                break;
            }
        }
        all.push(counted);
    }
    Ok(all)
}

/// Counts an operation once.
fn once(bench: &mut Bench, program: &Path, operation: &str) -> Result<f64, Broken> {
    let out = callgrind(bench, program, operation)?;
    let text = std::fs::read_to_string(&out)?;
    match total(&text) {
        Some(0) | None => Err(Broken::new(format!("callgrind saw no call of {operation}"))),
        Some(total) => Ok(total as f64 / f64::from(TIMES)),
    }
}

fn program(bench: &mut Bench) -> Result<PathBuf, Broken> {
    let program =
        Program { package: "pillarbox-bench-rows", name: "one-thread", arguments: vec![] };
    program.build(bench)
}

/// Runs the program under callgrind, which counts while `operation` runs, and says
/// where its file lies.
fn callgrind(bench: &mut Bench, program: &Path, operation: &str) -> Result<PathBuf, Broken> {
    let out = bench.workspace.target.join("xtask").join(format!("callgrind.{operation}.out"));
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(format!("--toggle-collect=one_thread::{}", operation.replace('-', "_")))
        .arg(program)
        .arg(operation)
        .arg(format!("--operations={TIMES}"));
    bench.must_within(&mut command, BOUND)?;
    Ok(out)
}

/// The sum that a file of callgrind's ends with.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

/// Shows where the instructions go.
fn profile(bench: &mut Bench, which: &str, top: usize) -> Result<Verdict, Broken> {
    let program = program(bench)?;
    for operation in OPERATIONS.into_iter().filter(|name| [name, "every"].contains(&which)) {
        let out = callgrind(bench, &program, operation)?;
        let mut command = Command::new("callgrind_annotate");
        command.args(["--inclusive=yes", "--auto=no", "--threshold=100"]).arg(&out);
        let text = bench.must_within(&mut command, BOUND)?;
        say(format_args!("{operation}: instructions of one, callees included"));
        for (instructions, function) in functions(&text, operation).into_iter().take(top) {
            let each = instructions as f64 / f64::from(TIMES);
            say(format_args!("{each:>9.1}  {function}"));
        }
    }
    Ok(Verdict::Good)
}

/// The functions of an annotation, largest first; whoever called the operation is
/// left out. Callgrind lists a function once for each file its code came from: the
/// largest counts.
fn functions(text: &str, operation: &str) -> Vec<(u64, String)> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    let mut whole = 0;
    for line in text.lines() {
        let Some((count, rest)) = line.trim_start().split_once(" (") else { continue };
        let Ok(count) = count.replace(',', "").parse::<u64>() else { continue };
        let Some((_, place)) = rest.split_once(")  ").or_else(|| rest.split_once(") ")) else {
            continue;
        };
        // The program's name is at the end; a file's, before the first colon.
        let place = place.split(" [").next().unwrap_or(place);
        let Some((_, function)) = place.split_once(':') else {
            whole = whole.max(count);
            continue;
        };
        let known = all.entry(function.to_owned()).or_default();
        *known = count.max(*known);
    }
    let own = format!("one_thread::{}", operation.replace('-', "_"));
    let mut list: Vec<_> = all
        .into_iter()
        .filter(|(function, count)| *count < whole || *function == own)
        .map(|(function, count)| (count, function))
        .collect();
    list.sort_by(|one, other| other.cmp(one));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(instructions: f64) -> Counted {
        Counted { operation: "send", instructions, recorded: Some(100) }
    }

    #[test]
    fn five_in_a_hundred_is_not_too_much() {
        assert!(!counted(104.9).has_risen() && counted(105.2).has_risen());
        assert!(!counted(20.0).has_risen());
        assert!(!Counted { recorded: None, ..counted(900.0) }.has_risen());
        assert_eq!(counted(110.0).told(), "send 110 (+10.0 %)");
        let said = too_many(&[counted(110.0), counted(90.0)]);
        assert!(said.contains("send 110 (+10.0 %); where"), "{said}");
    }

    #[test]
    fn what_has_not_changed_keeps_its_reason() {
        let before = written(None, Tools::default(), &[counted(100.0)], "old");
        let same = written(Some(&before), Tools::default(), &[counted(100.4)], "new");
        assert_eq!(same.figures["send"].reason, "old");
        let other = written(Some(&before), Tools::default(), &[counted(101.0)], "new");
        assert_eq!(other.figures["send"].reason, "new");
    }

    #[test]
    fn the_sum_of_callgrind_is_found() {
        assert_eq!(total("events: Ir\nfn=(1)\n3 4\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn a_function_is_shown_once_and_its_callers_not() {
        let text = "\
Ir
30,000 (100.0%)  PROGRAM TOTALS

30,000 (100.0%)  src/one_thread.rs:one_thread::main [/x]
30,000 (100.0%)  src/one_thread.rs:one_thread::send [/x]
20,000 (66.67%)  /a/right.rs:pillarbox::right::SendRight::send [/x]
10,000 (33.33%)  ./malloc/malloc.c:malloc [/libc.so]
   500 ( 1.67%)  /b/other.rs:pillarbox::right::SendRight::send
";
        let own = |name: &str| name.to_owned();
        assert_eq!(
            functions(text, "send"),
            [
                (30_000, own("one_thread::send")),
                (20_000, own("pillarbox::right::SendRight::send")),
                (10_000, own("malloc")),
            ]
        );
    }
}
