//! What a terminal, a reader or a parser would take for more than text is spelled out.

/// Whether the character acts instead of being shown: controls of C0 and C1, DEL, the separators
/// of lines, and marks that turn the direction of writing.
fn acts(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// The bytes that such a character may begin with, and those that end a JSON string or escape.
const SUSPECTS: [bool; 256] = {
    let mut suspects = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        suspects[control] = true;
        control += 1;
    }
    let others = [b'"', b'\\', 0x7f, 0xc2, 0xd8, 0xe2];
    let mut next = 0;
    while next < others.len() {
        suspects[others[next] as usize] = true;
        next += 1;
    }
    suspects
};

/// Appends the text as the inside of a JSON string.
pub(super) fn json(text: &str, out: &mut Vec<u8>) {
    escape(text, out, |c, out| match c {
        '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        c if acts(c) => unicode(c, out),
        c => plain(c, out),
    });
}

/// Appends the text to a line that people read.
pub(super) fn line(text: &str, out: &mut Vec<u8>) {
    escape(text, out, |c, out| match c {
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        c if acts(c) => unicode(c, out),
        c => plain(c, out),
    });
}

/// Copies what is surely plain in one go.
#[inline]
fn escape(text: &str, out: &mut Vec<u8>, each: impl Fn(char, &mut Vec<u8>)) {
    let mut rest = text;
    let is_suspect = |byte: &u8| SUSPECTS[usize::from(*byte)];
    while let Some(at) = rest.as_bytes().iter().position(is_suspect) {
        // A suspect is never the middle of a character.
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let mut characters = from.chars();
        if let Some(c) = characters.next() {
            each(c, out);
        }
        rest = characters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

fn plain(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// All that act stand in the first plane: four digits are enough.
fn unicode(c: char, out: &mut Vec<u8>) {
    let code = u32::from(c);
    out.extend_from_slice(br"\u");
    for shift in [12, 8, 4, 0] {
        out.push(DIGITS[(code >> shift & 0xf) as usize]);
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().flat_map(|byte| digits(*byte)));
}

/// A trace id in the memory of its caller.
pub(super) fn hex_of<'a>(bytes: &[u8; 16], memory: &'a mut [u8; 32]) -> &'a str {
    for (pair, byte) in memory.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&digits(*byte));
    }
    str::from_utf8(memory).unwrap_or_default()
}

fn digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0xf].map(|half| DIGITS[usize::from(half)])
}
