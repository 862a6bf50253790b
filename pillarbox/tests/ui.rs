//! What must not compile: ownership is the protocol.
//!
//! `TRYBUILD=overwrite cargo test -p pillarbox --test ui` writes what the
//! compiler says now.

#[test]
fn what_breaks_the_protocol_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
