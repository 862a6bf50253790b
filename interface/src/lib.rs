//! A trait becomes a typed client and a server.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod client;
mod parse;
mod protocol;
mod server;
mod text;

use proc_macro::TokenStream;
use quote::quote;

/// Makes a client and a server of a trait.
///
/// Beside the trait `Calculator` there are then `CalculatorClient`, a send right
/// that has the methods, and `CalculatorServer`, which answers messages with an
/// implementation of the trait; and for futures `CalculatorAsync` and
/// `CalculatorAsyncServer`. The module `pillarbox::interface` shows both.
///
/// # The trait
/// `#[pillarbox::interface(name = "org.example.Calculator", version = 2)]` stands
/// above a trait without generics, whose methods take `&self` and owned values and
/// have no body. The name tells interfaces apart that got mixed up; the version
/// counts from 1 and goes up with every change.
///
/// | written                                | means                                             |
/// |----------------------------------------|---------------------------------------------------|
/// | `#[id(1)]`                             | the id of the method, and of its messages, for ever |
/// | `#[id(3, since = 2)]`                  | the version that brought the method; without it 1 |
/// | `#[oneway]`                            | it has no answer: the client does not wait for one |
/// | `-> Stream<T>`                         | it is answered by a stream: the server gets a `Sink<T>` as its last argument |
/// | `-> Result<Stream<T>, E>`              | the same, and the server may refuse: it returns `Result<(), E>` |
/// | `argument: Option<T>`                  | an older client may leave it out: it is `None`    |
/// | `#[default] argument: T`               | the same, and it is `T::default()`                |
/// | `#[default(7)] argument: u32`          | the same, and it is 7                             |
/// | `#[carries(send, descriptor)]`         | the rights in an argument, or above a method in its answer, where the type written does not name them |
/// | `#[reserved(7, 8)]` above the trait    | ids of methods there were once                    |
///
/// # The client
/// Each method takes a `Deadline` more than the trait says, and returns a
/// `Result<T, ClientError<(A, B)>>`, where `T` is what the trait says, itself a
/// `Result` perhaps, and the tuple is that of the arguments, which come back
/// where they were not sent.
///
/// # What may change
/// Methods may be added, with new ids. So may arguments at the end of a method,
/// if older clients may leave them out, and fields at the end of structs with
/// names, if they are `#[serde(default)]`. An id is never used again. All else is
/// another method, or another interface.
#[proc_macro_attribute]
pub fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let interface = match parse::interface(arguments.into(), item.into()) {
        Ok(interface) => interface,
        Err(error) => return error.into_compile_error().into(),
    };
    let server = server::write(&interface);
    let client = client::write(&interface);
    quote!(#server #client).into()
}
