//! The protocol as a constant.

use proc_macro2::TokenStream;
use quote::quote;

use crate::parse::{Answer, Argument, Carries, Interface, Method, Missing};
use crate::text;

/// An expression of type `pillarbox::interface::Protocol`.
pub(crate) fn write(interface: &Interface) -> TokenStream {
    let Interface { name, version, reserved, item, methods } = interface;
    let documentation = text::documentation(&item.attrs);
    let methods = list(&quote!(Method), methods.iter().map(method));
    let reserved = list(&quote!(i32), reserved.iter().map(|id| quote!(#id)));
    quote!({
        use ::pillarbox::interface::{Answer, Argument, Carries, Method, MethodKind, Protocol};
        use ::std::borrow::Cow;
        Protocol {
            name: Cow::Borrowed(#name),
            version: #version,
            documentation: Cow::Borrowed(#documentation),
            methods: #methods,
            reserved: #reserved,
        }
    })
}

fn method(method: &Method) -> TokenStream {
    let Method { id, since, attributes, name, arguments, answer, carries } = method;
    let name = name.to_string();
    let documentation = text::documentation(attributes);
    let arguments = list(&quote!(Argument), arguments.iter().map(argument));
    let (kind, of_type, named) = match answer {
        Answer::None => (quote!(OneWay), "()".to_owned(), Vec::new()),
        Answer::One(of_type) => (quote!(Call), text::written(of_type), text::carries(of_type)),
        Answer::Stream(item) => {
            let of_type = format!("Stream<{}>", text::written(item));
            (quote!(Stream), of_type, text::carries(item))
        }
        Answer::Fallible(item, error) => {
            let mut named = text::carries(item);
            named.extend(text::carries(error));
            let (item, error) = (text::written(item), text::written(error));
            (quote!(Stream), format!("Result<Stream<{item}>, {error}>"), named)
        }
    };
    let carries = rights(carries.as_ref().unwrap_or(&named));
    quote!(Method {
        id: #id,
        name: Cow::Borrowed(#name),
        since: #since,
        kind: MethodKind::#kind,
        documentation: Cow::Borrowed(#documentation),
        arguments: #arguments,
        answer: Answer { of_type: Cow::Borrowed(#of_type), carries: #carries },
    })
}

fn argument(argument: &Argument) -> TokenStream {
    let Argument { name, of_type, missing, carries } = argument;
    let name = name.to_string();
    let may_be_missing = !matches!(missing, Missing::Never);
    let carries = rights(carries.as_ref().unwrap_or(&text::carries(of_type)));
    let of_type = text::written(of_type);
    quote!(Argument {
        name: Cow::Borrowed(#name),
        of_type: Cow::Borrowed(#of_type),
        may_be_missing: #may_be_missing,
        carries: #carries,
    })
}

fn rights(carries: &[Carries]) -> TokenStream {
    let each = carries.iter().map(|carries| match carries {
        Carries::Send => quote!(Carries::Send),
        Carries::SendOnce => quote!(Carries::SendOnce),
        Carries::Descriptor => quote!(Carries::Descriptor),
    });
    list(&quote!(Carries), each)
}

/// A borrowed list that lives for ever.
fn list(of: &TokenStream, items: impl Iterator<Item = TokenStream>) -> TokenStream {
    quote!({
        const LIST: &[#of] = &[#(#items),*];
        Cow::Borrowed(LIST)
    })
}
