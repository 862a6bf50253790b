//! Every public operation says what its users must know before they call it.

use std::collections::BTreeSet;

use super::source::{blank, words};
use super::{Finding, Tree};

/// The crates whose documentation others read.
const PUBLIC: [&str; 2] = ["pillarbox/src/", "boot/src/"];

/// The types that are rights, or hold them.
const RIGHTS: [&str; 5] = ["ReceiveRight", "SendRight", "SendOnceRight", "Right", "Message"];

/// A result has `# Errors`, a deadline `# Blocking`, a future `# Blocking` and
/// `# Cancel safety`, and what a right goes through `# Rights`.
pub(super) fn told(tree: &Tree) -> Vec<Finding> {
    let public = || {
        tree.ending(".rs").filter(|(path, _)| PUBLIC.iter().any(|start| path.starts_with(start)))
    };
    let hidden: BTreeSet<&str> = public().flat_map(|(_, text)| hidden_names(text)).collect();
    let mut found = Vec::new();
    for (path, text) in public() {
        for operation in operations(text) {
            if operation.is_hidden || hidden.contains(operation.within.as_str()) {
                continue;
            }
            if operation.within.is_empty() && hidden.contains(operation.name.as_str()) {
                continue;
            }
            for section in operation.needs() {
                if !operation.doc.lines().any(|line| line == format!("# {section}")) {
                    let what =
                        format!("the documentation of {} has no `# {section}`", operation.name);
                    found.push(Finding::new(path, operation.line, what));
                }
            }
        }
    }
    found
}

/// A public function.
struct Operation {
    line: usize,
    name: String,
    /// The type it belongs to, if any.
    within: String,
    signature: String,
    doc: String,
    is_hidden: bool,
}

impl Operation {
    fn needs(&self) -> Vec<&'static str> {
        let (arguments, result) = self.signature.split_once("->").unwrap_or((&self.signature, ""));
        let is_future = self.signature.contains("async fn ") || result.contains("Future");
        let mut needs = Vec::new();
        let names = |part: &str| words(part).any(|(_, word)| RIGHTS.contains(&word));
        // What only looks at a message moves no right.
        if names(&arguments.replace("&Message", "")) || names(&result.replace("&Message", "")) {
            needs.push("Rights");
        }
        if result.contains("Result<") {
            needs.push("Errors");
        }
        if is_future || arguments.contains(": Deadline") {
            needs.push("Blocking");
        }
        if is_future {
            needs.push("Cancel safety");
        }
        needs
    }
}

/// The public functions of a source, tests left out.
fn operations(text: &str) -> Vec<Operation> {
    let code = blank(text, false);
    let code: Vec<&str> = code.lines().collect();
    let raw: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut within = String::new();
    for (at, line) in code.iter().enumerate() {
        if line.starts_with("impl") {
            within = type_of(line);
        } else if line.starts_with('}') {
            within.clear();
        }
        let Some(rest) = line.trim_start().strip_prefix("pub ") else { continue };
        let Some((before, name)) = rest.split_once("fn ") else { continue };
        if !before.split_whitespace().all(|word| matches!(word, "const" | "async" | "unsafe")) {
            continue;
        }
        let mut signature = String::new();
        for line in &code[at..] {
            signature.push_str(line);
            if line.contains('{') || line.trim_end().ends_with(';') {
                break;
            }
        }
        let above = raw[..at].iter().rev().map(|line| line.trim_start());
        let above: Vec<&str> =
            above.take_while(|line| line.starts_with("///") || line.starts_with("#[")).collect();
        let doc = above.iter().rev().filter_map(|line| line.strip_prefix("///"));
        found.push(Operation {
            line: at + 1,
            name: name.split(['(', '<']).next().unwrap_or_default().to_owned(),
            within: within.clone(),
            signature,
            doc: doc.map(str::trim).collect::<Vec<_>>().join("\n"),
            is_hidden: above.contains(&"#[doc(hidden)]"),
        });
    }
    found
}

/// The type that an `impl` line is about.
fn type_of(line: &str) -> String {
    let mut depth = 0_usize;
    let outside: String = line
        .chars()
        .filter(|&c| {
            depth = (depth + usize::from(c == '<')).saturating_sub(usize::from(c == '>'));
            depth == 0 && c != '>'
        })
        .collect();
    let of = outside.trim_start_matches("impl").split(" for ").last().unwrap_or_default();
    let of = of.split_whitespace().next().unwrap_or_default();
    of.rsplit("::").next().unwrap_or_default().to_owned()
}

/// What a hidden module offers: for code that is generated, not for readers.
fn hidden_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[doc(hidden)]\npub mod ")
        .skip(1)
        .filter_map(|module| module.split("\n}").next())
        .flat_map(|body| words(body).map(|(_, word)| word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(signature: &str, doc: &str) -> Vec<String> {
        let text = format!("impl<T: Into<u8>> Thing<T> {{\n{doc}    {signature} {{\n    }}\n}}\n");
        told(&Tree::of(&[("pillarbox/src/a.rs", &text)])).into_iter().map(|it| it.what).collect()
    }

    #[test]
    fn what_is_told_passes() {
        let doc = "    /// # Rights\n    /// # Errors\n    /// # Blocking\n    #[must_use]\n";
        let signature = "pub fn send(&self, right: SendRight, until: Deadline) -> Result<(), E>";
        assert_eq!(missing(signature, doc), [""; 0]);
        assert_eq!(missing("pub const fn id(&self, seen: &Message) -> u64", ""), [""; 0]);
        assert_eq!(missing("pub(crate) async fn wait(&self)", ""), [""; 0]);
    }

    #[test]
    fn what_is_not_told_is_found() {
        let signature = "pub fn send(\n        &self,\n        right: SendRight,\n        until: \
                         Deadline,\n    ) -> Result<(), E>";
        assert_eq!(missing(signature, "").len(), 3);
        assert_eq!(missing("pub async fn wait(&self)", "    /// # Blocking\n").len(), 1);
        assert_eq!(missing("pub fn wait_async(&self) -> WaitFuture<'_>", "").len(), 2);
        assert_eq!(missing("pub fn right(&self) -> &SendRight", "/// Lends it.\n").len(), 1);
        let outside = Tree::of(&[("sim/src/a.rs", "pub async fn wait() {}\n")]);
        assert_eq!(told(&outside), []);
    }

    #[test]
    fn what_readers_do_not_see_passes() {
        let hidden = "#[doc(hidden)]\npub mod run {\n    pub use super::{Wire, serve};\n}\n";
        let text = "impl Wire {\n    pub async fn call(&self) {}\n}\npub async fn serve() {}\n\
                    impl Open {\n    #[doc(hidden)]\n    pub async fn take(&self) {}\n    \
                    pub async fn open(&self) {}\n}\n";
        let tree = Tree::of(&[("boot/src/mod.rs", hidden), ("boot/src/b.rs", text)]);
        let found = told(&tree);
        assert!(found.iter().all(|one| one.line == 8) && found.len() == 2, "{found:?}");
    }
}
