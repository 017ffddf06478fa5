//! The Huffman code of HPACK (RFC 7541 §5.2, appendix B).
//!
//! The code is canonical: within a length, codes follow the order of their symbols, and longer
//! codes follow shorter ones. So the lengths alone say everything, and both tables are made of them
//! when the program is compiled.

/// How many bits the code of each octet has; the last is the end of the string (EOS).
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// Octets and the end of the string.
const SYMBOLS: usize = 257;
/// The end of the string, which never stands in one.
const EOS: u16 = 256;
/// The longest code.
const LONGEST: usize = 30;
/// How many bits are looked up at once: most letters and digits have no more.
const QUICK: u32 = 8;

/// All that is derived from the lengths.
struct Tables {
    codes: [u32; SYMBOLS],
    /// Symbols by length, then by value: the order of their codes.
    order: [u16; SYMBOLS],
    /// By length: the first code, and its place in `order`.
    first: [u32; LONGEST + 1],
    place: [u16; LONGEST + 1],
    count: [u16; LONGEST + 1],
    /// By the next bits: the symbol and its length; length 0 where the code is longer.
    quick: [(u8, u8); 1 << QUICK],
}

static TABLES: Tables = tables();

const fn tables() -> Tables {
    let mut made = Tables {
        codes: [0; SYMBOLS],
        order: [0; SYMBOLS],
        first: [0; LONGEST + 1],
        place: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        quick: [(0, 0); 1 << QUICK],
    };
    let (mut code, mut place, mut length) = (0u32, 0usize, 1usize);
    while length <= LONGEST {
        code <<= 1;
        (made.first[length], made.place[length]) = (code, place as u16);
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                (made.codes[symbol], made.order[place]) = (code, symbol as u16);
                (code, place) = (code + 1, place + 1);
                made.count[length] += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    let mut symbol = 0;
    while symbol < EOS as usize {
        let length = LENGTHS[symbol] as u32;
        if length <= QUICK {
            let mut low = 0;
            while low < 1 << (QUICK - length) {
                let bits = (made.codes[symbol] << (QUICK - length)) | low;
                made.quick[bits as usize] = (symbol as u8, length as u8);
                low += 1;
            }
        }
        symbol += 1;
    }
    made
}

/// The string is no Huffman code: it holds the end of the string, or its padding is longer than
/// seven bits or not of ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCode;

/// Bits that were taken from a string and not used yet, the next one highest.
struct Bits<'a> {
    rest: std::slice::Iter<'a, u8>,
    bits: u64,
    held: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.held <= 56 {
            let Some(byte) = self.rest.next() else { return };
            self.bits |= u64::from(*byte) << (56 - self.held);
            self.held += 8;
        }
    }

    const fn drop(&mut self, bits: u32) {
        self.bits <<= bits;
        self.held -= bits;
    }
}

/// Appends what `coded` says.
pub fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), BadCode> {
    let mut bits = Bits { rest: coded.iter(), bits: 0, held: 0 };
    loop {
        bits.fill();
        let (symbol, length) = TABLES.quick[(bits.bits >> (64 - QUICK)) as usize];
        if length > 0 && u32::from(length) <= bits.held {
            out.push(symbol);
            bits.drop(u32::from(length));
            continue;
        }
        match long(&bits) {
            Some((symbol, length)) => {
                out.push(symbol);
                bits.drop(length);
            }
            None => return padding(&bits),
        }
    }
}

/// A symbol whose code is not in the quick table.
fn long(bits: &Bits<'_>) -> Option<(u8, u32)> {
    for length in QUICK + 1..=(LONGEST as u32).min(bits.held) {
        let at = length as usize;
        let beyond = ((bits.bits >> (64 - length)) as u32).wrapping_sub(TABLES.first[at]);
        if beyond < u32::from(TABLES.count[at]) {
            let symbol = TABLES.order[usize::from(TABLES.place[at]) + beyond as usize];
            return u8::try_from(symbol).ok().map(|symbol| (symbol, length));
        }
    }
    None
}

/// What is left at the end must be fewer than eight ones (RFC 7541 §5.2).
fn padding(bits: &Bits<'_>) -> Result<(), BadCode> {
    let ones = |held| bits.bits >> (64 - held) == (1u64 << held) - 1;
    match bits.held {
        0 => Ok(()),
        held @ 1..8 if ones(held) => Ok(()),
        _ => Err(BadCode),
    }
}

/// How many octets `text` takes when it is coded.
pub fn coded_len(text: &[u8]) -> usize {
    text.iter().map(|&octet| usize::from(LENGTHS[usize::from(octet)])).sum::<usize>().div_ceil(8)
}

/// Appends the code of `text`.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0u64, 0u32);
    for &octet in text {
        let length = u32::from(LENGTHS[usize::from(octet)]);
        bits = (bits << length) | u64::from(TABLES.codes[usize::from(octet)]);
        held += length;
        while held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    if held > 0 {
        out.push(((bits << (8 - held)) as u8) | (0xff >> held));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, BadCode> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    /// The examples of RFC 7541, appendix C.
    #[test]
    fn the_examples_of_the_standard() {
        for (text, coded) in [
            (&b"www.example.com"[..], &b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..]),
            (b"no-cache", b"\xa8\xeb\x10\x64\x9c\xbf"),
            (b"custom-value", b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"),
            (b"302", b"\x64\x02"),
            (b"private", b"\xae\xc3\x77\x1a\x4b"),
            (b"", b""),
        ] {
            let mut out = Vec::new();
            encode(text, &mut out);
            assert_eq!(out, coded);
            assert_eq!(out.len(), coded_len(text));
            assert_eq!(decoded(coded).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for coded in [
            &b"\xff"[..],
            b"\xff\xff\xff\xff",
            b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\xff",
            b"\x00\x00\x00\x3f\xff\xff\xff\xff",
            b"\x00",
        ] {
            assert_eq!(decoded(coded), Err(BadCode), "{coded:x?}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut coded = Vec::new();
            encode(&text, &mut coded);
            prop_assert_eq!(coded.len(), coded_len(&text));
            prop_assert_eq!(decoded(&coded), Ok(text));
        }

        /// What is decoded at all has no other code.
        #[test]
        fn no_text_has_two_codes(coded in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(text) = decoded(&coded) {
                let mut again = Vec::new();
                encode(&text, &mut again);
                prop_assert_eq!(again, coded);
            }
        }
    }
}
