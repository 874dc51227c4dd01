//! What protobuf is made of, written without a message built first: every length is reckoned before
//! what it measures is written, so each is as short as the format has it.

/// The wire types that OTLP uses, in the low bits of a tag.
pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const LENGTH: u8 = 2;
pub(super) const FIXED32: u8 = 5;

/// The tag of a field up to number 15, which takes one byte.
pub(super) const fn tag(field: u8, wire: u8) -> u8 {
    assert!(field < 16);
    field << 3 | wire
}

/// A number up to this takes one byte.
pub(super) const ONE_BYTE: usize = 0x7f;

#[inline]
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > ONE_BYTE as u64 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(super) fn varint_length(value: u64) -> usize {
    // Seven bits a byte, and zero takes one.
    (63 - (value | 1).leading_zeros() as usize) / 7 + 1
}

/// The bytes of a field that holds `length` bytes, its tag and length included.
#[inline]
pub(super) fn field_length(length: usize) -> usize {
    1 + varint_length(length as u64) + length
}

/// The head of a field of `length` bytes, which are to follow.
#[inline]
pub(super) fn head(out: &mut Vec<u8>, field: u8, length: usize) {
    out.push(tag(field, LENGTH));
    varint(out, length as u64);
}

#[inline]
pub(super) fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    head(out, field, value.len());
    out.extend_from_slice(value);
}

/// A text that is left out when it is empty, as proto3 has it.
#[inline]
pub(super) fn text(out: &mut Vec<u8>, field: u8, value: &str) {
    if !value.is_empty() {
        bytes(out, field, value.as_bytes());
    }
}

/// Identifiers and times: a field of as many bytes as are known when this is compiled.
#[inline]
pub(super) fn short<const N: usize>(out: &mut Vec<u8>, field: u8, value: [u8; N]) {
    const { assert!(N <= ONE_BYTE) };
    out.extend_from_slice(&[tag(field, LENGTH), N as u8]);
    out.extend_from_slice(&value);
}

#[inline]
pub(super) fn fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(tag(field, FIXED64));
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_as_long_as_it_is_said_to_be(value in any::<u64>(), shift in 0..64_u32) {
            let (mut out, value) = (Vec::new(), value >> shift);
            varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_length(value));
            prop_assert_eq!(prost::encoding::decode_varint(&mut out.as_slice()), Ok(value));
        }
    }
}
