//! `pillarbox check`: are these service files right?

use std::path::PathBuf;
use std::process::ExitCode;

use boot::service::{Problem, ServiceFile, schema};
use serde::Serialize;

use crate::failure::{Failure, Kind};
use crate::output::{self, Reader};

/// The end of `--help`.
pub(crate) const HELP: &str = "\
Says everything that is wrong, with line and column, and what to do about it. Which
keys there are and what they mean is in the schema, and in docs/services.md.

Examples:
  pillarbox check ~/.config/pillarbox/services/*.toml
  pillarbox check upper.toml --json | jq -r '.problems[].what'
  pillarbox check --schema > pillarbox-service.schema.json

JSON, one object for each file: {\"ok\":false,\"file\":\"upper.toml\",\"problems\":
  [{\"line\":3,\"column\":1,\"what\":\"there is no key `throttel`\",\"cure\":…}]}.

Exit codes:
  0   every file is right
  1   one is not
  2   a wrong argument, or a file that cannot be read";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The service files
    #[arg(required_unless_present = "schema", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the JSON Schema of service files
    #[arg(long, conflicts_with_all = ["files", "json"])]
    schema: bool,
    /// Print one object for each file
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints.
#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    file: &'a str,
    problems: Vec<Told<'a>>,
}

#[derive(Serialize)]
struct Told<'a> {
    line: usize,
    column: usize,
    what: &'a str,
    cure: &'a str,
}

impl<'a> Told<'a> {
    fn of(problem: &'a Problem) -> Self {
        let Problem { line, column, what, cure, .. } = problem;
        Told { line: *line, column: *column, what, cure }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.schema {
        let _ = output::bytes(&[schema().as_bytes()])?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut all_right = true;
    for path in &arguments.files {
        let shown = path.display().to_string();
        let text = std::fs::read(path).map_err(|error| {
            Failure::new(Kind::Usage, format!("{shown} cannot be read")).because(error)
        })?;
        let problems = problems(&text);
        all_right &= problems.is_empty();
        if arguments.json {
            let problems: Vec<Told<'_>> = problems.iter().map(Told::of).collect();
            let checked = Checked { ok: problems.is_empty(), file: &shown, problems };
            if output::json(&checked)? == Reader::Gone {
                break;
            }
        } else {
            for problem in &problems {
                tell(&shown, problem);
            }
        }
    }
    Ok(ExitCode::from(u8::from(!all_right)))
}

fn problems(text: &[u8]) -> Vec<Problem> {
    match std::str::from_utf8(text) {
        Ok(text) => ServiceFile::read(text).err().unwrap_or_default(),
        Err(error) => {
            // What comes before it is text, so it has lines.
            let before = text.get(..error.valid_up_to()).unwrap_or_default();
            let before = std::str::from_utf8(before).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            vec![Problem::new(line, column, "this is not UTF-8", "save the file as UTF-8")]
        }
    }
}

/// Says it as compilers do, so that editors jump there.
pub(crate) fn tell(file: &str, problem: &Problem) {
    let Problem { line, column, what, cure, .. } = problem;
    output::line(&format!("{file}:{line}:{column}: {what}"));
    output::line(&format!("  hint: {cure}"));
}
