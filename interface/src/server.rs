//! The trait, and what answers messages with it.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Ident;

use crate::parse::{Answer, Argument, Interface, Method, Missing};

pub(crate) fn write(interface: &Interface) -> TokenStream {
    let item = &interface.item;
    let (attributes, vis, name) = (&item.attrs, &item.vis, &item.ident);
    let (colon, bounds) = (&item.colon_token, &item.supertraits);
    let methods = interface.methods.iter().map(|method| declared(method, false));
    let arms = interface.methods.iter().map(|method| arm(method, name, false));
    let awaited = awaited(interface);
    let (server, client) = (format_ident!("{name}Server"), format_ident!("{name}Client"));
    let about = format!(
        "Answers messages with an implementation of [`{name}`].\n\n\
         Shared between threads, it serves several requests at a time.",
    );
    quote! {
        #(#attributes)*
        #vis trait #name #colon #bounds {
            #(#methods)*
        }

        #[doc = #about]
        #[derive(Clone, Debug)]
        #vis struct #server<S> {
            methods: S,
        }

        impl<S: #name> #server<S> {
            /// Serves with these methods.
            #vis fn new(methods: S) -> Self {
                Self { methods }
            }

            /// The methods it serves with.
            #vis fn methods(&self) -> &S {
                &self.methods
            }

            /// Serves what comes to `inbox`, one request after the other.
            ///
            /// A request that is none of the interface is answered so, and
            /// forgotten; a loop of your own around `dispatch` hears of it. A method
            /// that panics ends this too, and its client is told.
            ///
            /// # Errors
            /// As `ReceiveRight::receive`. The first notification that comes to
            /// `inbox` ends it without an error: ask for `NoSenders` to serve as
            /// long as there may be a client.
            ///
            /// # Blocking
            /// Waits for requests until `deadline`, and up to 100 ms for room in
            /// the lane of a client that does not read its answers.
            #vis fn serve(
                &self,
                inbox: &::pillarbox::ReceiveRight,
                deadline: ::pillarbox::Deadline,
            ) -> ::core::result::Result<::pillarbox::Notification, ::pillarbox::ReceiveError> {
                ::pillarbox::interface::run::serve(inbox, deadline, |message, deadline| {
                    self.dispatch(message, deadline)
                })
            }

            /// Answers one message.
            ///
            /// # Rights
            /// The rights in the arguments are the method's; those in its result go
            /// with the answer. If the method panics the reply right drops, which
            /// tells the client.
            ///
            /// # Errors
            /// See `DispatchError`. The client was told already.
            ///
            /// # Blocking
            /// As long as the method does, and then for room in the client's lane
            /// until `deadline`.
            #vis fn dispatch(
                &self,
                message: ::pillarbox::Message,
                deadline: ::pillarbox::Deadline,
            ) -> ::core::result::Result<(), ::pillarbox::interface::DispatchError> {
                static PROTOCOL: ::pillarbox::interface::Protocol = #client::PROTOCOL;
                let opened = ::pillarbox::interface::run::Request::open(
                    message, #client::TAG, &PROTOCOL, deadline,
                )?;
                let ::core::option::Option::Some(request) = opened else {
                    return ::core::result::Result::Ok(());
                };
                match request.method() {
                    #(#arms)*
                    _ => ::core::result::Result::Err(request.unknown(&PROTOCOL)),
                }
            }

            /// Whether a message asks for a method of this interface. A port may
            /// serve several.
            #vis fn is_for(message: &::pillarbox::Message) -> bool {
                message.tag() >> 32 == #client::TAG >> 32
            }
        }

        #awaited
    }
}

/// The same with futures.
fn awaited(interface: &Interface) -> TokenStream {
    let item = &interface.item;
    let (attributes, vis, name) = (&item.attrs, &item.vis, &item.ident);
    let (colon, bounds) = (&item.colon_token, &item.supertraits);
    let (client, own) = (format_ident!("{name}Client"), format_ident!("{name}Async"));
    let server = format_ident!("{own}Server");
    let methods = interface.methods.iter().map(|method| declared(method, true));
    let arms = interface.methods.iter().map(|method| arm(method, &own, true));
    let about = format!("Answers messages with an implementation of [`{own}`].");
    let same = format!("\n\nAs [`{name}`], with futures, which may move between threads.");
    quote! {
        #(#attributes)*
        #[doc = #same]
        #vis trait #own #colon #bounds {
            #(#methods)*
        }

        #[doc = #about]
        #[derive(Clone, Debug)]
        #vis struct #server<S> {
            methods: S,
        }

        impl<S: #own> #server<S> {
            /// Serves with these methods.
            #vis fn new(methods: S) -> Self {
                Self { methods }
            }

            /// The methods it serves with.
            #vis fn methods(&self) -> &S {
                &self.methods
            }

            /// Serves what comes to `inbox`, up to 256 requests at once, for any
            /// executor.
            ///
            /// A request that is none of the interface is answered so, and
            /// forgotten; a loop of your own around `dispatch` hears of it. Who
            /// reads its answers too slowly has at most 64 of them kept, and is
            /// told that the others were dropped.
            ///
            /// # Errors
            /// As `ReceiveRight::receive_async`. The first notification that comes
            /// to `inbox` ends it without an error, once what runs has ended.
            ///
            /// # Cancel safety
            /// Dropped, it drops the methods that run, and their clients are told.
            /// What was not begun stays in the queue.
            #vis async fn serve(
                &self,
                inbox: &::pillarbox::ReceiveRight,
            ) -> ::core::result::Result<::pillarbox::Notification, ::pillarbox::ReceiveError> {
                let handle = |message| self.handle(message);
                ::pillarbox::interface::run::serve_async(inbox, handle).await
            }

            /// Answers one message.
            ///
            /// # Rights
            /// The rights in the arguments are the method's; those in its result go
            /// with the answer.
            ///
            /// # Errors
            /// See `DispatchError`. The client was told already.
            ///
            /// # Cancel safety
            /// Dropped before it is ready, it drops the method, and the client is
            /// told that there will be no answer.
            #vis async fn dispatch(
                &self,
                message: ::pillarbox::Message,
            ) -> ::core::result::Result<(), ::pillarbox::interface::DispatchError> {
                match self.handle(message).await? {
                    ::core::option::Option::Some(prepared) => prepared.send().await,
                    ::core::option::Option::None => ::core::result::Result::Ok(()),
                }
            }

            async fn handle(
                &self,
                message: ::pillarbox::Message,
            ) -> ::core::result::Result<
                ::core::option::Option<::pillarbox::interface::run::Prepared>,
                ::pillarbox::interface::DispatchError,
            > {
                static PROTOCOL: ::pillarbox::interface::Protocol = #client::PROTOCOL;
                // What the library answers is dropped where there is no room.
                let opened = ::pillarbox::interface::run::Request::open(
                    message, #client::TAG, &PROTOCOL, ::pillarbox::Deadline::Now,
                )?;
                let ::core::option::Option::Some(request) = opened else {
                    return ::core::result::Result::Ok(::core::option::Option::None);
                };
                match request.method() {
                    #(#arms)*
                    _ => ::core::result::Result::Err(request.unknown(&PROTOCOL)),
                }
            }

            /// Whether a message asks for a method of this interface. A port may
            /// serve several.
            #vis fn is_for(message: &::pillarbox::Message) -> bool {
                message.tag() >> 32 == #client::TAG >> 32
            }
        }
    }
}

/// The method as a server implements it.
fn declared(method: &Method, is_async: bool) -> TokenStream {
    let Method { attributes, name, arguments, answer, .. } = method;
    let inputs = arguments.iter().map(|Argument { name, of_type, .. }| quote!(#name: #of_type));
    // Not one of the arguments, whatever they are called.
    let its_name = Ident::new("sink", Span::mixed_site());
    let sink = match answer {
        Answer::None | Answer::One(_) => None,
        Answer::Stream(item) | Answer::Fallible(item, _) => {
            Some(quote!(, #its_name: ::pillarbox::interface::Sink<#item>))
        }
    };
    let result = match answer {
        Answer::None | Answer::Stream(_) => None,
        Answer::One(of_type) => Some(quote!(#of_type)),
        Answer::Fallible(_, error) => Some(quote!(::core::result::Result<(), #error>)),
    };
    let output = if is_async {
        let result = result.unwrap_or_else(|| quote!(()));
        quote! {
            -> impl ::core::future::Future<Output = #result> + ::core::marker::Send
        }
    } else {
        let result = result.into_iter();
        quote!(#(-> #result)*)
    };
    quote_spanned! {name.span()=>
        #(#attributes)*
        fn #name(&self #(, #inputs)* #sink) #output;
    }
}

/// What the server does with a message of this method.
fn arm(method: &Method, of: &Ident, is_async: bool) -> TokenStream {
    let Method { id, name, arguments, answer, .. } = method;
    let names: Vec<_> = (0..arguments.len()).map(|at| format_ident!("argument_{at}")).collect();
    let reads = names.iter().zip(arguments).map(|(name, argument)| {
        let of_type = &argument.of_type;
        let read = match &argument.missing {
            Missing::Never => quote!(take()),
            Missing::Option | Missing::Default => {
                quote!(take_or(::core::default::Default::default))
            }
            Missing::Value(value) => quote!(take_or(|| #value)),
        };
        quote!(let #name: #of_type = list.#read?;)
    });
    let values = quote!(#(#names,)*);
    let (sink, take) = match answer {
        Answer::None | Answer::One(_) => (None, None),
        Answer::Stream(_) | Answer::Fallible(..) => (
            Some(quote!(sink,)),
            Some(quote!(let sink = ::pillarbox::interface::Sink::take(list)?;)),
        ),
    };
    let read = quote!(|list| {
        #take
        #(#reads)*
        ::core::result::Result::Ok((#sink #values))
    });
    let call = quote!(<S as #of>::#name);
    let (dot_await, answered, end) = if is_async {
        (Some(quote!(.await)), quote!(prepare), quote!(prepare_end))
    } else {
        (None, quote!(answer), quote!(end))
    };
    match answer {
        Answer::None => quote! {
            #id => {
                let ((#values), request) = request.read_one_way(#read)?;
                #call(&self.methods, #values)#dot_await;
                request.#end()
            }
        },
        Answer::One(_) | Answer::Stream(_) | Answer::Fallible(..) => quote! {
            #id => {
                let ((#sink #values), request) = request.read(#read)?;
                let answer = #call(&self.methods, #values #sink)#dot_await;
                request.#answered(&answer)
            }
        },
    }
}
