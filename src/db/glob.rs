//! Patterns of names that have slashes in them, with one meaning in the program and on both engines.
//!
//! A pattern is text in which two characters that no name has stand for others: [`ANY`] for any characters of one segment, and [`DEEP`], a
//! segment of its own, for any number of segments; at the end for at least one. All else stands for itself, so what comes from a user can
//! be put into a pattern as it is, once it was seen to have neither slashes nor controls.

/// Stands for any characters but slashes.
pub const ANY: char = '\u{1}';
/// As a whole segment, once in a pattern: stands for any number of segments.
pub const DEEP: char = '\u{2}';

/// Whether a name fits a pattern.
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), name.split('/').collect());
    let all_fit =
        |pattern: &[&str], name: &[&str]| pattern.len() == name.len() && pattern.iter().zip(name).all(|(one, other)| segment_fits(one, other));
    let Some(deep) = pattern.iter().position(|segment| is_deep(segment)) else { return all_fit(&pattern, &name) };
    let (head, tail) = (&pattern[..deep], &pattern[deep + 1..]);
    let least = head.len() + tail.len() + usize::from(tail.is_empty());
    name.len() >= least && all_fit(head, &name[..head.len()]) && all_fit(tail, &name[name.len() - tail.len()..])
}

fn is_deep(segment: &str) -> bool {
    let mut characters = segment.chars();
    characters.next() == Some(DEEP) && characters.next().is_none()
}

fn segment_fits(pattern: &str, segment: &str) -> bool {
    let mut parts = pattern.split(ANY);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = segment.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The same as a regular expression of `PostgreSQL`.
pub fn glob_regex(pattern: &str) -> String {
    let mut regex = "^".to_owned();
    let segments: Vec<&str> = pattern.split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match (is_deep(segment), is_last) {
            (true, true) => regex.push_str(".+"),
            (true, false) => regex.push_str("(?:[^/]+/)*"),
            (false, _) => {
                push_segment(&mut regex, segment);
                if !is_last {
                    regex.push('/');
                }
            }
        }
    }
    regex.push('$');
    regex
}

fn push_segment(regex: &mut String, segment: &str) {
    for character in segment.chars() {
        match character {
            ANY => regex.push_str("[^/]*"),
            character => {
                if character.is_ascii() && !character.is_ascii_alphanumeric() {
                    regex.push('\\');
                }
                regex.push(character);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> String {
        text.replace("**", "\u{2}").replace('*', "\u{1}")
    }

    #[test]
    fn patterns_match_segment_by_segment() {
        for (glob, name, fits) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/*", "a", false),
            ("a/**", "a", false),
            ("a/**", "a/b/c", true),
            ("a/**", "ab/c", false),
            ("**", "a/b", true),
            ("**/*.jpg", "x.jpg", true),
            ("**/*.jpg", "a/b/x.jpg", true),
            ("**/*.jpg", "a/b/x.jpg/c", false),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/**/z", "a/bz", false),
            ("*.tar.*", "x.tar.gz", true),
            ("*.tar.*", "x.tar", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a.b", "axb", false),
        ] {
            assert_eq!(glob_matches(&pattern(glob), name), fits, "{glob} {name}");
        }
        assert_eq!(glob_regex(&pattern("a.b/**/*.jpg")), "^a\\.b/(?:[^/]+/)*[^/]*\\.jpg$");
        assert_eq!(glob_regex(&pattern("ä/**")), "^ä/.+$");
    }

    proptest! {
        #[test]
        fn any_text_means_itself(name in "[^\\x00-\\x1f]{0,20}", other in "[^\\x00-\\x1f]{0,20}") {
            prop_assert!(glob_matches(&name, &name));
            prop_assert_eq!(glob_matches(&name, &other), name == other);
        }
    }
}
