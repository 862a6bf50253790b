//! Texts as C reads them.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, PoisonError};

/// The text as C reads it. There are not many in a program, and each is kept for ever (C4).
///
/// ```
/// assert_eq!(edge::for_c("no such name"), edge::for_c("no such name"));
/// ```
pub fn for_c(text: &'static str) -> *const c_char {
    static TEXTS: Mutex<BTreeMap<&'static str, &'static CStr>> = Mutex::new(BTreeMap::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let made = || &*Box::leak(CString::new(text).unwrap_or_default().into_boxed_c_str());
    texts.entry(text).or_insert_with(made).as_ptr()
}
