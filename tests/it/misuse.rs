//! The usual misuse does not compile, and the compiler's message says what to do instead.
//!
//! `TRYBUILD=overwrite` writes the messages again; they are those of the compiler that the
//! continuous checks use.

#[test]
fn misuse_does_not_compile_and_is_told_how_to_do_it() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
