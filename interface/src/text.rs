//! Types and documentation as people read them, and the rights a type names.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Expr, Lit, Meta};

use crate::parse::Carries;

/// The type as it would be written.
pub(crate) fn written(of_type: &impl ToTokens) -> String {
    let mut text = String::new();
    write(of_type.to_token_stream(), &mut text);
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    // Whether the last token was a word, or a sign that is set apart.
    let (mut after_word, mut apart) = (false, false);
    let mut joint = None;
    for token in tokens {
        let is_word = matches!(token, TokenTree::Ident(_) | TokenTree::Literal(_));
        if apart || is_word && after_word {
            text.push(' ');
        }
        apart = false;
        match &token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(sign) => {
                let letter = sign.as_char();
                let is_arrow = letter == '>' && joint == Some('-');
                if matches!(letter, '+' | '=' | '-') {
                    text.push(' ');
                }
                text.push(letter);
                apart = is_arrow || matches!(letter, ',' | ';' | '+' | '=');
                joint = (sign.spacing() == Spacing::Joint).then_some(letter);
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => text.push_str(&token.to_string()),
        }
        after_word = is_word;
    }
}

/// What the author says.
pub(crate) fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<String> =
        lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect();
    lines.join("\n").trim().to_owned()
}

/// The rights that a type names.
pub(crate) fn carries(of_type: &impl ToTokens) -> Vec<Carries> {
    let mut found = Vec::new();
    collect(of_type.to_token_stream(), &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<Carries>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Ident(word) => found.extend(match &*word.to_string() {
                "SendRight" | "Sender" => Some(Carries::Send),
                "SendOnceRight" | "SenderOnce" => Some(Carries::SendOnce),
                "OwnedFd" => Some(Carries::Descriptor),
                word => {
                    let client = word.strip_suffix("Client").is_some_and(|of| !of.is_empty());
                    client.then_some(Carries::Send)
                }
            }),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> TokenStream {
        text.parse().unwrap()
    }

    #[test]
    fn a_type_is_written_as_people_do() {
        for text in [
            "Vec<u32>",
            "(i64, String)",
            "Result<Option<Vec<u8>>, std::io::Error>",
            "[u8; 16]",
            "HashMap<String, (u8,)>",
            "fn(u8) -> u8",
        ] {
            assert_eq!(written(&parsed(text)), text);
        }
    }

    #[test]
    fn rights_are_found_at_any_depth() {
        for (text, rights) in [
            ("Vec<u32>", vec![]),
            ("pillarbox::SendRight", vec![Carries::Send]),
            ("(Carry<OwnedFd>, Vec<Sender<u8>>)", vec![Carries::Descriptor, Carries::Send]),
            ("Carry<SenderOnce<u8>>", vec![Carries::SendOnce]),
            ("Option<LogClient>", vec![Carries::Send]),
            ("Client", vec![]),
        ] {
            assert_eq!(carries(&parsed(text)), rights, "{text}");
        }
    }
}
