//! A protocol as text: JSON for programs, Markdown for people.
//!
//! What a running server says of itself is a stranger's text: control characters
//! are written as escapes, so that it garbles no terminal.

use std::fmt::Write;

use super::{Answer, Argument, Carries, Method, MethodKind, Protocol};

impl Protocol {
    /// The protocol as one JSON object, in one line.
    ///
    /// # Examples
    /// ```
    /// #[pillarbox::interface(name = "org.example.Bell", version = 1)]
    /// trait Bell {
    ///     #[id(1)]
    ///     #[oneway]
    ///     fn ring(&self);
    /// }
    /// let json = BellClient::PROTOCOL.to_json();
    /// assert!(json.starts_with(r#"{"name":"org.example.Bell","version":1,"#));
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = String::from("{\"name\":");
        quote(&mut json, &self.name);
        put(&mut json, format_args!(",\"version\":{},\"documentation\":", self.version));
        quote(&mut json, &self.documentation);
        json.push_str(",\"methods\":");
        array(&mut json, &self.methods, Method::write_json);
        json.push_str(",\"reserved\":");
        array(&mut json, &self.reserved, |id, json| put(json, format_args!("{id}")));
        json.push('}');
        json
    }

    /// The protocol as a page of Markdown.
    ///
    /// # Examples
    /// ```
    /// #[pillarbox::interface(name = "org.example.Bell", version = 1)]
    /// trait Bell {
    ///     /// Rings once.
    ///     #[id(1)]
    ///     #[oneway]
    ///     fn ring(&self);
    /// }
    /// let page = BellClient::PROTOCOL.to_markdown();
    /// assert!(page.starts_with("# org.example.Bell, version 1\n"));
    /// assert!(page.contains("| 1 | `ring()` | one-way | 1 | - | - |"));
    /// assert!(page.contains("## 1 `ring`\n\nRings once.\n"));
    /// ```
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut page = format!("# {}, version {}\n", plain(&self.name), self.version);
        paragraph(&mut page, &self.documentation);
        page.push_str("\n| id | method | kind | since | rights sent | rights answered |\n");
        page.push_str("|---|---|---|---|---|---|\n");
        for method in self.methods.iter() {
            let sent = method.arguments.iter().flat_map(|argument| argument.carries.iter());
            put(
                &mut page,
                format_args!(
                    "| {} | {} | {} | {} | {} | {} |\n",
                    method.id,
                    code(&method.signature()).replace('|', "\\|"),
                    method.kind.word(),
                    method.since,
                    rights(sent.map(|right| right.word())),
                    rights(method.answer.carries.iter().map(|right| right.word())),
                ),
            );
        }
        for method in self.methods.iter() {
            if !method.documentation.is_empty() {
                put(&mut page, format_args!("\n## {} {}\n", method.id, code(&method.name)));
                paragraph(&mut page, &method.documentation);
            }
        }
        if !self.reserved.is_empty() {
            let ids: Vec<_> = self.reserved.iter().map(i32::to_string).collect();
            put(&mut page, format_args!("\nNever used again: {}.\n", ids.join(", ")));
        }
        page
    }
}

impl Method {
    /// The method as it is called.
    fn signature(&self) -> String {
        let mut text = format!("{}(", self.name);
        for (at, argument) in self.arguments.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let mark = if argument.may_be_missing { "?" } else { "" };
            put(&mut text, format_args!("{comma}{}{mark}: {}", argument.name, argument.of_type));
        }
        text.push(')');
        if self.answer.of_type != "()" {
            put(&mut text, format_args!(" -> {}", self.answer.of_type));
        }
        text
    }

    fn write_json(&self, json: &mut String) {
        put(json, format_args!("{{\"id\":{},\"name\":", self.id));
        quote(json, &self.name);
        put(json, format_args!(",\"since\":{},\"kind\":\"{:?}\"", self.since, self.kind));
        json.push_str(",\"documentation\":");
        quote(json, &self.documentation);
        json.push_str(",\"arguments\":");
        array(json, &self.arguments, Argument::write_json);
        json.push_str(",\"answer\":");
        self.answer.write_json(json);
        json.push('}');
    }
}

impl Argument {
    fn write_json(&self, json: &mut String) {
        json.push_str("{\"name\":");
        quote(json, &self.name);
        json.push_str(",\"type\":");
        quote(json, &self.of_type);
        put(json, format_args!(",\"may_be_missing\":{},\"carries\":", self.may_be_missing));
        array(json, &self.carries, |right, json| right.write_json(json));
        json.push('}');
    }
}

impl Answer {
    fn write_json(&self, json: &mut String) {
        json.push_str("{\"type\":");
        quote(json, &self.of_type);
        json.push_str(",\"carries\":");
        array(json, &self.carries, |right, json| right.write_json(json));
        json.push('}');
    }
}

impl Carries {
    fn write_json(self, json: &mut String) {
        put(json, format_args!("\"{self:?}\""));
    }

    const fn word(self) -> &'static str {
        match self {
            Carries::Send => "send",
            Carries::SendOnce => "send-once",
            Carries::Descriptor => "descriptor",
        }
    }
}

impl MethodKind {
    const fn word(self) -> &'static str {
        match self {
            MethodKind::Call => "call",
            MethodKind::OneWay => "one-way",
            MethodKind::Stream => "stream",
        }
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(what);
}

fn array<T>(json: &mut String, items: &[T], mut each: impl FnMut(&T, &mut String)) {
    json.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        each(item, json);
    }
    json.push(']');
}

fn quote(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            letter if letter.is_control() => put(json, format_args!("\\u{:04x}", letter as u32)),
            letter => json.push(letter),
        }
    }
    json.push('"');
}

fn rights(words: impl Iterator<Item = &'static str>) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// One line of a stranger's text.
fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { line.extend(letter.escape_default()) } else { line.push(letter) }
    }
    line
}

fn code(text: &str) -> String {
    format!("`{}`", plain(text).replace('`', "'"))
}

fn paragraph(page: &mut String, text: &str) {
    if !text.is_empty() {
        page.push('\n');
        for line in text.lines() {
            put(page, format_args!("{}\n", plain(line)));
        }
    }
}
