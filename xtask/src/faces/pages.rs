//! The pages of the manual: one for a few calls, and a pointer to it for each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::FACES;
use crate::child::count;
use crate::step::{Bench, Ending, Outcome, answers};

/// The section of the manual that they are in.
const SECTION: &str = "3";

/// The pages of a face, in order.
fn pages(face: &Path) -> Result<Vec<PathBuf>> {
    let folder = face.join("man");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut pages: Vec<PathBuf> = fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == SECTION))
        .collect();
    pages.sort();
    Ok(pages)
}

/// What a page is about: the names before its description.
fn names(page: &str) -> Vec<&str> {
    page.lines()
        .skip_while(|line| *line != ".Sh NAME")
        .skip(1)
        .map_while(|line| line.strip_prefix(".Nm "))
        .map(|name| name.trim_end_matches([' ', ',']))
        .collect()
}

/// Puts the pages of a face where `man` looks under `prefix`.
pub(super) fn install(face: &Path, prefix: &Path) -> Result<()> {
    let folder = prefix.join(format!("share/man/man{SECTION}"));
    fs::create_dir_all(&folder)?;
    for page in pages(face)? {
        let text = fs::read_to_string(&page)?;
        let file = page.file_name().context("a page without a name")?;
        fs::write(folder.join(file), &text)?;
        let own = page.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let names = names(&text);
        if !names.contains(&own) {
            bail!("{} is not about {own}", page.display());
        }
        for name in names.into_iter().filter(|name| *name != own) {
            let pointer = format!(".so man{SECTION}/{own}.{SECTION}\n");
            fs::write(folder.join(format!("{name}.{SECTION}")), pointer)?;
        }
    }
    Ok(())
}

/// The step of `cargo xtask check`: whoever sets pages finds nothing to warn of.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    let mandoc = answers(Command::new("mandoc").arg("-V"));
    if !mandoc && !answers(Command::new("groff").arg("--version")) {
        return Ok(Outcome::Skipped("apt-get install groff".into()));
    }
    let mut looked_at = 0;
    for face in FACES {
        for page in pages(&bench.root().join(face.dir))? {
            let mut command = match mandoc {
                true => Command::new("mandoc"),
                false => Command::new("groff"),
            };
            command.args(match mandoc {
                true => &["-T", "lint", "-W", "warning"][..],
                false => {
                    &["-mandoc", "-z", "-w", "mac", "-w", "escape", "-w", "missing", "-W", "break"]
                        [..]
                }
            });
            let said = bench.must(command.arg(&page))?;
            if !said.trim().is_empty() {
                let why = format!("{} is warned of", page.display());
                return Err(crate::step::Broken { why, output: said });
            }
            looked_at += 1;
        }
    }
    Ok(Outcome::Passed(count(looked_at, "page")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        ".Dd today\n.Sh NAME\n.Nm one ,\n.Nm two\n.Nd does it\n.Sh SYNOPSIS\n.Nm three\n";

    #[test]
    fn a_page_is_about_what_its_first_section_names() {
        assert_eq!(names(PAGE), ["one", "two"]);
        assert!(names("no page").is_empty());
    }

    #[test]
    fn each_name_is_found() {
        let scratch = std::env::temp_dir().join(format!("pages-{}", std::process::id()));
        let (face, prefix) = (scratch.join("face"), scratch.join("prefix"));
        fs::create_dir_all(face.join("man")).unwrap();
        fs::write(face.join("man/one.3"), PAGE).unwrap();
        install(&face, &prefix).unwrap();
        let read = |name: &str| fs::read_to_string(prefix.join("share/man/man3").join(name));
        assert_eq!(read("one.3").unwrap(), PAGE);
        assert_eq!(read("two.3").unwrap(), ".so man3/one.3\n");
        fs::write(face.join("man/other.3"), PAGE).unwrap();
        assert!(install(&face, &prefix).is_err());
        fs::remove_dir_all(scratch).unwrap();
    }
}
