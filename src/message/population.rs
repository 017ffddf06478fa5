//! Whether the values of a place are drawn at random: judged by all of them, not one by one.
//!
//! Eight hexadecimal digits may by chance be a number, and a token may lack digits; what a hundred
//! of them have in common leaves no doubt. Each value adds how unlikely it is as text, where kinds
//! of character seldom change and letters are those of words. Evidence is a few integers that can
//! be added up; two values are enough where they are long.

use super::kinds::hex_pairs_at_start;

/// Shortest value that may be drawn at random, in characters.
pub const SHORTEST: usize = 8;
/// Shortest value of which many may show that they are drawn.
const SHORTEST_OF_MANY: usize = 4;
/// Longest value that is looked at.
const LONGEST: usize = 1_024;
/// Least digits of a number that means nothing: amounts, counts and times are shorter.
const DIGITS: u16 = 17;
/// So many numbers show how their lengths are spread.
const MANY_NUMBERS: u32 = 20;
/// Bits that speak for chance, a character and in all, from which values count as drawn.
const BITS_EACH: f64 = 0.55;
const BITS_ALL: f64 = 14.0;
/// … where symbols divide the values into groups of letters and digits (`F7K2-9QXM`).
const GROUPS_BITS_EACH: f64 = 0.8;
const GROUPS_BITS_ALL: f64 = 28.0;
/// … and where groups of digits alone are among them, as in numbers of articles.
const NUMBERS_BITS_ALL: f64 = 80.0;
/// … and from which they are likelier drawn than words.
const LEANING_BITS: f64 = 0.8;
/// Bits, beside one a character, by which text explains one value better than chance does, from
/// which it is not drawn: of eleven characters one in half a million that was is taken for text.
const PLAIN_BITS: f64 = 8.0;

const DIGIT: u16 = 1;
/// `a` to `f`, and the other letters.
const LOWER_HEX: u16 = 2;
const LOWER: u16 = 4;
const UPPER_HEX: u16 = 8;
const UPPER: u16 = 16;
/// What base64 and base64url have beside letters and digits; signed cookies of CloudFront have `~`.
const STANDARD: u16 = 32;
const URL: u16 = 64;
const PADDING: u16 = 128;
const SYMBOLS: u16 = STANDARD | URL;
/// Signs that generated passwords have beside letters and digits. Code, addresses and URLs have
/// others as well.
const PASSWORD_SIGNS: &[u8] = b"!@#$%^&*()";
/// Shortest password with signs that is taken for one.
const SHORTEST_PASSWORD: usize = 12;
/// Where a form keeps how likely its letters follow each other in words, beside its classes.
const WORD_AT: u32 = 8;
const CLASSES: u16 = (1 << WORD_AT) - 1;
/// What is kept where words are as likely as any letters, and the most.
const EVEN: u16 = 128;
const MOST: u16 = u16::MAX >> WORD_AT;

/// Bits by which a value must be likelier a word than drawn, to be one; words with other characters
/// between them can be more things.
const WORD_BITS: f64 = 12.0;
const WORDS_BITS: f64 = 16.0;
/// Bits that each further value of the same length speaks for chance, and all of them at most:
/// texts have any length.
const LENGTH_BITS: f64 = 2.0;
const LENGTH_BITS_ALL: f64 = 8.0;
/// Least characters of groups with letters, beside which groups of digits alone say nothing of how
/// a value came to be (`54CH40-8154`).
const LETTERED: usize = 5;
/// Where a form keeps how many characters such groups have, beside its length; and the most.
const NUMBERS_AT: u32 = 11;
const MOST_NUMBERS: usize = (u16::MAX >> NUMBERS_AT) as usize;
/// So many values show the form that all have.
const FORM_VALUES: u32 = 8;
/// So many values may by chance have their symbols at the same places, or be likely as text.
const FEW_VALUES: u32 = 4;

/// What one value says: its length, its alphabet, and how unlikely it is as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TextForm {
    /// Beside it, how many characters are in groups that count for nothing.
    length: u16,
    classes: u16,
    /// Eighths of a bit.
    cost: u16,
    /// Where symbols stand.
    skeleton: u16,
}

impl TextForm {
    /// The form of a value; none where it cannot be drawn at random: too short, or with characters
    /// that no such value has.
    pub fn of(text: &str) -> Option<Self> {
        if hex_pairs_at_start(text.as_bytes()) == Some(text.len()) {
            return Self::of(&text.replace(':', "-"));
        }
        let bytes = text.trim_end_matches('=').as_bytes();
        if !(SHORTEST..=LONGEST).contains(&bytes.len()) {
            return None;
        }
        let lettered = has_lettered_groups(bytes);
        let is_password = is_password(bytes);
        let mut form = Self { length: bytes.len() as u16, ..Self::default() };
        if text.len() > bytes.len() {
            form.classes = PADDING;
        }
        let (mut before, mut cost, mut numbers) = (0, 0_u32, 0_usize);
        let mut rest = bytes.iter().enumerate();
        while let Some((at, &byte)) = rest.next() {
            if lettered && let Some(digits) = group_of_digits(bytes, at) {
                numbers += digits;
                form.classes |= DIGIT;
                before = DIGIT;
                let _ = rest.nth(digits - 2);
                continue;
            }
            let sign = || is_password.then_some(URL);
            let class = class(byte).or_else(sign)?;
            if class & (STANDARD | URL) != 0 {
                form.skeleton = form.skeleton.wrapping_mul(31).wrapping_add(at as u16 + 1);
            }
            cost += surprise(before, class, byte);
            form.classes |= class;
            before = class;
        }
        form.classes |= word_code(bytes) << WORD_AT;
        form.cost = u16::try_from(cost).unwrap_or(u16::MAX);
        form.length |= (numbers.min(MOST_NUMBERS) as u16) << NUMBERS_AT;
        Some(form)
    }

    /// The form of a value that is too short for [`Self::of`], of letters and digits alone; none
    /// where it is a word for what is missing.
    pub fn of_short(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_short = (SHORTEST_OF_MANY..SHORTEST).contains(&bytes.len());
        if !is_short || !bytes.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        if bytes[0].is_ascii_alphabetic() && placeholder(bytes) == Some(bytes.len()) {
            return None;
        }
        let mut form = Self { length: bytes.len() as u16, ..Self::default() };
        let (mut before, mut cost) = (0, 0);
        for &byte in bytes {
            let class = class(byte)?;
            cost += surprise(before, class, byte);
            form.classes |= class;
            // Where digits are: a number of an article has them at the same places.
            form.skeleton = form.skeleton << 1 | u16::from(class == DIGIT);
            before = class;
        }
        form.classes |= word_code(bytes) << WORD_AT;
        form.cost = u16::try_from(cost).unwrap_or(u16::MAX);
        Some(form)
    }

    /// Whether it is one of [`Self::of_short`].
    pub const fn is_short(self) -> bool {
        (self.length() as usize) < SHORTEST
    }

    /// How many characters it has.
    const fn length(self) -> u16 {
        self.length & ((1 << NUMBERS_AT) - 1)
    }

    /// … and of these, how many say whether it was drawn.
    const fn counted(self) -> u16 {
        self.length().saturating_sub(self.length >> NUMBERS_AT)
    }

    /// Whether a text has the signs of a password, more than the escapes of a URL.
    pub fn is_of_password(text: &str) -> bool {
        let bytes = text.as_bytes();
        let is_more = |byte: &u8| *byte != b'%' && PASSWORD_SIGNS.contains(byte);
        is_password(bytes) && bytes.iter().any(is_more)
    }

    /// As one number, and back.
    pub const fn pack(self) -> u64 {
        self.length as u64
            | (self.classes as u64) << 16
            | (self.cost as u64) << 32
            | (self.skeleton as u64) << 48
    }

    /// The form that [`Self::pack`] wrote.
    pub const fn unpack(packed: u64) -> Self {
        Self {
            length: packed as u16,
            classes: (packed >> 16) as u16,
            cost: (packed >> 32) as u16,
            skeleton: (packed >> 48) as u16,
        }
    }

    /// Bits by which it is likelier words than if each character were one of 26 letters; none where
    /// it is far from that.
    fn word_bits(self) -> Option<f64> {
        let code = self.classes >> WORD_AT;
        (code > 1).then(|| (f64::from(code) - f64::from(EVEN)) / 2.0)
    }

    const fn is_letters(self) -> bool {
        self.classes & (DIGIT | SYMBOLS) == 0
    }

    /// Bits by which chance explains the value better than text does.
    fn evidence(self, alphabet: f64) -> f64 {
        f64::from(self.cost) / 8.0 - f64::from(self.counted()) * alphabet
    }
}

/// Whether groups with letters stand between symbols, enough of them to say how a value came to be.
fn has_lettered_groups(bytes: &[u8]) -> bool {
    let groups = || bytes.split(|byte| matches!(byte, b'-' | b'_'));
    let is_lettered = |group: &&[u8]| group.iter().any(u8::is_ascii_alphabetic);
    let lettered = || groups().filter(is_lettered).map(<[u8]>::len).sum::<usize>();
    groups().nth(1).is_some() && lettered() >= LETTERED
}

/// Whether a value may be a password that was generated: letters and digits, and some of the signs
/// that such have. [`TextForm`] counts these as symbols.
fn is_password(bytes: &[u8]) -> bool {
    let is_sign = |byte: &u8| PASSWORD_SIGNS.contains(byte);
    let signs = bytes.iter().filter(|byte| is_sign(byte)).count();
    (1..=bytes.len() / 2).contains(&signs)
        && bytes.len() >= SHORTEST_PASSWORD
        && bytes.iter().all(|byte| is_sign(byte) || *byte != b'/' && class(*byte).is_some())
        && bytes.iter().any(u8::is_ascii_alphabetic)
}

/// How long the group of at least two digits is that stands here between symbols.
fn group_of_digits(bytes: &[u8], at: usize) -> Option<usize> {
    let is_symbol = |byte: &u8| matches!(byte, b'-' | b'_');
    let begins = at == 0 || is_symbol(&bytes[at - 1]);
    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let ends = bytes.get(at + digits).is_none_or(is_symbol);
    (begins && ends && digits > 1).then_some(digits)
}

const fn class(byte: u8) -> Option<u16> {
    Some(match byte {
        b'0'..=b'9' => DIGIT,
        b'a'..=b'f' => LOWER_HEX,
        b'g'..=b'z' => LOWER,
        b'A'..=b'F' => UPPER_HEX,
        b'G'..=b'Z' => UPPER,
        b'+' | b'/' => STANDARD,
        b'-' | b'_' | b'~' => URL,
        _ => return None,
    })
}

/// How unlikely a character is behind another in text, in eighths of a bit.
const fn surprise(before: u16, class: u16, byte: u8) -> u32 {
    /// Of the letters in English, in eighths of a bit.
    const LETTERS: [u8; 26] = [
        29, 49, 42, 36, 24, 44, 45, 32, 31, 75, 56, 37, 43, 31, 30, 46, 80, 33, 32, 28, 42, 54, 43,
        75, 46, 83,
    ];
    let own = match byte {
        b'0'..=b'9' => 26,
        b'a'..=b'z' => LETTERS[(byte - b'a') as usize] as u32,
        b'A'..=b'Z' => LETTERS[(byte - b'A') as usize] as u32,
        _ => 8,
    };
    let (before, now) = (sort(before), sort(class));
    own + match (before, now) {
        (0, _) => 12,
        // Words begin with capitals.
        (2, 1) => 6,
        _ if before == now => 1,
        _ => 32,
    }
}

/// How a form keeps by how many half bits a value is likelier a word than letters drawn by chance:
/// none of it where it has characters that words have not.
fn word_code(bytes: &[u8]) -> u16 {
    /// Half bits by which a pair of letters is less likely than any in uniform text.
    const UNIFORM: i32 = 9;
    let rest = &bytes[1..];
    let letters = bytes[0].is_ascii_alphabetic()
        && (rest.iter().all(u8::is_ascii_lowercase) || rest.iter().all(u8::is_ascii_uppercase));
    let half_bits = if letters {
        let pair = |pair: &[u8]| UNIFORM - i32::from(pair_cost(pair[0], pair[1]));
        bytes.windows(2).map(pair).sum()
    } else {
        match words_cost(bytes) {
            Some(cost) => (LETTER * bytes.len() as i32 - cost) / 32,
            None => return 0,
        }
    };
    (i32::from(EVEN) + half_bits).clamp(1, i32::from(MOST)) as u16
}

/// How unlikely a letter is behind another one in words, in half bits.
fn pair_cost(first: u8, second: u8) -> u8 {
    let [first, second] = [first, second].map(|byte| byte.to_ascii_lowercase() - b'a');
    PAIRS[usize::from(first)].as_bytes()[usize::from(second)] - b'a'
}

/// What one of 26 letters costs, in 64ths of a bit.
const LETTER: i32 = 301;

/// How unlikely a value is as words with digits, capitals and hyphens between them (`undefined1`,
/// `null0000`, `UserNotFound`), in 64ths of a bit. The costs of what may follow are those of
/// probabilities that add up to one, so that few values that were drawn look like words.
fn words_cost(bytes: &[u8]) -> Option<i32> {
    const DIGIT: i32 = 213;
    const SAME_DIGIT: i32 = 64;
    const OTHER_DIGIT: i32 = 267;
    const ONE_OF_TWO: i32 = 64;
    /// Lower case, upper case, digit, hyphen: at the start, and behind each of them. A capital that
    /// begins a word stands last.
    const FOLLOWS: [[i32; 4]; 6] = [
        [64, 128, 136, 361],
        [12, 320, 256, 320],
        [320, 12, 256, 320],
        [219, 219, 27, 256],
        [91, 91, 128, 384],
        [74, 74, 256, 303],
    ];
    let (mut state, mut cost, mut before) = (0, 0, 0);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let sort = match byte {
            b'a'..=b'z' => 0,
            b'A'..=b'Z' => 1,
            b'0'..=b'9' => 2,
            b'-' | b'_' => 3,
            _ => return None,
        };
        cost += FOLLOWS[state][sort];
        let begins = !matches!((state, sort), (1 | 5, 0) | (2 | 5, 1));
        cost += match sort {
            2 if state != 3 => DIGIT,
            2 if byte == before => SAME_DIGIT,
            2 => OTHER_DIGIT,
            3 => ONE_OF_TWO,
            _ if begins => match placeholder(&bytes[at..]) {
                Some(length) => {
                    at += length - 1;
                    PLACEHOLDER
                }
                None => LETTER,
            },
            _ => i32::from(pair_cost(before, byte)) * 32,
        };
        before = bytes[at];
        state = match sort {
            // A capital alone, which may begin a word of small letters.
            1 if begins && before == byte => 5,
            1 if before.is_ascii_lowercase() => 1,
            _ => sort + 1,
        };
        at += 1;
    }
    Some(cost)
}

/// Words that programs write where a value is missing or is none, by their first letter.
const PLACEHOLDERS: [&[&str]; 26] = [
    &["anonymous", "absent", "abcdef", "admin"],
    &["blank", "broken"],
    &["changeme", "corrupt"],
    &["default", "deleted", "disabled", "dummy", "denied", "debug"],
    &["empty", "error", "example", "exception", "expired"],
    &["false", "failed", "failure", "fallback", "foobar", "fixme"],
    &["guest"],
    &["hidden"],
    &["invalid", "internal"],
    &[],
    &[],
    &[],
    &["missing", "masked"],
    &["null", "none", "notfound", "notset"],
    &["object", "omitted"],
    &["placeholder", "pending", "private"],
    &[],
    &["redacted", "removed", "replaceme"],
    &["sample", "session", "secret", "string"],
    &["test", "true", "temp", "timeout", "token", "todo"],
    &["undefined", "unknown", "unset", "unavailable", "user", "unauthorized"],
    &["value"],
    &[],
    &["xxxx"],
    &[],
    &["zero"],
];
/// What one of them costs, in 64ths of a bit.
const PLACEHOLDER: i32 = 448;

/// The length of such a word at the start of a text, in one case or with a capital first.
fn placeholder(text: &[u8]) -> Option<usize> {
    let first = text[0].to_ascii_lowercase();
    let words = PLACEHOLDERS[usize::from(first - b'a')];
    let word = words.iter().find(|word| {
        text.get(..word.len()).is_some_and(|part| {
            let one_case = part[1..].iter().all(u8::is_ascii_lowercase)
                || part.iter().all(u8::is_ascii_uppercase);
            one_case && part.eq_ignore_ascii_case(word.as_bytes())
        })
    })?;
    Some(word.len())
}

/// How unlikely each letter is behind each other one in English, in half bits: `a` is none.
const PAIRS: [&str; 26] = [
    "qjijqokqjrmgigsksgiflmppnq",
    "gnknhomphlpfmphnqiilgopnlo",
    "hrlpgqrgjrijnqforjmgkpsnoq",
    "hnnkdonpfpqknoiopkjnjnoqmq",
    "joigklmqnrpjkgolofgjqmokns",
    "iqnmhhnpfpninogmpikjhppplq",
    "inmoenkihppiliinphimioopnn",
    "fopnepppgpommmgopjmikqoqmq",
    "kjikjlksqroijehmrlihrksosl",
    "glklgmmlilklllgklljkhllmmm",
    "hnmlemllgnmkmjimnlhkknmnmn",
    "gpokfnpqfsphpphnrqkjkoqqir",
    "fkonepqqgppljohgspkokppqpr",
    "iqihhlfqirmnpmjorpgflmpsnq",
    "nmjjomlqmpmjiekjtfjjikkppr",
    "gpnnfopkjrnhpqhjqfkijqpqlr",
    "kklkklnmlllllllkkllkdkllkk",
    "golleolrgsmmklhntkiilnqskr",
    "kqjqfoqjgrnknojjppheiqprlq",
    "hqmoeorifsrmnpinsgikkqoqkq",
    "kjjljklqjqohifnjqghgppqoqo",
    "golncooogonnmnjnonmmononno",
    "folmgnmhfonlljhnnijmnmmnmn",
    "inimhmnminnnjmmgnlhgmmnhlm",
    "jlllkmlmjmnjjijfmjhilllnll",
    "hmnnemllhmmkkjkmlmkhklmmkj",
];

/// Lower case, upper case, digit or symbol.
const fn sort(class: u16) -> u8 {
    match class {
        0 => 0,
        LOWER_HEX | LOWER => 1,
        UPPER_HEX | UPPER => 2,
        DIGIT => 3,
        _ => 4,
    }
}

/// The values of a place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Population {
    samples: u32,
    characters: u64,
    /// Eighths of a bit.
    cost: u64,
    symbols: u32,
    classes: u16,
    shortest: u16,
    longest: u16,
    skeleton: u16,
    /// Whether symbols stand elsewhere in other values.
    loose: bool,
    /// Whether there were values that cannot be drawn at random.
    other: bool,
}

impl Population {
    /// Adds a value by its form.
    pub fn add(&mut self, form: Option<TextForm>) {
        let Some(form) = form else {
            self.other = true;
            return;
        };
        self.merge(&Self {
            samples: 1,
            characters: form.counted().into(),
            cost: form.cost.into(),
            symbols: u32::from(form.classes & SYMBOLS != 0),
            classes: form.classes & CLASSES,
            shortest: form.length(),
            longest: form.length(),
            skeleton: form.skeleton,
            loose: false,
            other: false,
        });
    }

    /// Adds the values of another part of the same place.
    pub fn merge(&mut self, other: &Self) {
        self.other |= other.other;
        if other.samples == 0 {
            return;
        }
        if self.samples == 0 {
            *self = Self { other: self.other, ..other.clone() };
            return;
        }
        self.samples = self.samples.saturating_add(other.samples);
        self.characters += other.characters;
        self.cost += other.cost;
        self.symbols = self.symbols.saturating_add(other.symbols);
        self.classes |= other.classes;
        self.shortest = self.shortest.min(other.shortest);
        self.longest = self.longest.max(other.longest);
        self.loose |= other.loose || self.skeleton != other.skeleton;
    }

    /// Whether the values look drawn at random. `others` are those of the other version, which
    /// count as far as they fit.
    pub fn is_drawn(&self, others: &Self) -> bool {
        if self.samples < 2 || self.other {
            return false;
        }
        if self.classes & !PADDING == DIGIT {
            // One in ten of the numbers below a bound is a digit shorter, one in a hundred two.
            let enough = self.characters >= u64::from(DIGITS) * u64::from(self.samples);
            let shorter = if self.samples < MANY_NUMBERS { 1 } else { 4 };
            return enough && self.shortest + shorter >= self.longest.max(DIGITS);
        }
        // Digits with symbols between them are dates, versions, numbers of telephones.
        if self.classes & (LOWER_HEX | LOWER | UPPER_HEX | UPPER) == 0 {
            return false;
        }
        let fits = others.samples > 0
            && !others.other
            && others.classes & !self.open() == 0
            && others.longest <= self.longest + 1
            && others.shortest + 1 >= self.shortest;
        let few = self.samples <= FEW_VALUES;
        // Symbols that always stand at the same places divide it: its parts are judged, or all of
        // them together where letters and digits are mixed.
        let loose = self.loose || few && fits && (others.loose || others.skeleton != self.skeleton);
        let in_groups = self.classes & SYMBOLS != 0 && !loose;
        let mixed = self.classes & DIGIT != 0
            && self.classes & (LOWER_HEX | LOWER | UPPER_HEX | UPPER) != 0;
        if in_groups && !mixed {
            return false;
        }
        let has_numbers = self.characters < u64::from(self.samples) * u64::from(self.shortest);
        let (enough, each) = match (in_groups, has_numbers) {
            (true, true) => (NUMBERS_BITS_ALL, GROUPS_BITS_EACH),
            (true, false) => (GROUPS_BITS_ALL, GROUPS_BITS_EACH),
            (false, _) => (BITS_ALL, BITS_EACH),
        };
        let mut all = (self.cost, self.characters, self.samples);
        let mut same_length = self.shortest == self.longest;
        if fits {
            all = (
                all.0 + others.cost,
                all.1 + others.characters,
                all.2.saturating_add(others.samples),
            );
            same_length &= others.shortest == self.shortest && others.longest == self.longest;
        }
        let further = LENGTH_BITS * f64::from(all.2 - 1);
        let length = if same_length { further.min(LENGTH_BITS_ALL) } else { 0.0 };
        let bits =
            |cost: u64, characters: u64| cost as f64 / 8.0 - characters as f64 * self.alphabet();
        let least = if few { 0.0 } else { 0.2 * self.characters as f64 };
        bits(self.cost, self.characters) + length / 2.0 > least
            && bits(all.0, all.1) + length >= enough.max(each * all.1 as f64)
    }

    /// One value of a place that has no other, and one of `others`, as two that were drawn: names
    /// of builds change with the version alone.
    pub fn of_two(&self, others: &Self) -> Self {
        let one = |of: &Self| Self {
            samples: of.samples.min(1),
            characters: of.characters / u64::from(of.samples.max(1)),
            cost: of.cost / u64::from(of.samples.max(1)),
            symbols: of.symbols.min(1),
            ..of.clone()
        };
        let mut both = one(self);
        both.merge(&one(others));
        // A hash has one length; with a slash it may be a path.
        both.other |= both.shortest != both.longest || both.classes & STANDARD != 0;
        both
    }

    /// Whether many short values look drawn at random, those of `others` as these: of one length and
    /// one alphabet of letters and digits, which stand in no order.
    pub fn is_drawn_of_many(&self, others: &Self) -> bool {
        const MANY: u32 = 8;
        let is_one = |of: &Self| {
            let mixed = of.classes & DIGIT != 0
                && of.classes & (LOWER_HEX | LOWER | UPPER_HEX | UPPER) != 0;
            of.samples >= MANY && !of.other && of.loose && of.shortest == of.longest && mixed
        };
        let bits = |of: &Self| {
            let bits = of.cost as f64 / 8.0 - of.characters as f64 * self.alphabet();
            bits >= GROUPS_BITS_ALL.max(BITS_EACH * of.characters as f64)
        };
        let fits = |one: &Self, other: &Self| other.classes & !one.open() & CLASSES == 0;
        is_one(self)
            && is_one(others)
            && self.shortest == others.shortest
            && fits(self, others)
            && fits(others, self)
            && bits(self)
            && bits(others)
    }

    /// Whether chance explains the values better than text does, as far as a few of them can say;
    /// names have no digits inside.
    pub fn leans_drawn(&self) -> bool {
        let bits = self.cost as f64 / 8.0 - self.characters as f64 * self.alphabet();
        !self.other && self.classes & DIGIT != 0 && bits > LEANING_BITS * self.characters as f64
    }

    /// Whether another value may have been drawn in the same way.
    pub fn admits(&self, form: Option<TextForm>) -> bool {
        self.takes(form, u16::from(self.longest > self.shortest))
    }

    /// … where these are known to vary, but not how: a leading zero may be left out.
    pub fn resembles(&self, form: Option<TextForm>) -> bool {
        self.takes(form, 1 + self.longest - self.shortest)
    }

    fn takes(&self, form: Option<TextForm>, slack: u16) -> bool {
        let Some(form) = form else { return false };
        let length = self.shortest.saturating_sub(slack)..=self.longest.saturating_add(slack);
        // Words are no such value, nor is a number. That only letters were drawn is the less
        // likely the more else there is.
        let letters = f64::from(form.counted()) * (self.alphabet() - f64::from(26).log2());
        let enough = if form.is_letters() { WORD_BITS } else { WORDS_BITS };
        let plain = form.word_bits().is_some_and(|bits| bits + letters > enough)
            || !form.is_letters()
                && form.evidence(self.alphabet()) < -PLAIN_BITS - f64::from(form.counted());
        length.contains(&form.length()) && form.classes & CLASSES & !self.open() == 0 && !plain
    }

    /// The classes of characters that further values may have: few values do not show all.
    fn open(&self) -> u16 {
        let mut classes = self.classes;
        for (rest, hex) in [(LOWER, LOWER_HEX), (UPPER, UPPER_HEX)] {
            if classes & rest != 0 {
                classes |= hex;
            }
        }
        let both = |a: u16, b: u16| classes & a != 0 && classes & b != 0;
        let mixed = both(LOWER, UPPER) && classes & DIGIT != 0 || both(LOWER, UPPER) && self.few();
        if mixed && self.few() {
            // Of base64 every 32nd character is a symbol.
            classes |= DIGIT | if classes & STANDARD != 0 { STANDARD } else { URL };
            if classes & URL != 0 && self.symbols == 0 {
                classes |= STANDARD;
            }
        }
        if mixed {
            classes |= PADDING;
        }
        if classes & (LOWER | UPPER) != 0 && self.characters < 48 {
            classes |= DIGIT;
        }
        if classes == LOWER_HEX || classes == UPPER_HEX {
            classes |= DIGIT;
        }
        classes
    }

    /// Whether the values alone look drawn at random, and are enough to know their form.
    pub fn has_form(&self) -> bool {
        self.samples > FEW_VALUES && self.is_drawn(&Self::default())
    }

    /// Whether the others have one length, and these another one.
    pub const fn has_other_length(&self, others: &Self) -> bool {
        let constant = self.shortest == self.longest && others.shortest == others.longest;
        constant && others.samples >= FEW_VALUES && self.longest != others.longest
    }

    /// What others always have, and these never, though they are drawn from one alphabet: the other
    /// case, or the other way to end base64.
    pub fn differs_in_form(&self, others: &Self) -> Option<&'static str> {
        if self.other || others.other || self.samples.min(others.samples) < FORM_VALUES {
            return None;
        }
        let (small, capital) = (LOWER_HEX | LOWER, UPPER_HEX | UPPER);
        let only =
            |of: &Self, one: u16, other: u16| of.classes & one != 0 && of.classes & other == 0;
        if only(self, small, capital) && only(others, capital, small)
            || only(self, capital, small) && only(others, small, capital)
        {
            return Some("the other case");
        }
        let is_even = |of: &Self| of.shortest == of.longest;
        let padding = |of: &Self| of.classes & PADDING != 0;
        if is_even(self) && is_even(others) && self.longest == others.longest {
            match (padding(self), padding(others)) {
                (true, false) => return Some("no padding"),
                (false, true) => return Some("padding"),
                _ => {}
            }
        }
        None
    }

    /// Whether there are too few characters to have seen all of an alphabet.
    const fn few(&self) -> bool {
        self.characters < 400
    }

    /// Bits of a character that is drawn from the alphabet.
    fn alphabet(&self) -> f64 {
        let sizes = [(DIGIT, 10), (STANDARD, 2), (URL, 2)];
        let mut size: u32 =
            sizes.iter().filter(|(class, _)| self.classes & class != 0).map(|(_, size)| size).sum();
        for (rest, hex) in [(LOWER, LOWER_HEX), (UPPER, UPPER_HEX)] {
            size += match (self.classes & rest != 0, self.classes & hex != 0) {
                (true, _) => 26,
                (false, true) => 6,
                (false, false) => 0,
            };
        }
        f64::from(size.max(2)).log2()
    }
}

#[cfg(test)]
mod tests;
