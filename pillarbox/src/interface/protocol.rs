//! An interface as a value: what its methods are and what they carry.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The methods of an interface, their ids, arguments and rights.
///
/// The attribute makes one as `CalculatorClient::PROTOCOL`; a running server
/// answers for its own ([`super::describe`]), and then it is what that server
/// *says*. It is a serde value, and is printed as [JSON](Protocol::to_json) and
/// as [Markdown](Protocol::to_markdown).
///
/// # Examples
/// ```
/// /// Says what time it is.
/// #[pillarbox::interface(name = "org.example.Clock", version = 3)]
/// pub trait Clock {
///     #[id(1)]
///     fn seconds(&self) -> u64;
///     #[id(2, since = 3)]
///     #[oneway]
///     fn set(&self, seconds: u64);
/// }
///
/// let clock = ClockClient::PROTOCOL;
/// assert_eq!((&*clock.name, clock.version), ("org.example.Clock", 3));
/// assert_eq!((clock.methods[1].id, clock.methods[1].since), (2, 3));
/// assert_eq!(clock.methods[1].arguments[0].name, "seconds");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// The name of the interface.
    pub name: Cow<'static, str>,
    /// Its version.
    pub version: u32,
    /// What its author says of it.
    pub documentation: Cow<'static, str>,
    /// Its methods, in the order they are written.
    pub methods: Cow<'static, [Method]>,
    /// Ids of methods there were once. Nobody uses them again.
    pub reserved: Cow<'static, [i32]>,
}

/// One method of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// The id of its messages, for ever.
    pub id: i32,
    /// Its name. It is not sent.
    pub name: Cow<'static, str>,
    /// The version of the interface that brought it.
    pub since: u32,
    /// Whether it is answered, and how.
    pub kind: MethodKind,
    /// What its author says of it.
    pub documentation: Cow<'static, str>,
    /// What is sent.
    pub arguments: Cow<'static, [Argument]>,
    /// What is answered.
    pub answer: Answer,
}

/// Whether a method is answered, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MethodKind {
    /// With one message.
    Call,
    /// Not at all.
    OneWay,
    /// With one message, and then with a stream of others.
    Stream,
}

/// An argument of a method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// Its name. It is not sent.
    pub name: Cow<'static, str>,
    /// Its type, as it is written.
    #[serde(rename = "type")]
    pub of_type: Cow<'static, str>,
    /// Whether an older client may leave it out.
    pub may_be_missing: bool,
    /// The rights that its type names.
    pub carries: Cow<'static, [Carries]>,
}

/// What a method answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its type, as it is written; `()` where there is nothing to say.
    #[serde(rename = "type")]
    pub of_type: Cow<'static, str>,
    /// The rights that its type names.
    pub carries: Cow<'static, [Carries]>,
}

/// A right that the type of an argument or an answer names.
///
/// The attribute sees what is written in the trait. A right inside of a type
/// that is defined elsewhere is said with `#[carries(..)]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carries {
    /// A send right.
    Send,
    /// A send-once right.
    SendOnce,
    /// A descriptor.
    Descriptor,
}

impl Protocol {
    /// What every request of this interface has as its tag: the name as a
    /// number above, the version below.
    #[must_use]
    pub const fn tag(name: &str, version: u32) -> u64 {
        // FNV-1a. It tells interfaces apart that got mixed up; it is no secret.
        let mut mark: u32 = 0x811c_9dc5;
        let mut rest = name.as_bytes();
        while let Some((byte, behind)) = rest.split_first() {
            mark = (mark ^ *byte as u32).wrapping_mul(0x0100_0193);
            rest = behind;
        }
        (mark as u64) << 32 | version as u64
    }

    /// The method with this id.
    pub fn method(&self, id: i32) -> Option<&Method> {
        self.methods.iter().find(|method| method.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::Protocol;

    #[test]
    fn a_tag_is_the_fnv_of_the_name_and_the_version() {
        assert_eq!(Protocol::tag("", 7), 0x811c_9dc5 << 32 | 7);
        assert_eq!(Protocol::tag("foobar", 0), 0xbf9c_f968 << 32);
    }
}
