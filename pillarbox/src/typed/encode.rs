//! A value as bytes, in postcard's format.
//!
//! Written here because postcard itself has no limit of depth: what is nested
//! deeper than a receiver reads is refused where it is sent.
//!
//! | value                    | bytes                                       |
//! |--------------------------|---------------------------------------------|
//! | `bool`, `u8`, `i8`       | one                                         |
//! | other unsigned numbers   | varint: seven bits a byte, the lowest first |
//! | other signed numbers     | the same, after zigzag                      |
//! | floats                   | little end first                            |
//! | text, bytes, `char`      | length, then the bytes                      |
//! | option                   | 0, or 1 and the value                       |
//! | sequence, map            | length, then the elements                   |
//! | tuple, struct            | the elements                                |
//! | enum                     | number of the variant, then what it holds   |
//!
//! Where values may *grow* ([`super::growing`]), named fields are more than the
//! elements: their length in bytes (four, little end first), how many they are,
//! and then the fields.

use std::fmt;

use serde::ser::{self, Serialize};

use super::error::{DEPTH, EMPTY, EncodeError};

/// What stops a value from becoming bytes.
#[derive(Debug)]
pub(super) struct Stop(pub(super) EncodeError);

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stop {}

impl ser::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Stop(EncodeError::Refused)
    }
}

/// What was written so far.
struct Page {
    bytes: Vec<u8>,
    /// How many elements without bytes there may still be.
    empty_left: usize,
    /// Whether named fields say how long and how many they are.
    grows: bool,
}

impl Page {
    const fn new(grows: bool) -> Self {
        Page { bytes: Vec::new(), empty_left: EMPTY, grows }
    }

    const fn writer(&mut self) -> Writer<'_> {
        Writer { page: self, left: DEPTH }
    }
}

/// The bytes of `value`; with `grows`, of one that may have grown when it is
/// read.
pub(super) fn write(value: &impl Serialize, grows: bool) -> Result<Vec<u8>, Stop> {
    let mut page = Page::new(grows);
    value.serialize(page.writer())?;
    Ok(page.bytes)
}

/// The bytes of a list of `count` values that may have grown when it is read:
/// the elements of both tuples, one after the other.
pub(super) fn write_list(
    count: usize,
    first: &impl Serialize,
    rest: &impl Serialize,
) -> Result<Vec<u8>, Stop> {
    let mut page = Page::new(true);
    page.writer().varint(count as u128);
    first.serialize(page.writer())?;
    rest.serialize(page.writer())?;
    Ok(page.bytes)
}

/// Writes one value, and knows how many levels there may be below it.
struct Writer<'a> {
    page: &'a mut Page,
    left: usize,
}

impl<'a> Writer<'a> {
    fn varint(&mut self, mut number: u128) {
        while number >= 0x80 {
            self.page.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.page.bytes.push(number as u8);
    }

    fn zigzag(&mut self, number: i128) {
        self.varint(((number << 1) ^ (number >> 127)) as u128);
    }

    fn length(&mut self, length: Option<usize>) -> Result<(), Stop> {
        self.varint(length.ok_or(Stop(EncodeError::UnknownLength))? as u128);
        Ok(())
    }

    fn deeper(self) -> Result<Writer<'a>, Stop> {
        let left = self.left.checked_sub(1).ok_or(Stop(EncodeError::TooDeep))?;
        Ok(Writer { page: self.page, left })
    }

    /// Begins named fields.
    fn fields(mut self, count: usize) -> Result<Fields<'a>, Stop> {
        let mut start = None;
        if self.page.grows {
            self.page.bytes.extend([0; LENGTH]);
            start = Some(self.page.bytes.len());
            self.varint(count as u128);
        }
        Ok(Fields { writer: self.deeper()?, start })
    }

    fn field(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Stop> {
        value.serialize(Writer { page: self.page, left: self.left })
    }

    /// A field of something whose length is written before it.
    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Stop> {
        let before = self.page.bytes.len();
        self.field(value)?;
        if self.page.bytes.len() == before {
            let left = self.page.empty_left.checked_sub(1);
            self.page.empty_left = left.ok_or(Stop(EncodeError::TooManyEmpty))?;
        }
        Ok(())
    }
}

macro_rules! numbers {
    ($($method:ident $write:ident $type:ty;)*) => {$(
        fn $method(mut self, value: $type) -> Result<(), Stop> {
            self.$write(value.into());
            Ok(())
        }
    )*};
}

impl<'a> ser::Serializer for Writer<'a> {
    type Ok = ();
    type Error = Stop;
    type SerializeSeq = Writer<'a>;
    type SerializeTuple = Writer<'a>;
    type SerializeTupleStruct = Writer<'a>;
    type SerializeTupleVariant = Writer<'a>;
    type SerializeMap = Writer<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    numbers! {
        serialize_i16 zigzag i16;
        serialize_i32 zigzag i32;
        serialize_i64 zigzag i64;
        serialize_i128 zigzag i128;
        serialize_u16 varint u16;
        serialize_u32 varint u32;
        serialize_u64 varint u64;
        serialize_u128 varint u128;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Stop> {
        self.serialize_u8(value.into())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Stop> {
        self.serialize_u8(value as u8)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Stop> {
        self.page.bytes.push(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Stop> {
        self.page.bytes.extend(value.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Stop> {
        self.page.bytes.extend(value.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Stop> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Stop> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(mut self, value: &[u8]) -> Result<(), Stop> {
        self.length(Some(value.len()))?;
        self.page.bytes.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Stop> {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stop> {
        self.page.bytes.push(1);
        value.serialize(self.deeper()?)
    }

    fn serialize_unit(self) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        variant: u32,
        _: &'static str,
    ) -> Result<(), Stop> {
        self.serialize_u32(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        value.serialize(self.deeper()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        self.varint(variant.into());
        value.serialize(self.deeper()?)
    }

    fn serialize_seq(mut self, length: Option<usize>) -> Result<Writer<'a>, Stop> {
        self.length(length)?;
        self.deeper()
    }

    fn serialize_tuple(self, _: usize) -> Result<Writer<'a>, Stop> {
        self.deeper()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Writer<'a>, Stop> {
        self.deeper()
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Writer<'a>, Stop> {
        self.varint(variant.into());
        self.deeper()
    }

    fn serialize_map(mut self, length: Option<usize>) -> Result<Writer<'a>, Stop> {
        self.length(length)?;
        self.deeper()
    }

    fn serialize_struct(self, _: &'static str, count: usize) -> Result<Fields<'a>, Stop> {
        self.fields(count)
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        variant: u32,
        _: &'static str,
        count: usize,
    ) -> Result<Fields<'a>, Stop> {
        self.varint(variant.into());
        self.fields(count)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Stop> {
        self.serialize_str(&value.to_string())
    }
}

/// What has elements: serde asks for each sort in words of its own.
macro_rules! elements {
    ($($sort:ident $method:ident $write:ident;)*) => {$(
        impl ser::$sort for Writer<'_> {
            type Ok = ();
            type Error = Stop;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
                self.$write(value)
            }

            fn end(self) -> Result<(), Stop> {
                Ok(())
            }
        }
    )*};
}

elements! {
    SerializeSeq serialize_element element;
    SerializeTuple serialize_element field;
    SerializeTupleStruct serialize_field field;
    SerializeTupleVariant serialize_field field;
}

impl ser::SerializeMap for Writer<'_> {
    type Ok = ();
    type Error = Stop;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stop> {
        self.element(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.field(value)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

/// Bytes of the length of named fields.
const LENGTH: usize = size_of::<u32>();

/// Writes named fields.
struct Fields<'a> {
    writer: Writer<'a>,
    /// Where the fields begin, if their length is to be written before them.
    start: Option<usize>,
}

impl Fields<'_> {
    fn close(self) -> Result<(), Stop> {
        let Some(start) = self.start else { return Ok(()) };
        let bytes = &mut self.writer.page.bytes;
        let length = u32::try_from(bytes.len() - start).map_err(|_| Stop(EncodeError::TooLong))?;
        let place = bytes.iter_mut().skip(start - LENGTH);
        place.zip(length.to_le_bytes()).for_each(|(place, byte)| *place = byte);
        Ok(())
    }
}

macro_rules! named_fields {
    ($($sort:ident)*) => {$(
        impl ser::$sort for Fields<'_> {
            type Ok = ();
            type Error = Stop;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), Stop> {
                self.writer.field(value)
            }

            fn end(self) -> Result<(), Stop> {
                self.close()
            }
        }
    )*};
}

named_fields! { SerializeStruct SerializeStructVariant }
