//! Card numbers in text.

use super::values::is_word;

const FEWEST: usize = 14;
const MOST: usize = 19;

/// Where the card number ends that begins at `start`, the first digit of a run behind the byte
/// `before`. Groups may stand apart by one space or dash.
///
/// Order ids are numbers too, so more than a check digit is asked for, which one in ten has by
/// chance: an issuer's prefix with a length that this issuer has. Thirteen digits, long out of
/// use, are timestamps in milliseconds and are left alone.
pub(super) fn end(bytes: &[u8], start: usize, before: u8) -> Option<usize> {
    // A decimal fraction, a part of a word, a telephone number.
    if is_word(before) || matches!(before, b'.' | b'+') {
        return None;
    }
    let mut digits = [0; MOST];
    let (mut len, mut at, mut found) = (0, start, None);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'0'..=b'9' if len < MOST => {
                digits[len] = byte - b'0';
                len += 1;
            }
            b' ' | b'-' if bytes.get(at).is_some_and(u8::is_ascii_digit) => continue,
            _ => break,
        }
        if is_end(bytes, at) && is_card(&digits[..len]) {
            found = Some(at);
        }
    }
    found
}

fn is_end(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at) {
        Some(b'.') => !bytes.get(at + 1).is_some_and(u8::is_ascii_digit),
        Some(byte) => !is_word(*byte),
        None => true,
    }
}

fn is_card(digits: &[u8]) -> bool {
    if !(FEWEST..=MOST).contains(&digits.len()) {
        return false;
    }
    let prefix = digits[..4]
        .iter()
        .fold(0_u16, |sum, digit| sum * 10 + u16::from(*digit));
    let is_issued = match (prefix, digits.len()) {
        (3000..=3059 | 3095 | 3600..=3699 | 3800..=3999, 14..=19) => true, // Diners Club
        (3400..=3499 | 3700..=3799, 15) => true,                           // American Express
        (3528..=3589, 16..=19) => true,                                    // JCB
        (4000..=4999, 16 | 18 | 19) => true,                               // Visa
        (5100..=5599 | 2221..=2720, 16) => true,                           // Mastercard
        (5000..=5099 | 5600..=5899 | 6000..=6999, 16..=19) => true, // Maestro, Discover, UnionPay
        _ => false,
    };
    is_issued && passes_luhn(digits)
}

fn passes_luhn(digits: &[u8]) -> bool {
    let weigh = |(index, digit): (usize, &u8)| match (index % 2, digit * 2) {
        (0, _) => *digit,
        (_, doubled) if doubled > 9 => doubled - 9,
        (_, doubled) => doubled,
    };
    let sum = digits.iter().rev().enumerate().map(weigh).sum::<u8>();
    sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cards_are_found_however_they_are_grouped() {
        for number in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "6200000000000005",
        ] {
            assert_eq!(
                end(number.as_bytes(), 0, b' '),
                Some(number.len()),
                "{number}"
            );
            assert_eq!(
                end(format!("{number}.").as_bytes(), 0, b' '),
                Some(number.len())
            );
        }
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for number in [
            "4111111111111112",     // the check digit is wrong
            "4222222222222",        // thirteen digits
            "1790812345678",        // milliseconds
            "1790812345678901234",  // nanoseconds
            "9999999999999995",     // no issuer
            "41111111111111111111", // twenty digits
            "4111111111111111a",
            "4111111111111111.5",
            "2024-05-01 12:00",
        ] {
            assert_eq!(end(number.as_bytes(), 0, b' '), None, "{number}");
        }
        for before in *b"a_.+" {
            assert_eq!(end(b"4111111111111111", 0, before), None);
        }
    }
}
