//! An interface has a name, and a version that counts from 1.

use pillarbox::interface;

#[interface]
trait Nothing {}

#[interface(name = "org.example.It")]
trait Versionless {}

#[interface(version = 1)]
trait Nameless {}

#[interface(name = "", version = 1)]
trait Empty {}

#[interface(name = "org.example.It", version = 0)]
trait Zeroth {}

#[interface(name = "org.example.It", version = 1, colour = "red")]
trait Red {}

#[interface(name = "org.example.It", version = 1)]
struct NoTrait;

fn main() {}
