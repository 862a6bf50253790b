//! Fuzzes the first packet each way.
//!
//! What decodes encodes again to the same meaning, and no packet is a hello and
//! a refusal at once.
#![no_main]

use abi::hello::{BYTES, Hello, Refusal};
use abi::limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let hello = Hello::decode(data);
    let refusal = Refusal::decode(data);
    if let Ok(hello) = hello {
        assert_eq!(data.len(), BYTES);
        assert!(refusal.is_none());
        assert!((limits::LANE_BYTES_MIN..=limits::LANE_BYTES_MAX).contains(&hello.lane_bytes));
        assert!(hello.address.name().len() <= hello.address.0.len());
        assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
    }
    if let Some(refusal) = refusal {
        assert_eq!(Refusal::decode(&refusal.encode()), Some(refusal));
    }
});
