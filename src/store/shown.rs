//! Names of inputs and targets as files, reports and messages show them: without what may be secret
//! in a URL.

/// The names of inputs as files, reports and messages show them.
pub fn shown_names(names: &[String]) -> Vec<String> {
    names.iter().map(|name| without_secrets(name)).collect()
}

/// The name of an input as files, reports and messages show it: a URL without user information,
/// query and fragment, where passwords and the keys of pre-signed ones stand. By its text, so that
/// what no parser takes for a URL keeps no secret either.
pub fn without_secrets(name: &str) -> String {
    let Some((scheme, rest)) = name.split_once("://") else { return name.to_owned() };
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.is_empty() || !scheme.bytes().all(is_scheme) {
        return name.to_owned();
    }
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let authority = &rest[..rest.find(['/', '\\']).unwrap_or(rest.len())];
    // A password may have a slash in it that should have been escaped: what stands before it is
    // then no host with a port.
    let port = authority.rsplit_once(':').map(|(_, port)| port).unwrap_or_default();
    let is_whole = authority.starts_with('[') || port.bytes().all(|byte| byte.is_ascii_digit());
    let user = if authority.contains('@') || is_whole { authority } else { rest };
    let start = user.rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[start..])
}

/// A message in which each URL is shown so.
pub fn in_message(text: &str) -> String {
    let word = |word: &str| {
        if !word.contains("://") {
            return word.to_owned();
        }
        let name =
            word.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '.'));
        without_secrets(name) + &word[name.len()..]
    };
    text.split_inclusive(char::is_whitespace).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_no_secret_of_a_url() {
        assert_eq!(
            in_message("cannot write http://u:S3cret@h/x?sig=S3cret: it is a folder"),
            "cannot write http://h/x: it is a folder"
        );
        assert_eq!(in_message("a  b://c/d,\ne f"), "a  b://c/d,\ne f");
    }

    #[test]
    fn no_name_of_an_input_shows_what_may_be_secret_in_it() {
        for (name, shown) in [
            ("v1.pcap", "v1.pcap"),
            ("captures/a@b?c#d.pcap", "captures/a@b?c#d.pcap"),
            ("https://h/x@1.pcap", "https://h/x@1.pcap"),
            ("http://u:S3cret@h:81/x.pcap?X-Amz-Signature=S3cret#S3cret", "http://h:81/x.pcap"),
            ("HTTP://S3cret@h/x.pcap", "HTTP://h/x.pcap"),
            ("https://u:S3c/ret@h/x.pcap", "https://h/x.pcap"),
            ("https://u:p@S3cret@h/x.pcap", "https://h/x.pcap"),
            ("https://u:S3cret@[::1]:81/x.pcap", "https://[::1]:81/x.pcap"),
            ("https://[::1]:81/x@y.pcap", "https://[::1]:81/x@y.pcap"),
            ("http://u:S3cret@h:port/x.pcap", "http://h:port/x.pcap"),
            ("https://h?token=S3cret", "https://h"),
            ("s3://key:S3cret@bucket/x.pcap", "s3://bucket/x.pcap"),
        ] {
            assert_eq!(without_secrets(name), shown, "{name}");
        }
    }
}
