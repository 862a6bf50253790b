//! `bench/instructions.toml`: what was counted when the hot path was last changed.
//!
//! Of TOML it knows what stands in that file: comments, a table's head, and a key
//! with a number or a string without escapes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};

/// The head of the file.
const HEAD: &str = "\
# Instructions of one operation of the hot path, counted by callgrind while one thread
# plays both ends of a lane (bench/rows/src/one_thread.rs). `cargo xtask check` fails where
# one has risen by more than 5 % and this file was not changed with it; it compares only
# where the compiler and the C library are these. Written by
# `cargo xtask instructions --write --reason WHY`.
";

/// What the figures depend on besides our code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tools {
    /// The compiler, as it names itself.
    pub(super) compiler: String,
    /// The C library: its copying and allocating are in every figure.
    pub(super) libc: String,
}

/// One operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Figure {
    /// Of one operation, rounded.
    pub(super) instructions: u64,
    /// Why it is not what it was before.
    pub(super) reason: String,
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// What it was counted with.
    pub(super) tools: Tools,
    /// By the operation's name.
    pub(super) figures: BTreeMap<String, Figure>,
}

impl Record {
    /// Reads the file.
    pub(super) fn read(text: &str) -> Result<Record> {
        let mut record = Record::default();
        let mut table = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            let within = || format!("line {}: {line}", number + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                ensure!(!record.figures.contains_key(name), "{}: a second time", within());
                table = Some(record.figures.entry(name.to_owned()).or_default());
                continue;
            }
            let (key, value) = line.split_once('=').with_context(within)?;
            let (key, value) = (key.trim(), value.trim());
            let word = || {
                let word = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                word.filter(|word| !word.contains(['"', '\\'])).map(str::to_owned)
            };
            match (&mut table, key) {
                (None, "compiler") => record.tools.compiler = word().with_context(within)?,
                (None, "libc") => record.tools.libc = word().with_context(within)?,
                (Some(figure), "instructions") => {
                    figure.instructions = value.parse().with_context(within)?;
                }
                (Some(figure), "reason") => figure.reason = word().with_context(within)?,
                _ => bail!("{}: no such key here", within()),
            }
        }
        for (name, figure) in &record.figures {
            ensure!(figure.instructions > 0, "{name} has no figure");
            ensure!(!figure.reason.trim().is_empty(), "{name} has no reason beside its figure");
        }
        Ok(record)
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        let Tools { compiler, libc } = &self.tools;
        let _ = writeln!(text, "compiler = \"{compiler}\"\nlibc = \"{libc}\"");
        for (name, Figure { instructions, reason }) in &self.figures {
            let _ = write!(text, "\n[{name}]\ninstructions = {instructions}\n");
            let _ = writeln!(text, "reason = \"{}\"", reason.replace(['"', '\\', '\n'], "'"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let tools = Tools { compiler: "rustc 1.2.3".to_owned(), libc: "glibc 2.36".to_owned() };
        let figure = Figure { instructions: 7, reason: "first counted".to_owned() };
        Record { tools, figures: [("send".to_owned(), figure)].into() }
    }

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        assert_eq!(Record::read(&record().text())?, record());
        Ok(())
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for wrong in [
            "compiler",
            "compiler = 3",
            "instructions = 3",
            "[send]\ninstructions = many\nreason = \"x\"",
            "[send]\ninstructions = 3",
            "[send]\ninstructions = 3\nreason = \" \"",
            "[send]\nreason = \"x\"",
            "[send]\nother = 3",
            "[send]\ninstructions = 3\nreason = \"x\"\n[send]\n",
        ] {
            assert!(Record::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reason_with_quotes_is_still_read() -> Result<()> {
        let mut said = record();
        said.figures.entry("send".to_owned()).or_default().reason = "a \"b\" \\ c".to_owned();
        let read = Record::read(&said.text())?;
        assert_eq!(read.figures["send"].reason, "a 'b' ' c");
        Ok(())
    }
}
