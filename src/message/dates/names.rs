//! What months, days of the week and halves of the day are called where dates are written for
//! people: the languages that most pages are in.

/// Months of one language each; what is shorter than a name may stand for it, with a dot or
/// without.
const MONTHS: [[&str; 12]; 8] = [
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
    [
        "januar",
        "februar",
        "märz",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "dezember",
    ],
    [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
    [
        "gennaio",
        "febbraio",
        "marzo",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "agosto",
        "settembre",
        "ottobre",
        "novembre",
        "dicembre",
    ],
    [
        "janeiro",
        "fevereiro",
        "março",
        "abril",
        "maio",
        "junho",
        "julho",
        "agosto",
        "setembro",
        "outubro",
        "novembro",
        "dezembro",
    ],
    [
        "januari",
        "februari",
        "maart",
        "april",
        "mei",
        "juni",
        "juli",
        "augustus",
        "september",
        "oktober",
        "november",
        "december",
    ],
    [
        "stycznia",
        "lutego",
        "marca",
        "kwietnia",
        "maja",
        "czerwca",
        "lipca",
        "sierpnia",
        "września",
        "października",
        "listopada",
        "grudnia",
    ],
];

/// Days of the week, English ones first.
const WEEKDAYS: [&str; 7 * 8] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "montag",
    "dienstag",
    "mittwoch",
    "donnerstag",
    "freitag",
    "samstag",
    "sonntag",
    "lundi",
    "mardi",
    "mercredi",
    "jeudi",
    "vendredi",
    "samedi",
    "dimanche",
    "lunes",
    "martes",
    "miércoles",
    "jueves",
    "viernes",
    "sábado",
    "domingo",
    "lunedì",
    "martedì",
    "mercoledì",
    "giovedì",
    "venerdì",
    "sabato",
    "domenica",
    "segunda-feira",
    "terça-feira",
    "quarta-feira",
    "quinta-feira",
    "sexta-feira",
    "sábado",
    "domingo",
    "maandag",
    "dinsdag",
    "woensdag",
    "donderdag",
    "vrijdag",
    "zaterdag",
    "zondag",
    "poniedziałek",
    "wtorek",
    "środa",
    "czwartek",
    "piątek",
    "sobota",
    "niedziela",
];
/// How many of them are English: these may be cut to three letters.
const ENGLISH: usize = 7;

/// The number of a month by its name or the start of it (`Sept`, `févr`).
pub(super) fn month(word: &str) -> Option<i64> {
    if word.len() < 3 {
        return None;
    }
    let of = |months: &[&str; 12]| months.iter().position(|month| begins(month, word));
    MONTHS.iter().find_map(of).map(|month| month as i64 + 1)
}

/// Whether a word is a day of the week.
pub(super) fn is_weekday(word: &str) -> bool {
    let (english, others) = WEEKDAYS.split_at(ENGLISH);
    word.len() >= 3
        && (english.iter().any(|day| begins(day, word))
            || others.iter().any(|day| day.eq_ignore_ascii_case(word)))
}

fn begins(name: &str, word: &str) -> bool {
    name.as_bytes()
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

/// Words between a date and a clock.
pub(super) const BETWEEN: [&str; 17] = [
    ", um ",
    " um ",
    ", ",
    " at ",
    " à ",
    " às ",
    " a las ",
    " alle ore ",
    " alle ",
    " om ",
    " kl. ",
    " o ",
    " - ",
    " ",
    "T",
    ":",
    ".",
];

/// Halves of the day that stand before their clock, and whether they are the afternoon.
pub(super) const HALVES: [(&str, bool); 6] = [
    ("오전", false),
    ("오후", true),
    ("午前", false),
    ("午後", true),
    ("上午", false),
    ("下午", true),
];
