//! Secrets in the path of a URL: the token of a link that resets a password, of an invitation, of
//! an incoming webhook, of a bot.
//!
//! A segment says that a secret follows; what follows is one only where it looks drawn at random.
//! Ordinary paths, dates, slugs and names of files stay.

use std::ops::Range;

use super::drawn;
use super::shape::SecretShape;

/// Segments behind which anything that looks drawn at random is a secret, a UUID too. Hyphens and
/// underscores in them do not count.
const LINKS: &[&str] = &[
    "accept",
    "accountrecovery",
    "acceptinvitation",
    "acceptinvite",
    "accountactivation",
    "activate",
    "activateaccount",
    "activation",
    "apikey",
    "changeemail",
    "changepassword",
    "claim",
    "confirm",
    "confirmaccount",
    "confirmation",
    "confirmations",
    "confirmemail",
    "createpassword",
    "emailchange",
    "emailconfirm",
    "emailconfirmation",
    "emailverification",
    "emailverify",
    "forgot",
    "forgotpassword",
    "hook",
    "impersonate",
    "invitation",
    "invitations",
    "invite",
    "invites",
    "join",
    "key",
    "login",
    "loginlink",
    "logintoken",
    "magic",
    "magiclink",
    "magiclogin",
    "magiclinks",
    "newpassword",
    "onetimelink",
    "onetimelogin",
    "optout",
    "otp",
    "password",
    "passwordrecovery",
    "pwreset",
    "passwordreset",
    "passwordresets",
    "recover",
    "recovery",
    "recoverpassword",
    "redeem",
    "registration",
    "reset",
    "resetpassword",
    "resetpasswordconfirm",
    "resettoken",
    "secret",
    "secrets",
    "session",
    "sessions",
    "setpassword",
    "signin",
    "signinlink",
    "sso",
    "ticket",
    "token",
    "tokens",
    "accesstoken",
    "unlock",
    "unsubscribe",
    "validate",
    "verification",
    "verify",
    "verifyaccount",
    "verifyemail",
    "verifyotp",
];

/// Segments behind which the secret is long, and ids stand before it.
const HOOKS: &[&str] = &[
    "catch",
    "download",
    "downloads",
    "feed",
    "feeds",
    "hooks",
    "incoming",
    "incomingwebhook",
    "onetime",
    "services",
    "share",
    "shared",
    "sharelink",
    "webhook",
    "webhookb2",
    "webhooks",
    "workflows",
    "capability",
];

/// Common words, directly behind which a secret may stand, as behind a single letter.
const WORDS: &[&str] = &[
    "access", "approve", "auth", "calendar", "callback", "deny", "dl", "embed", "exchange", "go",
    "guest", "pair", "paste", "preview", "public", "qr", "revoke",
];

/// Most segments behind the word in which the secret is looked for.
const REACH: usize = 4;
/// Longest segment that names a route.
const LONGEST_NAME: usize = 40;

/// What a segment says of those behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RouteKind {
    Link,
    Hook,
    Word,
}

impl RouteKind {
    fn of(name: &str) -> Option<Self> {
        let is_letter = || matches!(name.as_bytes(), [letter] if letter.is_ascii_alphabetic());
        if LINKS.contains(&name) {
            Some(Self::Link)
        } else if HOOKS.contains(&name) {
            Some(Self::Hook)
        } else {
            (is_letter() || WORDS.contains(&name)).then_some(Self::Word)
        }
    }

    /// In how many segments behind it the secret is looked for.
    const fn reach(self) -> usize {
        match self {
            Self::Link | Self::Hook => REACH,
            Self::Word => 1,
        }
    }

    /// Whether a segment behind it is a secret.
    fn announces(self, segment: &[u8]) -> bool {
        if is_uuid(segment) {
            return self == Self::Link;
        }
        let is_drawn = match self {
            Self::Link => drawn::behind_link,
            Self::Hook => drawn::behind_hook,
            Self::Word => drawn::behind_word,
        };
        // What holds paths of its own is none: their parts are looked at.
        let has_path = || memchr::memmem::find(segment, b"%2F").is_some();
        !has_extension(segment) && is_drawn(segment) && !has_path()
    }
}

const fn is_of_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_' | b'.' | b'~' | b':' | b'=' | b'+' | b'%' | b'@' | b'!' | b'$' | b'*'
        )
}

/// Adds the secrets that the segment around `hit` announces. Answers where it ends: what stands
/// behind it may announce more.
pub(super) fn find(text: &[u8], hit: usize, found: &mut Vec<(Range<usize>, SecretShape)>) -> usize {
    let hit = hit + usize::from(text[hit] == b'/');
    let before = text[..hit].iter().rev().take(LONGEST_NAME).take_while(|&&b| is_of_segment(b));
    let start = hit - before.count();
    let name = text[start..].iter().take(LONGEST_NAME + 1);
    let end = start + name.take_while(|&&byte| is_of_segment(byte)).count();
    if start == 0 || text[start - 1] != b'/' || end - start > LONGEST_NAME {
        return hit + 1;
    }
    let name: String = text[start..end]
        .iter()
        .filter(|byte| !matches!(byte, b'-' | b'_'))
        .map(|&byte| char::from(byte.to_ascii_lowercase()))
        .collect();
    let Some(kind) = RouteKind::of(&name) else { return end };
    let mut at = end;
    for _ in 0..kind.reach() {
        // Slashes are doubled where a base URL and a path were joined.
        let slashes = text[at..].iter().take(2).take_while(|&&byte| byte == b'/').count();
        let from = at + slashes;
        at = segment(text, from);
        crate::steps::add(at - from);
        if slashes == 0 || from == at {
            break;
        }
        if kind.announces(&text[from..at]) {
            found.push((from..at, SecretShape::Route));
        }
    }
    end
}

fn segment(text: &[u8], from: usize) -> usize {
    from + text[from..].iter().take_while(|&&byte| is_of_segment(byte)).count()
}

fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `report-2f3a91c0.pdf`
fn has_extension(segment: &[u8]) -> bool {
    memchr::memrchr(b'.', segment).is_some_and(|dot| {
        let extension = &segment[dot + 1..];
        (2..=5).contains(&extension.len())
            && extension[0].is_ascii_alphabetic()
            && extension.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::super::shapes;

    fn texts(text: &str) -> Vec<&str> {
        shapes::find(text.as_bytes(), false).into_iter().map(|(range, _)| &text[range]).collect()
    }

    #[test]
    fn what_a_segment_announces_is_taken() {
        for (path, secret) in [
            ("/services/T02AB34CD/B0452EFGH/aB3dE5fG7hI9jK1lM3nO5pQ7", "aB3dE5fG7hI9jK1lM3nO5pQ7"),
            (
                "/api/webhooks/1122334455667788990/x7Kq-Zr0pW3sT9uVbN1mLcE5hJ8dGf2YaQ4RiXo6BwS",
                "x7Kq-Zr0pW3sT9uVbN1mLcE5hJ8dGf2YaQ4RiXo6BwS",
            ),
            (
                "/reset-password/9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c",
                "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c",
            ),
            ("/auth/reset/MQ/c5x4fa-1a2b3c4d5e6f7a8b9c0d/", "c5x4fa-1a2b3c4d5e6f7a8b9c0d"),
            ("/v1/email/verify/42/3f2a91c03f2a91c0?x=1", "3f2a91c03f2a91c0"),
            ("/invite/aB3xK9", "aB3xK9"),
            ("/pw-reset/aB3xK9", "aB3xK9"),
            ("/account-recovery/aB3xK9", "aB3xK9"),
            ("/impersonate/aB3xK9", "aB3xK9"),
            ("/t/aB3dE5fG7hI9jK1lM3nO5pQ7", "aB3dE5fG7hI9jK1lM3nO5pQ7"),
            ("see https://x.example/s/Zq7hT2mXw9Lk4RvB1nYs now", "Zq7hT2mXw9Lk4RvB1nYs"),
            ("/feeds/9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c/", "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c"),
            (
                "https://shop.example/magic_link/6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
                "6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
            ),
            (
                "go to https://shop.example/users/confirmation/zQxVbNmKjHgFdSaP now",
                "zQxVbNmKjHgFdSaP",
            ),
            (
                "/open-apis/bot/v2/hook/6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
                "6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
            ),
            (
                "/auth/reset-password/6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
                "6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
            ),
            ("/public/invite/aB3xK9", "aB3xK9"),
            ("/u/verify/aB3xK9", "aB3xK9"),
            ("/share/verify/aB3xK9", "aB3xK9"),
            ("/s/share/k3j9x2m4p7q1z8w5v6n0", "k3j9x2m4p7q1z8w5v6n0"),
            ("/s/u/aB3dE5fG7hI9jK1lM3nO5pQ7", "aB3dE5fG7hI9jK1lM3nO5pQ7"),
            ("/trigger/door/with/key/c9ZxYvU8tSrQpOnM7lK6jI", "c9ZxYvU8tSrQpOnM7lK6jI"),
        ] {
            assert_eq!(texts(path), [secret], "{path}");
        }
    }

    #[test]
    fn paths_of_nothing_but_announcements_take_no_more_than_n_log_n() {
        for unit in ["/s", "/auth", "/token", "/share/token/x"] {
            crate::steps::hold_to_n_log_n(1_000, |n| drop(texts(&unit.repeat(n))));
        }
    }

    #[test]
    fn ordinary_paths_stay() {
        for path in [
            "/orders/4711/items/2026-09-21",
            "/assets/app-3f2a91c0.js",
            "/articles/how-to-bake-a-very-long-cake-title",
            "/users/6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
            "/reset-password/done",
            "/verify/4711",
            "/confirm/order123",
            "/webhooks/6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11/deliveries",
            "/invite/friends",
            "/services/web-hosting/plans",
            "/download/shadowtap-0.1.0-x86_64-unknown-linux.tar.gz",
            "/static/3f2a91c03f2a91c03f2a91c03f2a91c0.css",
            "/login/oauth/authorize",
            "/password/reset",
            "/tokens/2026-11-28",
            "/share/photos/of-our-summer-2026",
            "/objects/3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0",
            "/activate/v1.2.3",
            "/t/2026-11-28/how-we-met-in-1998-and-2004",
            "/u/507f1f77bcf86cd799439011",
            "/s/6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
            "/m/products/shoes-42",
            "/feed/atom.xml",
            "/public/products/507f1f77bcf86cd799439011",
            "/auth/users/507f1f77bcf86cd799439011",
            "/preview/507f1f77bcf86cd799439011",
            "/m/products/9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c",
            "/f/9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c",
            "/public/507F1f77bcf86cd799439011",
            "/go/docs/aB3dE5fG7hI9jK1lM3nO5pQ7",
        ] {
            assert_eq!(texts(path), [""; 0], "{path}");
        }
    }
}
