//! The keys as a JSON Schema, for editors.

use super::keys::{KEYS, Key, Kind};

/// A JSON Schema (draft 2020-12) of service files.
///
/// It is made of the table the parser reads by. What a schema cannot say, such as
/// that two names are the same, only [`ServiceFile::read`](super::ServiceFile::read)
/// says.
pub fn schema() -> String {
    let mut text = String::from(
        "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \
         \"title\": \"A Pillarbox service\",\n",
    );
    text.push_str(
        "  \"anyOf\": [{ \"required\": [\"names\"] }, { \"required\": [\"queues\"] }],\n",
    );
    object(&mut text, KEYS, &["program"], 1);
    text.push_str("}\n");
    text
}

fn object(text: &mut String, keys: &[Key], required: &[&str], depth: usize) {
    let pad = "  ".repeat(depth);
    text.push_str(&format!("{pad}\"type\": \"object\",\n{pad}\"additionalProperties\": false,\n"));
    if !required.is_empty() {
        text.push_str(&format!("{pad}\"required\": [{}],\n", quoted(required)));
    }
    text.push_str(&format!("{pad}\"properties\": {{\n"));
    for (at, key) in keys.iter().enumerate() {
        text.push_str(&format!("{pad}  \"{}\": {{\n", key.name));
        text.push_str(&format!("{pad}    \"description\": \"{}\",\n", key.about));
        match key.kind {
            Kind::Table(keys) => object(text, keys, &[], depth + 2),
            Kind::Tables(keys) => {
                text.push_str(&format!("{pad}    \"type\": \"array\",\n{pad}    \"items\": {{\n"));
                object(text, keys, &[], depth + 3);
                text.push_str(&format!("{pad}    }}\n"));
            }
            kind => text.push_str(&format!("{pad}    {}\n", value(kind))),
        }
        text.push_str(&format!("{pad}  }}{}\n", if at + 1 < keys.len() { "," } else { "" }));
    }
    text.push_str(&format!("{pad}}}\n"));
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Text => "\"type\": \"string\", \"minLength\": 1".to_owned(),
        Kind::Texts => "\"type\": \"array\", \"items\": { \"type\": \"string\" }".to_owned(),
        Kind::OneOf(words) => format!("\"enum\": [{}]", quoted(words)),
        Kind::Span => {
            "\"type\": \"string\", \"pattern\": \"^[0-9]+(\\\\.[0-9]+)?(ms|s|m|h)$\"".to_owned()
        }
        Kind::Number(least) => format!("\"type\": \"integer\", \"minimum\": {least}"),
        Kind::Ids => {
            let most = u32::MAX - 1;
            format!(
                "\"type\": \"array\", \"items\": {{ \"type\": \"integer\", \"minimum\": 0, \
                 \"maximum\": {most} }}"
            )
        }
        Kind::Truth => "\"type\": \"boolean\"".to_owned(),
        Kind::TextTable | Kind::Table(_) | Kind::Tables(_) => {
            "\"type\": \"object\", \"additionalProperties\": { \"type\": \"string\" }".to_owned()
        }
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
