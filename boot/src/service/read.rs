//! From text to a declaration, or to everything that is wrong in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use pillarbox::check_name;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, Kind, LIMITS, option};
use super::{Inherit, Problem, ServiceFile};
use crate::cgroup::Bounds;
use crate::limits::{
    LOG_BYTES, LOG_BYTES_MOST, NAMES_PER_SERVICE, QUEUE_MESSAGES, QUEUE_MESSAGES_MOST,
    SERVICE_FILE_BYTES,
};
use crate::supervision::{KeepAlive, Rules};

/// A value that is what its key asks for, and where it stands.
pub(super) enum Value<'a> {
    Text(&'a str),
    Texts(Vec<(&'a str, Range<usize>)>),
    Span(Duration),
    Number(u64),
    Ids(Vec<u32>),
    Truth(bool),
    TextTable(Vec<(&'a str, &'a str, Range<usize>)>),
    Table(Values<'a>),
    Tables(Vec<(Values<'a>, Range<usize>)>),
}

/// The values of a table, by key.
pub(super) type Values<'a> = BTreeMap<&'static str, (Value<'a>, Range<usize>)>;

pub(super) fn read(text: &str) -> Result<ServiceFile, Vec<Problem>> {
    let mut reader = Reader { text, problems: Vec::new() };
    if text.len() > SERVICE_FILE_BYTES {
        reader.problem(
            &(0..0),
            format!("the file is longer than {SERVICE_FILE_BYTES} bytes"),
            "a service file is a few lines",
        );
        return Err(reader.problems);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        reader.problem(&at, error.message().to_owned(), "write it as TOML: key = value");
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let values = reader.table(table.get_ref(), KEYS, "");
    let file = reader.file(values);
    if reader.problems.is_empty() {
        return Ok(file);
    }
    reader.problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(reader.problems)
}

pub(super) struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, at: &Range<usize>, what: String, cure: &str) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let begun = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(begun..).unwrap_or_default().chars().count() + 1;
        self.problems.push(Problem { line, column, what, cure: cure.to_owned() });
    }

    /// Whether a value of this key was found wrong.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        let told = format!("`{key}`");
        self.problems.iter().any(|problem| problem.what.starts_with(&told))
    }

    /// The values of a table whose keys are these.
    fn table<'a>(
        &mut self,
        table: &'a DeTable<'_>,
        keys: &'static [Key],
        within: &str,
    ) -> Values<'a> {
        let mut values = BTreeMap::new();
        for (name, value) in table.iter() {
            let Some(key) = keys.iter().find(|key| key.name == name.get_ref().as_ref()) else {
                let what = format!("there is no key `{within}{}`", name.get_ref());
                self.problem(&name.span(), what, &nearest(name.get_ref(), keys, within));
                continue;
            };
            if let Some(read) = self.value(value, key) {
                values.insert(key.name, (read, value.span()));
            }
        }
        values
    }

    fn value<'a>(&mut self, value: &'a Spanned<DeValue<'_>>, key: &Key) -> Option<Value<'a>> {
        let at = value.span();
        match (key.kind, value.get_ref()) {
            (Kind::Text, DeValue::String(text)) if !text.is_empty() => {
                self.whole(text, &at, key).map(Value::Text)
            }
            (Kind::Texts, DeValue::Array(items)) => {
                let mut texts = Vec::new();
                for item in items.iter() {
                    match item.get_ref() {
                        DeValue::String(text) => {
                            let text = self.whole(text, &item.span(), key)?;
                            texts.push((text, item.span()));
                        }
                        _ => return self.wrong(&item.span(), key),
                    }
                }
                Some(Value::Texts(texts))
            }
            (Kind::OneOf(words), DeValue::String(text)) => {
                if words.contains(&text.as_ref()) {
                    return Some(Value::Text(text));
                }
                self.wrong(&at, key)
            }
            (Kind::Span, DeValue::String(text)) => match span(text) {
                Some(span) => Some(Value::Span(span)),
                None => self.wrong(&at, key),
            },
            (Kind::Number(least), DeValue::Integer(number)) => {
                match u64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) if number >= least => Some(Value::Number(number)),
                    _ => self.wrong(&at, key),
                }
            }
            (Kind::Ids, DeValue::Array(items)) => {
                let mut ids = Vec::new();
                for item in items.iter() {
                    let id = match item.get_ref() {
                        DeValue::Integer(id) => u32::from_str_radix(id.as_str(), id.radix()).ok(),
                        _ => None,
                    };
                    // The highest one stands for none.
                    match id.filter(|id| *id != u32::MAX) {
                        Some(id) => ids.push(id),
                        None => return self.wrong(&item.span(), key),
                    }
                }
                Some(Value::Ids(ids))
            }
            (Kind::Truth, DeValue::Boolean(truth)) => Some(Value::Truth(*truth)),
            (Kind::Tables(keys), DeValue::Array(items)) => {
                let mut tables = Vec::new();
                for item in items.iter() {
                    let DeValue::Table(table) = item.get_ref() else {
                        return self.wrong(&item.span(), key);
                    };
                    let within = format!("{}.", key.name);
                    tables.push((self.table(table, keys, &within), item.span()));
                }
                Some(Value::Tables(tables))
            }
            (Kind::TextTable, DeValue::Table(table)) => {
                let mut texts = Vec::new();
                for (name, value) in table.iter() {
                    let DeValue::String(text) = value.get_ref() else {
                        return self.wrong(&value.span(), key);
                    };
                    let text = self.whole(text, &value.span(), key)?;
                    texts.push((name.get_ref().as_ref(), text, name.span()));
                }
                Some(Value::TextTable(texts))
            }
            (Kind::Table(keys), DeValue::Table(table)) => {
                Some(Value::Table(self.table(table, keys, &format!("{}.", key.name))))
            }
            _ => self.wrong(&at, key),
        }
    }

    /// A text that the system can be given.
    fn whole<'a>(&mut self, text: &'a str, at: &Range<usize>, key: &Key) -> Option<&'a str> {
        if text.contains('\0') {
            let what = format!("`{}` holds a character of value 0", key.name);
            self.problem(at, what, "leave it out: no program can be given one");
            return None;
        }
        Some(text)
    }

    fn wrong<T>(&mut self, at: &Range<usize>, key: &Key) -> Option<T> {
        let (is, cure) = match key.kind {
            Kind::Text => ("a text that is not empty".to_owned(), "put it in quotes".to_owned()),
            Kind::Texts => ("a list of texts".to_owned(), "write [\"one\", \"two\"]".to_owned()),
            Kind::OneOf(words) => {
                let words = words.join("\" or \"");
                (format!("\"{words}\""), "choose one of them".to_owned())
            }
            Kind::Span => (
                "a span of time".to_owned(),
                "write a number and a unit in quotes: \"500ms\", \"2s\", \"1.5m\", \"1h\""
                    .to_owned(),
            ),
            Kind::Number(least) => (
                format!("a whole number from {least} on"),
                "write it without quotes and without a unit".to_owned(),
            ),
            Kind::TextTable => {
                ("a table of texts".to_owned(), "write NAME = \"value\" in it".to_owned())
            }
            Kind::Ids => {
                let most = u32::MAX - 1;
                (format!("a list of whole numbers up to {most}"), "write [1000, 1001]".to_owned())
            }
            Kind::Truth => ("true or false".to_owned(), "write it without quotes".to_owned()),
            Kind::Table(_) => ("a table".to_owned(), format!("write [{}] above it", key.name)),
            Kind::Tables(_) => {
                ("a list of tables".to_owned(), format!("write [[{}]] above each", key.name))
            }
        };
        self.problem(at, format!("`{}` is {is}", key.name), &cure);
        None
    }

    // ---- what the values mean together ------------------------------------------

    fn file(&mut self, mut values: Values<'_>) -> ServiceFile {
        let rules = self.rules(&values);
        let (program, at) = text(values.remove("program"));
        match program.as_deref() {
            None => {
                if !self.is_wrong("program") {
                    self.problem(
                        &(0..0),
                        "no `program` is named".to_owned(),
                        "say what is started: program = \"/usr/bin/…\"",
                    );
                }
            }
            Some(path) if path.contains('/') && !path.starts_with('/') => self.problem(
                &at,
                format!("`program` is a path from nowhere: {path}"),
                "write the whole path, from the root",
            ),
            Some(_) => {}
        }
        let (directory, at) = text(values.remove("directory"));
        if directory.as_ref().is_some_and(|directory| !directory.starts_with('/')) {
            let cure = "write the whole path, from the root";
            self.problem(&at, "`directory` is a path from nowhere".to_owned(), cure);
        }
        let (names, queues) = self.names(&mut values);
        let entitlements = self.entitlements(&mut values);
        let only = self.only(&mut values, &names, &queues);
        let access = self.access(&mut values, &names, &queues);
        if let Some((_, at)) = values.get("idle_exit") {
            let at = at.clone();
            if queues.is_empty() || !names.is_empty() {
                self.problem(
                    &at,
                    "whether a service is idle is known of one that has only queues".to_owned(),
                    "leave `idle_exit` out, or have all its names be `queues`",
                );
            } else if rules.keep_alive == KeepAlive::Always {
                let what = "one that is always kept alive is never idle".to_owned();
                self.problem(&at, what, "leave `idle_exit` or `keep_alive` out");
            }
        }
        let queue_messages = match values.remove("queue_messages") {
            Some((Value::Number(messages), at)) => match u32::try_from(messages) {
                Ok(messages) if messages <= QUEUE_MESSAGES_MOST => messages,
                _ => {
                    let what = format!("`queue_messages` is at most {QUEUE_MESSAGES_MOST}");
                    self.problem(&at, what, "senders wait when a queue is full");
                    QUEUE_MESSAGES
                }
            },
            _ => QUEUE_MESSAGES,
        };
        let environment = self.environment(values.remove("environment"));
        let inherit = match values.remove("inherit_environment") {
            Some((Value::Texts(kept), _)) => {
                Inherit::Only(kept.into_iter().map(|(name, _)| name.to_owned()).collect())
            }
            _ => Inherit::All,
        };
        let limits = match values.remove("limits") {
            Some((Value::Table(limits), _)) => LIMITS
                .iter()
                .filter_map(|key| match limits.get(key.name) {
                    Some((Value::Number(number), _)) => Some((option(key.name)?, *number)),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        let log_bytes = match values.remove("log_bytes") {
            Some((Value::Number(bytes), at)) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                if bytes > LOG_BYTES_MOST {
                    let what = format!("`log_bytes` is at most {LOG_BYTES_MOST}");
                    self.problem(&at, what, "have it write a file of its own");
                }
                bytes
            }
            _ => LOG_BYTES,
        };
        let sandbox = self.sandbox(&mut values);
        let bounds = bounds(values.remove("cgroup"));
        ServiceFile {
            user: text(values.remove("user")).0,
            group: text(values.remove("group")).0,
            sandbox,
            confiner: PathBuf::from("pillarbox"),
            log_bytes,
            entitlements,
            access,
            only,
            queues,
            queue_messages,
            program: program.unwrap_or_default(),
            arguments: match values.remove("arguments") {
                Some((Value::Texts(words), _)) => {
                    words.into_iter().map(|(word, _)| word.to_owned()).collect()
                }
                _ => Vec::new(),
            },
            directory: directory.map(PathBuf::from),
            environment,
            inherit,
            names,
            limits,
            bounds,
            rules,
        }
    }

    /// The names it provides, and those of its queues.
    fn names(&mut self, values: &mut Values<'_>) -> (Vec<String>, Vec<String>) {
        let mut seen = BTreeSet::new();
        let mut at = None;
        let mut lists = [Vec::new(), Vec::new()];
        let mut left = false;
        for (key, kept) in ["names", "queues"].into_iter().zip(&mut lists) {
            let Some((Value::Texts(given), list)) = values.remove(key) else {
                left |= self.is_wrong(key);
                continue;
            };
            at = at.or(Some(list));
            left |= !given.is_empty();
            for (name, at) in given {
                if let Err(error) = check_name(name.as_bytes()) {
                    let what = format!("{name:?} is not a name: {error}");
                    let cure = "a name is text of 1 to 255 bytes, as in com.example.echo";
                    self.problem(&at, what, cure);
                } else if seen.len() == NAMES_PER_SERVICE {
                    let what = format!("there are more than {NAMES_PER_SERVICE} names");
                    self.problem(&at, what, "make two services of it");
                    break;
                } else if !seen.insert(name) {
                    self.problem(
                        &at,
                        format!("the name {name} stands here twice"),
                        "leave one out",
                    );
                } else {
                    kept.push(name.to_owned());
                }
            }
        }
        if !left {
            self.problem(
                &at.unwrap_or(0..0),
                "the service provides no name, so nothing would ever start it".to_owned(),
                "say what it checks in: names = [\"com.example.echo\"]",
            );
        }
        let [names, queues] = lists;
        (names, queues)
    }

    fn environment(
        &mut self,
        value: Option<(Value<'_>, Range<usize>)>,
    ) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        let Some((Value::TextTable(variables), _)) = value else { return environment };
        for (name, text, at) in variables {
            if name.is_empty() || name.contains(['=', '\0']) {
                let what = format!("{name:?} is no name of a variable");
                self.problem(&at, what, "use letters, digits and _");
            } else if name.starts_with("PILLARBOX_LINK") {
                let what = format!("{name} is how a child finds its server");
                self.problem(&at, what, "leave it out: the server sets it");
            } else {
                environment.insert(name.to_owned(), text.to_owned());
            }
        }
        environment
    }

    fn rules(&mut self, values: &Values<'_>) -> Rules {
        let span = |key: &str, usual: Duration| match values.get(key) {
            Some((Value::Span(span), _)) => *span,
            _ => usual,
        };
        let word = |key: &str| match values.get(key) {
            Some((Value::Text(word), _)) => *word,
            _ => "",
        };
        let usual = Rules::default();
        let rules = Rules {
            at_start: word("start") == "at-start",
            keep_alive: match word("keep_alive") {
                "always" => KeepAlive::Always,
                "on-failure" => KeepAlive::OnFailure,
                _ => KeepAlive::Never,
            },
            throttle: span("throttle", Duration::from_secs(1)),
            back_off: span("back_off", usual.back_off),
            back_off_most: span("back_off_most", usual.back_off_most),
            check_in_within: Some(span("check_in_within", Duration::from_secs(30))),
            exit_timeout: span("exit_timeout", usual.exit_timeout),
            idle_exit: match values.get("idle_exit") {
                Some((Value::Span(span), _)) => Some(*span),
                _ => None,
            },
        };
        if rules.back_off > rules.back_off_most
            && let Some((_, at)) = values.get("back_off").or(values.get("back_off_most"))
        {
            let what = "the first pause is longer than the longest".to_owned();
            self.problem(at, what, "make `back_off` shorter or `back_off_most` longer");
        }
        rules
    }
}

fn text(value: Option<(Value<'_>, Range<usize>)>) -> (Option<String>, Range<usize>) {
    match value {
        Some((Value::Text(text), at)) => (Some(text.to_owned()), at),
        _ => (None, 0..0),
    }
}

/// What all its processes may use together.
fn bounds(value: Option<(Value<'_>, Range<usize>)>) -> Option<Bounds> {
    let Some((Value::Table(values), _)) = value else { return None };
    let number = |key: &str| match values.get(key) {
        Some((Value::Number(number), _)) => Some(*number),
        _ => None,
    };
    Some(Bounds {
        memory_kib: number("memory_kib"),
        threads: number("threads"),
        cpu_percent: number("cpu_percent"),
        required: matches!(values.get("required"), Some((Value::Truth(true), _))),
    })
}

/// Reads a span of time: a number and a unit.
fn span(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number: f64 = number.parse().ok().filter(|_| plain)?;
    // A year is as good as for ever, and no clock runs over.
    let most = 365.0 * 24.0 * 3600.0;
    Duration::try_from_secs_f64(number * scale).ok().filter(|span| span.as_secs_f64() <= most)
}

/// What was meant, perhaps.
fn nearest(name: &str, keys: &[Key], within: &str) -> String {
    let best = keys.iter().map(|key| (distance(name, key.name), key)).min_by_key(|(far, _)| *far);
    match best {
        Some((far, key)) if far <= 2 => {
            format!("`{within}{}` is one: {}", key.name, key.about)
        }
        _ => {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("the keys are {}", names.join(", "))
        }
    }
}

/// How many letters differ, at least.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().take(64).enumerate() {
        let mut before = at;
        let mut left = at + 1;
        for (place, second) in other.iter().enumerate() {
            let above = row.get(place + 1).copied().unwrap_or(usize::MAX - 1);
            let cost = before + usize::from(letter != *second);
            before = above;
            let best = cost.min(above + 1).min(left + 1);
            if let Some(cell) = row.get_mut(place) {
                *cell = left;
            }
            left = best;
        }
        if let Some(last) = row.last_mut() {
            *last = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "program = \"/bin/true\"\nnames = [\"a\"]\n";

    /// Line, column and a word of the first problem.
    fn first(text: &str) -> (usize, usize, String) {
        let problems = read(text).expect_err(text);
        let problem = problems.first().expect("one at least");
        assert!(!problem.cure.is_empty());
        (problem.line, problem.column, problem.what.clone())
    }

    #[test]
    fn each_mistake_is_pointed_at() {
        for (text, line, column, word) in [
            ("program = ", 1, 11, ""),
            ("", 1, 1, "no `program`"),
            ("program = \"bin/true\"\nnames = [\"a\"]", 1, 11, "from nowhere"),
            ("program = 7\nnames = [\"a\"]", 1, 11, "`program` is a text"),
            ("program = \"/bin/true\"", 1, 1, "provides no name"),
            ("program = \"/bin/true\"\nnames = []", 2, 9, "provides no name"),
            ("program = \"/bin/true\"\nnames = [\"a\", \"a\"]", 2, 15, "twice"),
            ("program = \"/bin/true\"\nnames = [\"a\", \"\"]", 2, 15, "not a name"),
            ("program = \"/bin/true\"\nnames = [\"é\", 7]", 2, 15, "`names` is a list"),
            (&format!("{GOOD}throttel = \"1s\""), 3, 1, "no key `throttel`"),
            (&format!("{GOOD}throttle = \"1 parsec\""), 3, 12, "span of time"),
            (&format!("{GOOD}throttle = \"-1s\""), 3, 12, "span of time"),
            (&format!("{GOOD}throttle = \"99999h\""), 3, 12, "span of time"),
            (&format!("{GOOD}start = \"later\""), 3, 9, "on-demand"),
            (&format!("{GOOD}directory = \"here\""), 3, 13, "from nowhere"),
            (&format!("{GOOD}back_off = \"1h\""), 3, 12, "longer than the longest"),
            (&format!("{GOOD}[limits]\nopen_files = 3"), 4, 14, "from 16 on"),
            (&format!("{GOOD}[limits]\nopen_flies = 300"), 4, 1, "no key `limits.open_flies`"),
            (&format!("{GOOD}[environment]\n\"A=B\" = \"c\""), 4, 1, "variable"),
            (&format!("{GOOD}[environment]\nA = \"\\u0000\""), 4, 5, "value 0"),
            (&format!("{GOOD}[sandbox]\nread = [\"usr\"]"), 4, 9, "from nowhere"),
            (&format!("{GOOD}[sandbox]\nwrite = []"), 4, 9, "names nothing"),
            (&format!("{GOOD}[sandbox]\nsystem_calls = \"lax\""), 4, 16, "standard"),
            (&format!("{GOOD}names = []"), 3, 1, ""),
            (&format!("{GOOD}log_bytes = 99999999"), 3, 13, "at most"),
            (&format!("{GOOD}queues = [\"a\"]"), 3, 11, "twice"),
            (&format!("{GOOD}queue_messages = 65537"), 3, 18, "at most"),
            (&format!("{GOOD}idle_exit = \"1s\""), 3, 13, "only queues"),
            ("program = \"x\"\nqueues = []", 2, 10, "provides no name"),
            (
                "program = \"x\"\nqueues = [\"q\"]\nkeep_alive = \"always\"\nidle_exit = \"1s\"",
                4,
                13,
                "never idle",
            ),
        ] {
            let (at_line, at_column, what) = first(text);
            assert_eq!((at_line, at_column), (line, column), "{text}: {what}");
            assert!(what.contains(word), "{text}: {what}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let text = "program = 1\nnames = 2\nstart = 3\nwhat = 4\n";
        let lines: Vec<usize> = read(text).unwrap_err().iter().map(|it| it.line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }

    #[test]
    fn a_key_that_was_nearly_right_is_named() {
        let problems = read(&format!("{GOOD}throttel = \"1s\"")).unwrap_err();
        assert!(problems[0].cure.contains("`throttle` is one"), "{problems:?}");
        let problems = read(&format!("{GOOD}colour = \"red\"")).unwrap_err();
        assert!(problems[0].cure.contains("the keys are program, "), "{problems:?}");
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn what_is_good_is_read() {
        let text = "program = \"/bin/echo\"\narguments = [\"a\", \"b c\"]\n\
            directory = \"/tmp\"\nnames = [\"x\", \"y\"]\nstart = \"at-start\"\n\
            keep_alive = \"on-failure\"\nthrottle = \"1.5s\"\nback_off = \"10ms\"\n\
            back_off_most = \"1m\"\ncheck_in_within = \"2s\"\nexit_timeout = \"3s\"\n\
            inherit_environment = [\"PATH\"]\n[environment]\nA = \"b\"\n\
            [limits]\nopen_files = 64\ncpu_seconds = 0x10\n";
        let file = read(text).unwrap();
        assert_eq!((file.names().len(), file.arguments.len()), (2, 2));
        assert_eq!(file.limits, [('n', 64), ('t', 16)]);
        assert_eq!(file.rules.throttle, Duration::from_millis(1500));
        assert_eq!(file.rules.keep_alive, KeepAlive::OnFailure);
        assert!(file.rules.at_start);
        let command = file.command(None).unwrap();
        let words: Vec<_> = command.get_args().skip(1).collect();
        assert_eq!(words[1..], ["/bin/echo", "a", "b c"]);
        assert!(words[0].to_string_lossy().starts_with("ulimit -n 64 || exit 126; ulimit -t 16"));
    }

    #[test]
    fn the_usual_rules_are_those_the_keys_speak_of() {
        let rules = read(GOOD).unwrap().rules;
        for (key, span) in [
            ("throttle", rules.throttle),
            ("back_off", rules.back_off),
            ("back_off_most", rules.back_off_most),
            ("check_in_within", rules.check_in_within.unwrap()),
            ("exit_timeout", rules.exit_timeout),
        ] {
            let about = KEYS.iter().find(|it| it.name == key).unwrap().about;
            assert!(about.contains(&format!("{span:?} where")), "{key}: {span:?}: {about}");
        }
        let about = KEYS.iter().find(|it| it.name == "log_bytes").unwrap().about;
        assert!(about.contains(&format!("{LOG_BYTES} where")), "{about}");
        assert!(about.contains(&format!("most {LOG_BYTES_MOST}")), "{about}");
        let about = KEYS.iter().find(|it| it.name == "queue_messages").unwrap().about;
        assert!(about.contains(&format!("{QUEUE_MESSAGES} where")), "{about}");
        assert!(about.contains(&format!("most {QUEUE_MESSAGES_MOST}")), "{about}");
    }
}
