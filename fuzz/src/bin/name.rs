//! Fuzzes names of services: what passes is short, whole and printable.
#![no_main]

use abi::limits::NAME_BYTES;
use abi::name;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match name::check(data) {
    Ok(text) => {
        assert_eq!(text.as_bytes(), data);
        assert!((1..=NAME_BYTES).contains(&text.len()));
        assert!(!text.chars().any(char::is_control));
    }
    Err(why) => assert!(!why.to_string().is_empty()),
});
