//! Bytes as a value: the other half of [`super::encode`].
//!
//! The bytes are a stranger's. Whatever they are, reading ends: no deeper than
//! [`DEPTH`] levels, so that the stack holds; after at most as many steps as
//! there are bytes, and [`EMPTY`] more; and nothing is set aside for elements
//! that the bytes left could not fill.

use std::fmt;

use serde::de::{self, DeserializeSeed, Visitor};

use super::error::{DEPTH, EMPTY, TypedOffence};

/// What stops bytes from becoming a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes are wrong.
    Fault(TypedOffence),
    /// The type asks for what the format cannot do.
    Unreadable,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Fault(offence) => offence.fmt(f),
            Stop::Unreadable => f.write_str("the format does not describe itself"),
        }
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Stop::Fault(TypedOffence::NoSuchValue)
    }
}

const fn fault<T>(offence: TypedOffence) -> Result<T, Stop> {
    Err(Stop::Fault(offence))
}

/// Reads a value out of all of `bytes`.
pub(super) fn read<T: de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Stop> {
    let mut reader = Reader::new(bytes, false);
    let value = T::deserialize(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

pub(super) struct Reader<'de> {
    rest: &'de [u8],
    depth_left: usize,
    empty_left: usize,
    /// Whether named fields say how long and how many they are.
    grows: bool,
    /// Whether there was more than the type knows.
    skipped: bool,
}

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8], grows: bool) -> Self {
        Reader { rest: bytes, depth_left: DEPTH, empty_left: EMPTY, grows, skipped: false }
    }

    /// Whether there was more than the type knows.
    pub(super) const fn has_skipped(&self) -> bool {
        self.skipped
    }

    /// Nothing is left.
    pub(super) fn finish(&self) -> Result<(), Stop> {
        match self.rest.len() {
            0 => Ok(()),
            left => fault(TypedOffence::BytesLeftOver(left)),
        }
    }

    /// What is left is more than we know, and nothing to us.
    pub(super) fn skip_rest(&mut self) {
        self.rest = &[];
        self.skipped = true;
    }

    fn take(&mut self, length: usize) -> Result<&'de [u8], Stop> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(Stop::Fault(TypedOffence::Truncated))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (taken, rest) =
            self.rest.split_first_chunk().ok_or(Stop::Fault(TypedOffence::Truncated))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn truth(&mut self) -> Result<bool, Stop> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => fault(TypedOffence::NotTrueOrFalse(other)),
        }
    }

    /// A number of at most `bits` bits, in as many bytes as these need.
    fn varint(&mut self, bits: u32) -> Result<u128, Stop> {
        let mut number: u128 = 0;
        for place in (0..bits).step_by(7) {
            let byte = self.byte()?;
            let digits = u128::from(byte & 0x7f);
            if place + 7 > bits && digits >> (bits - place) != 0 {
                break;
            }
            number |= digits << place;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        fault(TypedOffence::NumberTooLarge)
    }

    fn zigzag(&mut self, bits: u32) -> Result<i128, Stop> {
        let number = self.varint(bits)?;
        Ok((number >> 1) as i128 ^ -((number & 1) as i128))
    }

    pub(super) fn length(&mut self) -> Result<usize, Stop> {
        let length = self.varint(u64::BITS)?;
        usize::try_from(length).map_err(|_| Stop::Fault(TypedOffence::NumberTooLarge))
    }

    fn text(&mut self) -> Result<&'de str, Stop> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Stop::Fault(TypedOffence::NotText))
    }

    /// Reads what lies one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let left = self.depth_left.checked_sub(1).ok_or(Stop::Fault(TypedOffence::TooDeep))?;
        self.depth_left = left;
        let found = inner(self)?;
        self.depth_left = left + 1;
        Ok(found)
    }

    fn fields<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<V::Value, Stop> {
        self.deeper(|reader| visitor.visit_seq(Elements { reader, left: count, counted: false }))
    }

    /// Fields with names. Where they may grow, there can be fewer than `known`,
    /// for an older sender, or more, for a newer one.
    fn named<V: Visitor<'de>>(&mut self, known: usize, visitor: V) -> Result<V::Value, Stop> {
        if !self.grows {
            return self.fields(known, visitor);
        }
        let length = u32::from_le_bytes(self.array()?) as usize;
        let own = self.take(length)?;
        let behind = std::mem::replace(&mut self.rest, own);
        let count = self.length()?;
        let value = self.fields(count.min(known), visitor)?;
        if count > known {
            self.skip_rest();
        }
        self.finish()?;
        self.rest = behind;
        Ok(value)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $read:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            // It has no more bits than the type.
            visitor.$visit(self.$read(<$type>::BITS)? as $type)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Stop;

    numbers! {
        deserialize_i16 visit_i16 zigzag i16;
        deserialize_i32 visit_i32 zigzag i32;
        deserialize_i64 visit_i64 zigzag i64;
        deserialize_i128 visit_i128 zigzag i128;
        deserialize_u16 visit_u16 varint u16;
        deserialize_u32 visit_u32 varint u32;
        deserialize_u64 visit_u64 varint u64;
        deserialize_u128 visit_u128 varint u128;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop::Unreadable)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop::Unreadable)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop::Unreadable)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_bool(self.truth()?)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_i8(self.byte()? as i8)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_u8(self.byte()?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_f32(f32::from_le_bytes(self.array()?))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_f64(f64::from_le_bytes(self.array()?))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let mut letters = self.text()?.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => visitor.visit_char(letter),
            _ => fault(TypedOffence::NotText),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let length = self.length()?;
        visitor.visit_borrowed_bytes(self.take(length)?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        if self.truth()? {
            self.deeper(|reader| visitor.visit_some(reader))
        } else {
            visitor.visit_none()
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deeper(|reader| visitor.visit_newtype_struct(reader))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let left = self.length()?;
        self.deeper(|reader| visitor.visit_seq(Elements { reader, left, counted: true }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.fields(count, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.fields(count, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let left = self.length()?;
        self.deeper(|reader| visitor.visit_map(Elements { reader, left, counted: true }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.named(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_enum(self)
    }
}

/// The elements of a sequence, a tuple or a map.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
    /// Whether the bytes say how many there are, and not the type.
    counted: bool,
}

impl<'de> Elements<'_, 'de> {
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stop> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let before = self.reader.rest.len();
        let value = seed.deserialize(&mut *self.reader)?;
        if self.counted && self.reader.rest.len() == before {
            let left = self.reader.empty_left.checked_sub(1);
            self.reader.empty_left = left.ok_or(Stop::Fault(TypedOffence::TooManyEmpty))?;
        }
        Ok(Some(value))
    }

    /// No more than the bytes could fill.
    fn hint(&self) -> usize {
        self.left.min(self.reader.rest.len())
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Stop;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Stop> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_, 'de> {
    type Error = Stop;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Stop> {
        self.next(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> de::EnumAccess<'de> for &mut Reader<'de> {
    type Error = Stop;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Stop> {
        let variant = self.varint(u32::BITS)? as u32;
        let variant = seed.deserialize(de::IntoDeserializer::<Stop>::into_deserializer(variant))?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Reader<'de> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Stop> {
        self.deeper(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Stop> {
        self.fields(count, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.named(fields.len(), visitor)
    }
}
