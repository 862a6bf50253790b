//! The client: a send right that has the methods.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::Ident;

use crate::parse::{Answer, Argument, Interface, Method};
use crate::protocol;

pub(crate) fn write(interface: &Interface) -> TokenStream {
    let (vis, name) = (&interface.item.vis, &interface.item.ident);
    let client = format_ident!("{name}Client");
    let about = format!(
        "The client's side of [`{name}`]: a send right to a port that serves it.\n\n\
         It may be an argument or an answer of a method, and is copied then, as a send right \
         is. That the port serves this interface is an allegation until it answers.",
    );
    let (title, version) = (&interface.name, interface.version);
    let protocol = protocol::write(interface);
    let methods = interface.methods.iter().map(|it| method(it, vis));
    let is_stream = |it: &Method| matches!(it.answer, Answer::Stream(_) | Answer::Fallible(..));
    let capacity = interface.methods.iter().any(is_stream).then(|| {
        quote! {
            /// The same client whose streams hold up to this many items that were
            /// not taken yet; without it 16.
            #[must_use]
            #vis fn with_stream_capacity(self, capacity: ::pillarbox::Capacity) -> Self {
                Self { wire: self.wire.with_capacity(capacity) }
            }
        }
    });
    quote! {
        #[doc = #about]
        #[derive(Clone, Debug)]
        #vis struct #client {
            wire: ::pillarbox::interface::run::Wire,
        }

        impl #client {
            /// The interface as a value: its methods, their ids, arguments and
            /// rights.
            #vis const PROTOCOL: ::pillarbox::interface::Protocol = #protocol;

            /// What every request has as its tag.
            const TAG: u64 = ::pillarbox::interface::Protocol::tag(#title, #version);

            /// Takes a send right to be one to a server of this interface.
            ///
            /// # Rights
            /// The right is the client's from now on.
            #vis fn new(right: ::pillarbox::SendRight) -> Self {
                Self { wire: ::pillarbox::interface::run::Wire::new(right) }
            }

            /// The send right itself.
            ///
            /// # Rights
            /// Borrows it.
            #vis fn right(&self) -> &::pillarbox::SendRight {
                self.wire.right()
            }

            /// The send right, without its methods.
            ///
            /// # Rights
            /// Moves it.
            #vis fn into_right(self) -> ::pillarbox::SendRight {
                self.wire.into_right()
            }

            #capacity
            #(#methods)*
        }

        impl ::core::convert::From<::pillarbox::SendRight> for #client {
            fn from(right: ::pillarbox::SendRight) -> Self {
                Self::new(right)
            }
        }

        impl ::core::convert::From<#client> for ::pillarbox::SendRight {
            fn from(client: #client) -> Self {
                client.into_right()
            }
        }

        impl ::pillarbox::interface::run::serde::Serialize for #client {
            fn serialize<S: ::pillarbox::interface::run::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                ::pillarbox::interface::run::serde::Serialize::serialize(self.right(), serializer)
            }
        }

        impl<'de> ::pillarbox::interface::run::serde::Deserialize<'de> for #client {
            fn deserialize<D: ::pillarbox::interface::run::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                let right = <::pillarbox::SendRight as
                    ::pillarbox::interface::run::serde::Deserialize<'de>>::deserialize(deserializer);
                right.map(Self::new)
            }
        }
    }
}

/// The method as a client calls it.
fn method(method: &Method, vis: &syn::Visibility) -> TokenStream {
    let Method { id, attributes, name, arguments, answer, .. } = method;
    let inputs = arguments.iter().map(|Argument { name, of_type, .. }| quote!(#name: #of_type));
    let names: Vec<_> = arguments.iter().map(|argument| &argument.name).collect();
    let types = arguments.iter().map(|argument| &argument.of_type);
    let count = arguments.len();
    // Not one of the arguments, whatever they are called.
    let deadline = Ident::new("deadline", Span::mixed_site());
    let asked = Ident::new("asked", Span::mixed_site());
    let (ask, returns, about) = match answer {
        Answer::None => ("one_way", quote!(()), WAITS_FOR_ROOM),
        Answer::One(of_type) => ("call", quote!(#of_type), WAITS_FOR_ANSWER),
        Answer::Stream(item) => {
            ("stream", quote!(::pillarbox::interface::Stream<#item>), WAITS_FOR_ANSWER)
        }
        Answer::Fallible(item, error) => {
            let stream = quote!(::pillarbox::interface::Stream<#item>);
            let returns = quote!(::core::result::Result<#stream, #error>);
            ("try_stream", returns, WAITS_FOR_ANSWER)
        }
    };
    let ask = format_ident!("{ask}");
    let (name_async, ask_async) = (format_ident!("{name}_async"), format_ident!("{ask}_async"));
    let about_async = format!("As [`Self::{name}`], without a thread that waits.{AWAITS}");
    let types: Vec<_> = types.collect();
    let inputs: Vec<_> = inputs.collect();
    quote! {
        #[doc = #about_async]
        #vis async fn #name_async(
            &self,
            #(#inputs,)*
        ) -> ::core::result::Result<#returns, ::pillarbox::interface::ClientError<(#(#types,)*)>> {
            let #asked = ::pillarbox::interface::run::Asked {
                tag: Self::TAG,
                method: #id,
                count: #count,
            };
            self.wire.#ask_async(#asked, (#(#names,)*)).await
        }

        #(#attributes)*
        #[doc = #about]
        #vis fn #name(
            &self,
            #(#inputs,)*
            #deadline: ::pillarbox::Deadline,
        ) -> ::core::result::Result<#returns, ::pillarbox::interface::ClientError<(#(#types,)*)>> {
            let #asked = ::pillarbox::interface::run::Asked {
                tag: Self::TAG,
                method: #id,
                count: #count,
            };
            self.wire.#ask(#asked, (#(#names,)*), #deadline)
        }
    }
}

const WAITS_FOR_ANSWER: &str = "\n\n# Rights\nThe rights in the arguments are given away once the \
    request was sent; those in the answer are this task's.\n\n# Errors\nSee \
    [`ClientError`](::pillarbox::interface::ClientError): what was not sent comes back.\n\n\
    # Blocking\nWaits for room and for the answer until `deadline`.";

const WAITS_FOR_ROOM: &str = "\n\n# Rights\nThe rights in the arguments are given away once the \
    request was sent.\n\n# Errors\nSee [`ClientError`](::pillarbox::interface::ClientError): what \
    was not sent comes back. Nothing tells what became of it then.\n\n# Blocking\nWaits for room \
    until `deadline`.";

const AWAITS: &str = "\n\n# Errors\nSee [`ClientError`](::pillarbox::interface::ClientError); \
    `Deadline` is none of them.\n\n# Cancel safety\nDropped before the request was accepted, nothing \
    was sent and the arguments are dropped. Dropped later, the answer is dropped when it comes.";
