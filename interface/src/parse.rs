//! What is written, checked: every mistake is told where it stands.

use std::collections::HashMap;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, FnArg, Ident, ItemTrait, LitInt, LitStr, Meta, Pat, PatType,
    ReturnType, Token, TraitItem, TraitItemFn, Type,
};

/// The longest tuple serde knows.
const ARGUMENTS: usize = 16;

/// The longest name, in bytes: that of a service.
const NAME_BYTES: usize = 255;

/// What a client has beside its methods.
const TAKEN: [&str; 5] = ["new", "right", "into_right", "with_stream_capacity", "describe"];

/// An interface as it is written, and sound.
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) reserved: Vec<i32>,
    pub(crate) item: ItemTrait,
    pub(crate) methods: Vec<Method>,
}

pub(crate) struct Method {
    pub(crate) id: i32,
    pub(crate) since: u32,
    /// Those that are not ours.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) answer: Answer,
    pub(crate) carries: Option<Vec<Carries>>,
}

pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) of_type: Type,
    pub(crate) missing: Missing,
    pub(crate) carries: Option<Vec<Carries>>,
}

/// What stands for an argument that did not come.
pub(crate) enum Missing {
    /// Nothing does.
    Never,
    /// It is an `Option`, which is `None` then.
    Option,
    Default,
    Value(Box<Expr>),
}

pub(crate) enum Answer {
    None,
    One(Type),
    Stream(Type),
    /// A stream, or an error.
    Fallible(Type, Box<Type>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    Send,
    SendOnce,
    Descriptor,
}

/// All that is wrong so far.
#[derive(Default)]
struct Faults(Option<Error>);

impl Faults {
    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn at(&mut self, place: impl Spanned, what: impl std::fmt::Display) {
        self.add(Error::new(place.span(), what));
    }

    /// The value, if there is no error to remember.
    fn some<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }
}

pub(crate) fn interface(arguments: TokenStream, item: TokenStream) -> syn::Result<Interface> {
    let mut item: ItemTrait = syn::parse2(item)?;
    let mut faults = Faults::default();
    let head = faults.some(Head::parse.parse2(arguments));
    check_trait(&item, &mut faults);
    let reserved = reserved(&mut item, &mut faults);
    let version = head.as_ref().map_or(u32::MAX, |head| head.version);
    let mut methods = Vec::new();
    for part in std::mem::take(&mut item.items) {
        match part {
            TraitItem::Fn(function) => {
                if let Some(found) = method(function, version, &mut faults) {
                    methods.push(found);
                }
            }
            other => faults.at(other, "an interface has methods and nothing else"),
        }
    }
    check_ids(&methods, &reserved, &mut faults);
    match (faults.0, head) {
        (None, Some(Head { name, version })) => {
            let reserved = reserved.into_iter().map(|(id, _)| id).collect();
            let methods = methods.into_iter().map(|(method, _)| method).collect();
            Ok(Interface { name, version, reserved, item, methods })
        }
        (Some(error), _) => Err(error),
        (None, None) => Err(Error::new(Span::call_site(), "the name and the version are missing")),
    }
}

/// What stands in the attribute itself.
struct Head {
    name: String,
    version: u32,
}

impl Parse for Head {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (mut name, mut version) = (None, None);
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            if key == "name" && name.is_none() {
                let text: LitStr = input.parse()?;
                let value = text.value();
                if value.is_empty() || value.len() > NAME_BYTES || value.contains(char::is_control)
                {
                    let what = "the name has 1 to 255 bytes and no control characters";
                    return Err(Error::new(text.span(), what));
                }
                name = Some(value);
            } else if key == "version" && version.is_none() {
                version = Some(number(&input.parse()?, "versions count from 1")?.unsigned_abs());
            } else {
                let what = "there is `name = \"..\"` and `version = 1`, each once";
                return Err(Error::new(key.span(), what));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        match (name, version) {
            (Some(name), Some(version)) => Ok(Head { name, version }),
            (None, _) => Err(input.error("the interface has no name: `name = \"org.example.It\"`")),
            (_, None) => Err(input.error("the interface has no version: `version = 1`")),
        }
    }
}

/// A number from 1.
fn number(literal: &LitInt, what: &str) -> syn::Result<i32> {
    match literal.base10_parse::<i32>() {
        Ok(number) if number > 0 && literal.suffix().is_empty() => Ok(number),
        Ok(_) => Err(Error::new(literal.span(), what)),
        Err(_) => Err(Error::new(literal.span(), format!("{what}, up to {}", i32::MAX))),
    }
}

fn check_trait(item: &ItemTrait, faults: &mut Faults) {
    if !item.generics.params.is_empty() || item.generics.where_clause.is_some() {
        let what = "an interface has no generics: its messages are of one type each";
        faults.at(&item.generics, what);
    }
    if let Some(unsafety) = &item.unsafety {
        faults.at(unsafety, "an interface is not unsafe: the other side is not trusted anyway");
    }
}

/// Takes `#[reserved(7, 8)]` off the trait.
fn reserved(item: &mut ItemTrait, faults: &mut Faults) -> Vec<(i32, Span)> {
    let mut found = Vec::new();
    let mut rest = Vec::new();
    for attribute in std::mem::take(&mut item.attrs) {
        if !attribute.path().is_ident("reserved") {
            rest.push(attribute);
            continue;
        }
        let ids = attribute.parse_args_with(Punctuated::<LitInt, Token![,]>::parse_terminated);
        for literal in faults.some(ids).into_iter().flatten() {
            if let Some(id) = faults.some(number(&literal, "ids of methods count from 1")) {
                found.push((id, literal.span()));
            }
        }
    }
    item.attrs = rest;
    found
}

fn check_ids(methods: &[(Method, Span)], reserved: &[(i32, Span)], faults: &mut Faults) {
    let mut owners: HashMap<i32, &Ident> = HashMap::new();
    for (method, at) in methods {
        if reserved.iter().any(|(id, _)| *id == method.id) {
            let what = format!("id {} is reserved: an id is never used again", method.id);
            faults.add(Error::new(*at, what));
        }
        if let Some(owner) = owners.insert(method.id, &method.name) {
            let what = format!("id {} is that of `{owner}` already", method.id);
            faults.add(Error::new(*at, what));
        }
    }
    for (place, (id, at)) in reserved.iter().enumerate() {
        if reserved.iter().take(place).any(|(earlier, _)| earlier == id) {
            faults.add(Error::new(*at, format!("id {id} is reserved twice")));
        }
    }
}

fn method(function: TraitItemFn, version: u32, faults: &mut Faults) -> Option<(Method, Span)> {
    let TraitItemFn { attrs, sig, default, .. } = function;
    if let Some(body) = default {
        faults.at(body, "a method of an interface has no body: the server has it");
    }
    if let Some(what) = &sig.asyncness {
        faults.at(what, "a method of an interface is written without `async`");
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        faults.at(&sig.generics, "a method of an interface has no generics");
    }
    if let Some(abi) = &sig.abi {
        faults.at(abi, "a method of an interface is a plain function");
    }
    if let syn::Safety::Unsafe(it) = &sig.safety {
        faults.at(it, "a method of an interface is not unsafe: the client is not trusted");
    }
    if sig.ident.to_string().ends_with("_async") {
        let what = "the futures of a client's methods end in `_async`: call it something else";
        faults.at(&sig.ident, what);
    }
    if TAKEN.iter().any(|taken| sig.ident == taken) {
        let what = format!("`{}` is what every client has already", sig.ident);
        faults.at(&sig.ident, what);
    }
    let mut marks = Marks::default();
    let attributes = marks.take(attrs, faults);
    let mut inputs = sig.inputs.into_iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if is_shared(&receiver) => {}
        Some(other) => faults.at(other, "a method of an interface begins with `&self`"),
        None => faults.at(&sig.ident, "a method of an interface begins with `&self`"),
    }
    let mut arguments: Vec<Argument> = Vec::new();
    for input in inputs {
        let FnArg::Typed(input) = input else {
            continue;
        };
        let at = input.span();
        let Some(argument) = argument(input, faults) else { continue };
        let may_end_before = arguments
            .iter()
            .any(|before| matches!(before.missing, Missing::Default | Missing::Value(_)));
        if may_end_before && matches!(argument.missing, Missing::Never) {
            let what = "an argument after one with `#[default]` has one too, or is an `Option`";
            faults.add(Error::new(at, what));
        }
        arguments.push(argument);
    }
    if arguments.len() > ARGUMENTS {
        faults.at(&sig.ident, "a method has at most 16 arguments: put them into a struct");
    }
    let answer = answer(sig.output, marks.oneway, faults);
    let Some((id, since, at)) = marks.id else {
        if !marks.is_broken {
            let what = format!("`{}` has no id: write `#[id(1)]` above it", sig.ident);
            faults.at(&sig.ident, what);
        }
        return None;
    };
    if since.unsigned_abs() > version {
        let what = format!("the interface is of version {version}, which comes before {since}");
        faults.add(Error::new(at, what));
    }
    let (name, carries, since) = (sig.ident, marks.carries, since.unsigned_abs());
    Some((Method { id, since, attributes, name, arguments, answer, carries }, at))
}

fn is_shared(receiver: &syn::Receiver) -> bool {
    matches!(receiver.kind, syn::ReceiverKind::Reference(_, None, None))
        && receiver.attrs.is_empty()
}

/// What our attributes above a method say.
#[derive(Default)]
struct Marks {
    id: Option<(i32, i32, Span)>,
    /// There is an id, and it is wrong.
    is_broken: bool,
    oneway: Option<Span>,
    carries: Option<Vec<Carries>>,
}

impl Marks {
    /// Takes what is ours and returns the rest.
    fn take(&mut self, attributes: Vec<Attribute>, faults: &mut Faults) -> Vec<Attribute> {
        let mut rest = Vec::new();
        for attribute in attributes {
            let path = attribute.path();
            if path.is_ident("id") {
                if self.id.is_some() {
                    faults.at(&attribute, "a method has one id");
                }
                self.id = faults.some(id(&attribute));
                self.is_broken = self.id.is_none();
            } else if path.is_ident("oneway") {
                if let Err(error) = attribute.meta.require_path_only() {
                    faults.add(error);
                }
                self.oneway = Some(attribute.span());
            } else if path.is_ident("carries") {
                self.carries = faults.some(carried(&attribute));
            } else if path.is_ident("cfg") || path.is_ident("cfg_attr") {
                let what = "a method of an interface is there always, or it is another interface";
                faults.at(&attribute, what);
            } else {
                rest.push(attribute);
            }
        }
        rest
    }
}

/// `#[id(1)]` or `#[id(1, since = 2)]`.
fn id(attribute: &Attribute) -> syn::Result<(i32, i32, Span)> {
    attribute.parse_args_with(|input: ParseStream<'_>| {
        let literal: LitInt = input.parse()?;
        let id = number(&literal, "ids of methods count from 1")?;
        let mut since = 1;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
            let key: Ident = input.parse()?;
            if key != "since" {
                return Err(Error::new(key.span(), "after the id there is `since = 2`"));
            }
            input.parse::<Token![=]>()?;
            since = number(&input.parse()?, "versions count from 1")?;
        }
        Ok((id, since, literal.span()))
    })
}

fn carried(attribute: &Attribute) -> syn::Result<Vec<Carries>> {
    let words = attribute.parse_args_with(Punctuated::<Ident, Token![,]>::parse_terminated)?;
    let one = |word: Ident| match &*word.to_string() {
        "send" => Ok(Carries::Send),
        "send_once" => Ok(Carries::SendOnce),
        "descriptor" => Ok(Carries::Descriptor),
        _ => Err(Error::new(word.span(), "there is `send`, `send_once` and `descriptor`")),
    };
    words.into_iter().map(one).collect()
}

fn argument(input: PatType, faults: &mut Faults) -> Option<Argument> {
    let PatType { attrs, pat, ty, .. } = input;
    let mut missing = if is_option(&ty) { Missing::Option } else { Missing::Never };
    let mut carries = None;
    for attribute in attrs {
        if attribute.path().is_ident("default") {
            missing = match &attribute.meta {
                Meta::Path(_) => Missing::Default,
                Meta::List(_) | Meta::NameValue(_) => {
                    Missing::Value(Box::new(faults.some(attribute.parse_args())?))
                }
            };
        } else if attribute.path().is_ident("carries") {
            carries = faults.some(carried(&attribute));
        } else {
            faults.at(attribute, "an argument may have `#[default]` and `#[carries(..)]`");
        }
    }
    check_type(&ty, faults);
    match *pat {
        Pat::Ident(it) if it.by_ref.is_none() && it.mutability.is_none() && it.subpat.is_none() => {
            Some(Argument { name: it.ident, of_type: *ty, missing, carries })
        }
        other => {
            faults.at(other, "an argument of an interface is a plain name");
            None
        }
    }
}

fn answer(output: ReturnType, oneway: Option<Span>, faults: &mut Faults) -> Answer {
    let ReturnType::Type(_, of_type) = output else {
        return match oneway {
            Some(_) => Answer::None,
            None => Answer::One(syn::parse_quote!(())),
        };
    };
    if oneway.is_some() {
        faults.at(&of_type, "a one-way method has no answer");
    }
    check_type(&of_type, faults);
    if let Some([item]) = inside(&of_type, "Stream").as_deref() {
        return Answer::Stream(item.clone());
    }
    if let Some([fine, error]) = inside(&of_type, "Result").as_deref()
        && let Some([item]) = inside(fine, "Stream").as_deref()
    {
        return Answer::Fallible(item.clone(), Box::new(error.clone()));
    }
    Answer::One(*of_type)
}

fn is_option(of_type: &Type) -> bool {
    inside(of_type, "Option").is_some_and(|of| of.len() == 1)
}

/// The types between the angles of a type of this name.
fn inside(of_type: &Type, name: &str) -> Option<Vec<Type>> {
    let Type::Path(path) = of_type else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let syn::PathArguments::AngleBracketed(angles) = &last.arguments else { return None };
    let types = angles.args.iter().map(|argument| match argument {
        syn::GenericArgument::Type(of_type) => Some(of_type.clone()),
        _ => None,
    });
    types.collect()
}

/// What is sent is owned, and of a type the other side can name.
fn check_type(of_type: &Type, faults: &mut Faults) {
    check_tokens(quote::quote!(#of_type), faults);
}

fn check_tokens(tokens: TokenStream, faults: &mut Faults) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(sign) if sign.as_char() == '&' => {
                let what = "what is sent is owned: a reference is nothing to the other side";
                faults.add(Error::new(sign.span(), what));
            }
            TokenTree::Punct(sign)
                if sign.as_char() == '*'
                    && matches!(tokens.peek(), Some(TokenTree::Ident(it)) if it == "const" || it == "mut") =>
            {
                let what = "what is sent is owned: a pointer is nothing to the other side";
                faults.add(Error::new(sign.span(), what));
            }
            TokenTree::Punct(sign) if sign.as_char() == '\'' => {
                // The name of the lifetime, which is no type.
                let name = tokens.next();
                if !matches!(&name, Some(TokenTree::Ident(it)) if it == "static") {
                    let what = "what is sent is owned: it has no lifetime";
                    faults.add(Error::new(sign.span(), what));
                }
            }
            TokenTree::Ident(word) if word == "impl" || word == "dyn" || word == "Self" => {
                let what = format!("what is sent is of one type, which `{word}` does not name");
                faults.add(Error::new(word.span(), what));
            }
            TokenTree::Group(group) => check_tokens(group.stream(), faults),
            TokenTree::Punct(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
    }
}
