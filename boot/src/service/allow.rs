//! What a file says of authority: entitlements, and who may look up and check in.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use pillarbox::bootstrap::Listed;
use pillarbox::check_name;

use super::read::{Reader, Value, Values};
use crate::authority::{Access, Door, Rule};
use crate::limits::{ENTITLEMENTS_PER_SERVICE, NAMES_PER_SUBSET, RULES_PER_SERVICE};

/// The keys of a rule of which one must be there.
const CONDITIONS: [&str; 5] = ["own_user", "any_user", "uids", "gids", "entitlements"];

impl Reader<'_> {
    /// What the service is entitled to.
    pub(super) fn entitlements(&mut self, values: &mut Values<'_>) -> Vec<String> {
        let mut seen = BTreeSet::new();
        if let Some((Value::Texts(given), at)) = values.remove("entitlements") {
            for (label, at) in given {
                if self.is_label(label, &at) && !seen.insert(label.to_owned()) {
                    self.problem(&at, format!("{label} stands here twice"), "leave one out");
                }
            }
            if seen.len() > ENTITLEMENTS_PER_SERVICE {
                let what = format!("there are more than {ENTITLEMENTS_PER_SERVICE} entitlements");
                self.problem(&at, what, "make two services of it");
            }
        }
        seen.into_iter().collect()
    }

    /// All that its bootstrap right leads to.
    pub(super) fn only(
        &mut self,
        values: &mut Values<'_>,
        names: &[String],
        queues: &[String],
    ) -> Option<Vec<Listed>> {
        let (given, list) = match values.remove("only") {
            Some((Value::Texts(given), at)) => (given, at),
            _ => return None,
        };
        if given.len() > NAMES_PER_SUBSET {
            let what = format!("`only` lists at most {NAMES_PER_SUBSET} names");
            self.problem(&list, what, "make two services of it");
        }
        let mut seen: BTreeSet<&str> =
            names.iter().chain(queues).map(std::string::String::as_str).collect();
        let mut only = Vec::new();
        for (text, at) in given {
            let (name, alias) = text.rsplit_once('=').unwrap_or((text, text));
            if let Some(error) = [name, alias].iter().find_map(|it| check_name(it.as_bytes()).err())
            {
                let what = format!("{text:?} is no name: {error}");
                self.problem(&at, what, "write NAME or NAME=ALIAS, as in com.example.echo=echo");
            } else if !seen.insert(alias) {
                let what = format!("it would see {alias} twice");
                self.problem(&at, what, "call it otherwise: NAME=ALIAS; its own names it sees");
            } else {
                only.push(Listed::new(name).called(alias));
            }
        }
        Some(only)
    }

    fn is_label(&mut self, label: &str, at: &Range<usize>) -> bool {
        let wrong = check_name(label.as_bytes()).err();
        if let Some(error) = &wrong {
            let what = format!("{label:?} is no entitlement: {error}");
            self.problem(at, what, "it is text of 1 to 255 bytes, as in com.example.echo.use");
        }
        wrong.is_none()
    }

    /// Who may look up and check in.
    pub(super) fn access(
        &mut self,
        values: &mut Values<'_>,
        names: &[String],
        queues: &[String],
    ) -> Access {
        let mut rules = |door: Door| {
            let Some((Value::Tables(tables), at)) = values.remove(door.key()) else {
                return Vec::new();
            };
            if tables.is_empty() || tables.len() > RULES_PER_SERVICE {
                let what = format!("`{}` has 1 to {RULES_PER_SERVICE} rules", door.key());
                self.problem(&at, what, "without any, leave it out: it is closed to others");
            }
            let rule = |(table, at)| self.rule(door, table, &at, names, queues);
            tables.into_iter().map(rule).collect()
        };
        let (look_up, check_in) = (rules(Door::LookUp), rules(Door::CheckIn));
        Access { look_up, check_in }
    }

    fn rule(
        &mut self,
        door: Door,
        mut values: Values<'_>,
        at: &Range<usize>,
        names: &[String],
        queues: &[String],
    ) -> Rule {
        let lists = ["names", "uids", "gids", "entitlements", "executables"];
        for key in lists {
            let empty = match values.get(key) {
                Some((Value::Texts(texts), at)) if texts.is_empty() => at.clone(),
                Some((Value::Ids(ids), at)) if ids.is_empty() => at.clone(),
                _ => continue,
            };
            let what = format!("`{}.{key}` is empty", door.key());
            self.problem(&empty, what, "leave it out: an empty list is no condition");
        }
        let said = |key: &str| values.contains_key(key);
        let truth = |key: &str| matches!(values.get(key), Some((Value::Truth(true), _)));
        let (own_user, any_user) = (truth("own_user"), truth("any_user"));
        let user = own_user || said("uids");
        if any_user && user {
            let what = "any user is more than those that are named beside it".to_owned();
            self.problem(at, what, "leave `any_user` out, or the others");
        }
        let conditions = user || any_user || said("gids") || said("entitlements");
        if !conditions && said("executables") {
            let what = "what a process runs is advisory, and never all a rule asks".to_owned();
            self.problem(at, what, "say whose it is, too: own_user = true, or its entitlement");
        } else if !conditions && !CONDITIONS.iter().any(|key| self.is_wrong(key)) {
            let what = "the rule does not say whom it lets in".to_owned();
            self.problem(at, what, "say own_user = true, or any_user = true, or uids = [1000]");
        }
        let mut ids = |key: &str| match values.remove(key) {
            Some((Value::Ids(ids), _)) => ids,
            _ => Vec::new(),
        };
        let (uids, gids) = (ids("uids"), ids("gids"));
        let mut texts = |key: &str| match values.remove(key) {
            Some((Value::Texts(texts), _)) => texts,
            _ => Vec::new(),
        };
        let (about, labels, files) = (texts("names"), texts("entitlements"), texts("executables"));
        for (name, at) in &about {
            if door == Door::CheckIn && queues.iter().any(|queue| queue == name) {
                let what = format!("{name} is a queue, which nobody else checks in under");
                self.problem(at, what, "leave it out: the port of a queue is the server's");
            } else if !names.iter().chain(queues).any(|own| own == name) {
                let what = format!("{name} is no name of this service");
                self.problem(at, what, "say it in the file of the service whose name it is");
            }
        }
        for (label, at) in &labels {
            let _ = self.is_label(label, at);
        }
        for (path, at) in &files {
            if !path.starts_with('/') {
                let what = format!("{path} is a path from nowhere");
                self.problem(at, what, "write the whole path, from the root");
            }
        }
        let owned = |texts: Vec<(&str, Range<usize>)>| -> Vec<String> {
            texts.into_iter().map(|(text, _)| text.to_owned()).collect()
        };
        Rule {
            names: owned(about),
            own_user,
            uids,
            gids,
            entitlements: owned(labels),
            executables: files.into_iter().map(|(path, _)| PathBuf::from(path)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServiceFile;
    use super::*;

    const GOOD: &str = "program = \"/bin/true\"\nnames = [\"a\", \"b\"]\nqueues = [\"q\"]\n";

    #[test]
    fn each_mistake_is_pointed_at() {
        for (text, line, column, word) in [
            ("entitlements = [\"x\", \"x\"]", 4, 22, "twice"),
            ("entitlements = [\"\"]", 4, 17, "no entitlement"),
            ("entitlements = 1", 4, 16, "list of texts"),
            ("only = [\"x\", \"y=x\"]", 4, 14, "twice"),
            ("only = [\"x=a\"]", 4, 9, "see a twice"),
            ("only = [\"x=\"]", 4, 9, "is no name"),
            ("look_up = []", 4, 11, "1 to 64"),
            ("look_up = [1]", 4, 12, "list of tables"),
            ("[look_up]\nown_user = true", 4, 1, "list of tables"),
            ("[[look_up]]", 4, 1, "whom it lets in"),
            ("[[look_up]]\nown_user = false", 4, 1, "whom it lets in"),
            ("[[look_up]]\nnames = [\"a\"]", 4, 1, "whom it lets in"),
            ("[[look_up]]\nexecutables = [\"/bin/true\"]", 4, 1, "advisory"),
            ("[[look_up]]\nown_user = true\nexecutables = [\"true\"]", 6, 16, "from nowhere"),
            ("[[look_up]]\nown_user = true\nany_user = true", 4, 1, "more than those"),
            ("[[look_up]]\nuids = []", 5, 8, "is empty"),
            ("[[look_up]]\nuids = [-1]", 5, 9, "whole numbers"),
            ("[[look_up]]\nuids = [4294967295]", 5, 9, "whole numbers"),
            ("[[look_up]]\nown_user = true\nnames = [\"c\"]", 6, 10, "no name of this"),
            ("[[check_in]]\nown_user = true\nnames = [\"q\"]", 6, 10, "is a queue"),
            ("[[look_up]]\nown_user = true\nuid = [1]", 6, 1, "no key `look_up.uid`"),
        ] {
            let problems = ServiceFile::read(&format!("{GOOD}{text}")).expect_err(text);
            let first = &problems[0];
            assert_eq!((first.line, first.column), (line, column), "{text}: {problems:?}");
            assert!(first.what.contains(word), "{text}: {problems:?}");
        }
    }

    #[test]
    fn what_is_good_is_read() {
        let text = format!(
            "{GOOD}entitlements = [\"x.use\"]\n[[look_up]]\nnames = [\"a\", \"q\"]\nuids = [0, 5]\n\
             gids = [0x10]\nentitlements = [\"y\"]\nexecutables = [\"/bin/true\"]\n\
             [[look_up]]\nany_user = true\n[[check_in]]\nown_user = true\n"
        );
        let file = ServiceFile::read(&text).unwrap();
        assert_eq!(file.entitlements(), ["x.use"]);
        let [one, two] = file.access.look_up.as_slice() else { panic!("{:?}", file.access) };
        assert_eq!((one.names.len(), one.uids.as_slice()), (2, &[0, 5][..]));
        assert_eq!((one.gids.as_slice(), one.entitlements.len()), (&[16][..], 1));
        assert_eq!(one.executables, [PathBuf::from("/bin/true")]);
        assert_eq!(*two, Rule::default());
        assert!(file.access.check_in[0].own_user);
    }
}
