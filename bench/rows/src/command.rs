//! What the programs that run rows have in common: choosing rows, running them,
//! telling what came out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::html::html;
use crate::place::{Cores, Place};
use crate::report::{Measured, json, table};
use crate::row::{Goal, Row};
use crate::runner::{Effort, Peer, measure};

/// Which rows, and where the figures go.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// Measure these rows only: a name, or what several begin with, as "call" or
    /// "local".
    #[arg(long = "row", value_name = "NAME", num_args = 1..)]
    pub rows: Vec<String>,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with the table and the distributions.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Whether one of these rows is called so; where none is, whether its name begins with
/// these words.
fn is_meant(rows: &[Row], row: &Row, name: &str) -> bool {
    if rows.iter().any(|row| row.name == name) {
        return row.name == name;
    }
    row.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
}

/// Whether each name means a row.
///
/// # Errors
/// One means none.
pub(crate) fn known(rows: &[Row], names: &[String]) -> Result<()> {
    for name in names {
        if !rows.iter().any(|row| is_meant(rows, row, name)) {
            let all: Vec<_> = rows.iter().map(|row| row.name).collect();
            bail!("{name} is no row: the rows are {}", all.join(", "));
        }
    }
    Ok(())
}

/// The rows of a program, and those of its plan that are not built, with the reason.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What is measured.
    pub rows: &'static [Row],
    /// What is not, and why.
    pub absent: &'static [(&'static str, &'static str)],
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The rows that were measured.
    pub measured: Vec<Measured>,
    /// Those that could not be measured, and why.
    pub failed: Vec<(&'static Row, String)>,
    /// Those that are not here at all, and why.
    pub absent: Vec<(&'static str, &'static str)>,
}

impl Outcome {
    /// The table; below it what could not be measured, and what is absent; in its
    /// last line, how many rows there are of each sort.
    pub fn told(&self) -> String {
        let mut text = table(&self.measured);
        for (name, why) in &self.absent {
            text += &format!("{name} is absent: {why}\n");
        }
        for (row, why) in &self.failed {
            text += &format!("{} was not measured: {why}\n", row.name);
        }
        let stated = self.measured.iter().filter(|one| one.goal == Goal::Stated).count();
        let passed = self.measured.iter().filter(|one| one.pass).count() - stated;
        let short = self.measured.len() - passed - stated;
        let (failed, absent) = (self.failed.len(), self.absent.len());
        text += &format!(
            "{passed} rows pass, {short} are short, {stated} stated, {absent} absent, {failed} failed\n"
        );
        text
    }
}

/// Measures the rows of `plan` that were asked for, all where none was; `begun` hears of
/// each, the how manyth it is, and of how many.
///
/// # Errors
/// A row is unknown, or the figures cannot be written. A row that cannot be measured is in the outcome.
pub fn run(
    plan: Plan,
    options: &Options,
    effort: &Effort,
    peers: &[Peer],
    mut begun: impl FnMut(&Row, usize, usize),
) -> Result<Outcome> {
    known(plan.rows, &options.rows)?;
    let mut outcome = Outcome::default();
    if options.rows.is_empty() {
        outcome.absent.extend(plan.absent);
    }
    let cores = Cores::here()?.count();
    let asked = |row: &&Row| {
        let meant = |name: &String| is_meant(plan.rows, row, name);
        options.rows.is_empty() || options.rows.iter().any(meant)
    };
    let all: Vec<_> = plan.rows.iter().filter(asked).collect();
    for (at, row) in all.iter().copied().enumerate() {
        if row.place == Place::TwoCores && cores < 2 {
            outcome.absent.push((row.name, "this process may run on one processor only"));
            continue;
        }
        begun(row, at + 1, all.len());
        let peers: Vec<Peer> = peers.iter().filter(|peer| peer.row == row.name).copied().collect();
        match measure(row, effort, &peers) {
            Ok(measured) => outcome.measured.push(measured),
            Err(error) => outcome.failed.push((row, format!("{error:#}"))),
        }
    }
    if let Some(path) = &options.json {
        write(path, &json(&outcome.measured)?)?;
    }
    if let Some(path) = &options.html {
        write(path, &html(&outcome.measured))?;
    }
    Ok(outcome)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;

    #[test]
    fn rows_are_meant_by_whole_words() {
        let meant = |name: &str| ROWS.iter().filter(|row| is_meant(ROWS, row, name)).count();
        assert_eq!((meant("call-awake"), meant("loan-1m"), meant("loan")), (1, 1, 3));
        assert_eq!((meant("loa"), meant("")), (0, 0));
        let known = |name: &str| known(ROWS, &[name.to_owned()]);
        assert!(known("loan").is_ok());
        assert!(known("loa").is_err_and(|why| why.to_string().contains("loan-64k")));
    }
}
