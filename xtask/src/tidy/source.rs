//! A Rust source, told apart: code, comments, texts, tests.
//!
//! Not a parser. It knows where comments and texts begin and end, which is what
//! a search for a word must know, and it finds the end of a test module by its
//! braces.

/// A source whose comments and texts are blanks, line for line.
#[derive(Debug)]
pub(crate) struct Source {
    lines: Vec<Line>,
}

/// A line of a source.
#[derive(Debug)]
pub(crate) struct Line {
    /// As it is written.
    pub(crate) raw: String,
    /// The same with comments and texts blanked.
    pub(crate) code: String,
    /// Whether it only exists in tests.
    pub(crate) test: bool,
}

impl Source {
    /// Tells `text` apart; `path` says whether all of it is a test.
    pub(crate) fn of(path: &str, text: &str) -> Self {
        let code = blank(text, false);
        let mut tests = vec![path.split('/').any(|part| part == "tests"); text.lines().count()];
        for (first, last) in test_regions(&code) {
            for test in tests.iter_mut().take(last + 1).skip(first) {
                *test = true;
            }
        }
        let lines = text
            .lines()
            .zip(code.lines())
            .zip(tests)
            .map(|((raw, code), test)| Line { raw: raw.to_owned(), code: code.to_owned(), test })
            .collect();
        Source { lines }
    }

    /// The lines with their numbers, from one.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// What stands behind `mark` in a comment on line `number` or the one before.
    pub(crate) fn remark(&self, number: usize, mark: &str) -> Option<&str> {
        let here = number.checked_sub(1)?;
        [Some(here), here.checked_sub(1)]
            .into_iter()
            .flatten()
            .filter_map(|at| self.lines.get(at))
            .find_map(|line| line.raw.split_once(mark))
            .map(|(_, rest)| rest.trim())
            .filter(|rest| !rest.is_empty())
    }
}

/// The words of a line of code, each with what stands before it.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + code[rest..].find(is_word)?;
        let length = code[start..].find(|c| !is_word(c));
        rest = length.map_or(code.len(), |length| start + length);
        Some((&code[..start], &code[start..rest]))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `text` with comments and texts as blanks; newlines stay where they are. Byte
/// texts stay where `keep_bytes` says so.
pub(crate) fn blank(text: &str, keep_bytes: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = token_end(&chars, at);
        let bytes = keep_bytes && chars[at] == 'b';
        for &c in &chars[at..end] {
            let keep = end == at + 1 || bytes || c == '\n';
            out.push(if keep { c } else { ' ' });
        }
        at = end;
    }
    out
}

/// Where the comment or text that begins at `at` ends; one further where none
/// begins there.
fn token_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let inside_word = at > 0 && is_word(chars[at - 1]);
    match chars[at] {
        '/' if next == Some('/') => position(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => comment_end(chars, at),
        '"' => quoted_end(chars, at + 1, '"'),
        '\'' => match next {
            Some('\\') => quoted_end(chars, at + 1, '\''),
            Some(_) if chars.get(at + 2) == Some(&'\'') => at + 3,
            // A lifetime.
            _ => at + 1,
        },
        'b' if !inside_word && next == Some('"') => quoted_end(chars, at + 2, '"'),
        'b' if !inside_word && next == Some('\'') => quoted_end(chars, at + 2, '\''),
        'r' if !inside_word => raw_end(chars, at + 1).unwrap_or(at + 1),
        'b' | 'c' if !inside_word && next == Some('r') => raw_end(chars, at + 2).unwrap_or(at + 1),
        _ => at + 1,
    }
}

fn position(chars: &[char], from: usize, end: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|&c| end(c)).map_or(chars.len(), |length| from + length)
}

fn comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn quoted_end(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of a raw text whose hashes begin at `at`.
fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let open = position(chars, at, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let hashes = open - at;
    let mut end = open + 1;
    loop {
        end = position(chars, end, |c| c == '"');
        let closing = chars.get(end + 1..end + 1 + hashes);
        if closing.is_some_and(|closing| closing.iter().all(|&c| c == '#')) {
            return Some(end + 1 + hashes);
        }
        if end >= chars.len() {
            return Some(chars.len());
        }
        end += 1;
    }
}

/// First and last line, from zero, of what stands under `#[cfg(test)]`.
fn test_regions(code: &str) -> Vec<(usize, usize)> {
    let line_of = |at: usize| code[..at].matches('\n').count();
    let mut regions = Vec::new();
    for (start, mark) in code.match_indices("#[cfg(test)]") {
        let mut depth = 0_usize;
        for (at, c) in code[start + mark.len()..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && (c == '}' || c == ';') {
                regions.push((line_of(start), line_of(start + mark.len() + at)));
                break;
            }
        }
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blank() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("a\"b") + 1"#, r#"f(      ) + 1"#),
            (r##"r#"a"b"# + c"##, r##"         + c"##),
            ("'a' + 'b", "    + 'b"),
            (r"'\'' + x<'a>", r"     + x<'a>"),
            ("b\"xy\" z", "      z"),
            ("for r#in in x", "for r#in in x"),
        ];
        for (text, code) in cases {
            assert_eq!(blank(text, false), code);
        }
        assert_eq!(blank("b\"xy\" \"z\"", true), "b\"xy\"    ");
    }

    #[test]
    fn test_modules_end_with_their_braces() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { \"}\" }\n}\nfn c() {}\n";
        let source = Source::of("src/x.rs", text);
        let tests: Vec<_> = source.lines().map(|(_, line)| line.test).collect();
        assert_eq!(tests, [false, true, true, true, true, false]);
        assert!(Source::of("a/tests/x.rs", "fn a() {}\n").lines[0].test);
    }

    #[test]
    fn words_know_what_stands_before_them() {
        let found: Vec<_> = words("a::Bc(d_1)").collect();
        assert_eq!(found, [("", "a"), ("a::", "Bc"), ("a::Bc(", "d_1")]);
    }

    #[test]
    fn a_remark_stands_on_the_line_or_above() {
        let source =
            Source::of("x.rs", "// why: so\na();\nb(); // why: also\nc();\n\nd(); // why:");
        assert_eq!(source.remark(2, "// why:"), Some("so"));
        assert_eq!(source.remark(4, "// why:"), Some("also"));
        assert_eq!(source.remark(5, "// why:"), None);
        assert_eq!(source.remark(6, "// why:"), None);
    }
}
