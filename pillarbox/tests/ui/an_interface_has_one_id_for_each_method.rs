//! An id is given once, and never again.

#[pillarbox::interface(name = "org.example.Ids", version = 2)]
#[reserved(7, 8, 7)]
trait Ids {
    #[id(1)]
    fn first(&self);
    #[id(1)]
    fn twice(&self);
    #[id(0)]
    fn zero(&self);
    #[id(-3)]
    fn negative(&self);
    #[id(2147483648)]
    fn large(&self);
    fn none(&self);
    #[id(8)]
    fn again(&self);
    #[id(9, since = 3)]
    fn tomorrow(&self);
    #[id(10, until = 3)]
    fn yesterday(&self);
    #[id(11)]
    #[id(12)]
    fn two(&self);
}

fn main() {}
