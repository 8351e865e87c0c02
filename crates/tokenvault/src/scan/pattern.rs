//! Patterns for names: `*` stands for any characters, `?` for one. Nothing else is special.

use std::{os::unix::ffi::OsStrExt, path::Path};

/// A pattern for the last part of a path or, with a `/` in it, for all of it.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() { Err("a pattern must not be empty") } else { Ok(Self(text.to_owned())) }
    }

    pub(crate) fn fits(&self, path: &Path) -> bool {
        let name = if self.0.contains('/') { path.as_os_str() } else { path.file_name().unwrap_or_default() };
        fits(self.0.as_bytes(), name.as_bytes())
    }
}

/// Takes each `*` as short as it goes and lengthens the last one only: the time is at most the product of both lengths.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters_and_question_marks_for_one() {
        let fits = |pattern: &str, path: &str| Pattern::parse(pattern).unwrap().fits(Path::new(path));
        for (pattern, path) in [
            ("*.log", "a/b.log"),
            ("target", "a/target"),
            ("*a*b*", "xaxxb"),
            ("?", "a/b"),
            ("a/*/c", "a/b/d/c"),
            ("*", ""),
        ] {
            assert!(fits(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("*.log", "a.logs"), ("target", "targets"), ("?", "ab"), ("a/c", "b/a/c"), ("*ab", "aba")]
        {
            assert!(!fits(pattern, path), "{pattern} {path}");
        }
        assert!(!fits(&"*a".repeat(50), &"a".repeat(49)), "and it ends soon");
        assert!(Pattern::parse("").is_err());
    }
}
