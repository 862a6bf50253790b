//! What is sent is owned and of one type, and every method begins with `&self`.

use pillarbox::interface;

#[interface(name = "org.example.Types", version = 1)]
trait Types {
    #[id(1)]
    fn borrows(&self, text: &str);
    #[id(2)]
    fn deep(&self, texts: Vec<Option<&'static str>>);
    #[id(3)]
    fn lends(&self) -> Option<&u8>;
    #[id(4)]
    fn any(&self, what: impl Copy, other: Box<dyn Send>);
    #[id(5)]
    fn pointer(&self, what: *const u8);
    #[id(6)]
    fn consumes(self);
    #[id(7)]
    fn changes(&mut self);
    #[id(8)]
    fn free();
    #[id(9)]
    fn generic<T>(&self, what: T);
    #[id(10)]
    fn pattern(&self, (a, b): (u8, u8));
    #[id(11)]
    #[oneway]
    fn answered(&self) -> u8;
    #[id(12)]
    fn middle(&self, #[default] a: u8, o: Option<u8>, b: u8);
    #[id(13)]
    fn body(&self) {}
    #[id(14)]
    async fn future(&self);
    #[id(15)]
    fn new(&self);
    #[id(16)]
    fn call_async(&self);
    #[id(17)]
    fn lifetime(&self, what: std::borrow::Cow<'_, str>);
    #[id(18)]
    #[cfg(unix)]
    fn sometimes(&self);
    #[id(19)]
    fn itself(&self) -> Self;
    #[id(20)]
    #[carries(everything)]
    fn carried(&self);
}

#[interface(name = "org.example.Generic", version = 1)]
trait Generic<T> {
    const WHAT: u8;
    type Which;
}

fn main() {}
