//! Versions and instances in names, and look-ups that take a range of them.
//!
//! | text         | means                                              |
//! |--------------|----------------------------------------------------|
//! | `echo@2`     | a name: version 2 of `echo`                        |
//! | `echo/3`     | a name: instance 3 of `echo`                       |
//! | `echo@2/3`   | a name: instance 3 of version 2                    |
//! | `echo@2..`   | a look-up of version 2 or newer                    |
//! | `echo@1..3`  | a look-up of 1 or 2; `..=3` is with the 3          |
//! | `echo@../..` | a look-up of any version that has instances, of any |
//!
//! To the server a name is a text. A look-up of a text that nobody has, and that is a
//! range, finds the newest that runs, and where none does, the newest there is.

/// The first and the last of what is wanted.
type Span = (u32, u32);

/// What a look-up takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    base: String,
    /// `None` for a name that says no version.
    versions: Option<Span>,
    /// `None` for a name that says no instance.
    instances: Option<Span>,
}

/// How new a name is: by version, then by instance.
type Age = (Option<u32>, Option<u32>);

impl Wanted {
    /// Reads a text that has a range in it.
    pub(crate) fn read(text: &str) -> Option<Wanted> {
        let (rest, instances) = cut(text, '/');
        let (base, versions) = cut(rest, '@');
        let ranged = [instances, versions].into_iter().flatten().any(|(_, ranged)| ranged);
        let span = |part: Option<(Span, bool)>| part.map(|(span, _)| span);
        let (versions, instances) = (span(versions), span(instances));
        (ranged && !base.is_empty()).then(|| Wanted { base: base.to_owned(), versions, instances })
    }

    /// What every name begins with that it takes.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// How new the name is, if it is taken.
    fn takes(&self, name: &str) -> Option<Age> {
        let (rest, instance) = part(name, '/');
        let (base, version) = part(rest, '@');
        let within = |wanted: Option<Span>, is: Option<u32>| match (wanted, is) {
            (None, None) => true,
            (Some((first, last)), Some(is)) => (first..=last).contains(&is),
            _ => false,
        };
        let taken =
            base == self.base && within(self.versions, version) && within(self.instances, instance);
        taken.then_some((version, instance))
    }

    /// The newest of these that runs, else the newest. Each comes with whether it runs.
    pub(crate) fn choose<'a>(
        &self,
        names: impl Iterator<Item = (&'a str, bool)>,
    ) -> Option<&'a str> {
        let taken = names.filter_map(|(name, runs)| Some(((runs, self.takes(name)?), name)));
        taken.max().map(|(_, name)| name)
    }
}

/// Cuts a number or a range off the end, and whether it is a range.
fn cut(text: &str, mark: char) -> (&str, Option<(Span, bool)>) {
    let Some((rest, end)) = text.rsplit_once(mark) else { return (text, None) };
    if let Some(number) = number(end) {
        return (rest, Some(((number, number), false)));
    }
    match range(end) {
        Some(span) => (rest, Some((span, true))),
        None => (text, None),
    }
}

/// Cuts a number off the end.
fn part(text: &str, mark: char) -> (&str, Option<u32>) {
    match text.rsplit_once(mark) {
        Some((rest, end)) => number(end).map_or((text, None), |number| (rest, Some(number))),
        None => (text, None),
    }
}

/// A number, as it is written: one text for each.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = text == "0" || !text.starts_with('0');
    if plain && whole { text.parse().ok() } else { None }
}

/// A range, as in Rust. An empty one takes nothing.
fn range(text: &str) -> Option<Span> {
    let (first, last) = text.split_once("..")?;
    let first = if first.is_empty() { 0 } else { number(first)? };
    let last = match last.strip_prefix('=') {
        Some(last) => number(last)?,
        None if last.is_empty() => u32::MAX,
        // Before 0 there is nothing.
        None => match number(last)?.checked_sub(1) {
            Some(last) => last,
            None => return Some((1, 0)),
        },
    };
    Some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen<'a>(text: &str, names: &[(&'a str, bool)]) -> Option<&'a str> {
        Wanted::read(text).expect(text).choose(names.iter().copied())
    }

    #[test]
    fn the_newest_that_runs_is_chosen_by_number() {
        let names = [("a@2", true), ("a@9", true), ("a@10", true), ("a@11", false), ("a", true)];
        for (text, name) in [
            ("a@..", Some("a@10")),
            ("a@2..", Some("a@10")),
            ("a@..10", Some("a@9")),
            ("a@..=10", Some("a@10")),
            ("a@3..9", None),
            ("a@11..", Some("a@11")),
            ("a@12..", None),
            ("a@..0", None),
            ("a@9..2", None),
            ("b@..", None),
            ("a@../..", None),
        ] {
            assert_eq!(chosen(text, &names), name, "{text}");
        }
    }

    #[test]
    fn instances_are_of_their_version() {
        let names =
            [("a/1", true), ("a/2", false), ("a@1/1", false), ("a@1/2", false), ("a@2/1", false)];
        for (text, name) in [
            ("a/..", Some("a/1")),
            ("a/2..", Some("a/2")),
            ("a@1/..", Some("a@1/2")),
            ("a@../..", Some("a@2/1")),
            ("a@../2", Some("a@1/2")),
            ("a@..", None),
        ] {
            assert_eq!(chosen(text, &names), name, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_a_name() {
        for text in [
            "a",
            "a@2",
            "a/3",
            "a@2/3",
            "@..",
            "/..",
            "a@",
            "a/",
            "a@x..",
            "a@1...3",
            "a@1..x",
            "a@01..",
            "a@+1..",
            "a@4294967296..",
            "a..",
            "a@..=",
            "https://x/y",
            "a@-1..",
        ] {
            assert_eq!(Wanted::read(text), None, "{text}");
        }
        // A name with other signs in it is nobody's version.
        assert_eq!(chosen("a@..", &[("a@02", true), ("a@x", true), ("a@2x", true)]), None);
    }
}
