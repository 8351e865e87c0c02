//! JSON Lines: finds the values that pointers lead to, and where they stand. Nothing is written anew: what is not
//! replaced stays byte for byte as it was.
//!
//! The scanner takes the whole grammar of RFC 8259 and no more. It also refuses what readers of JSON disagree about: a
//! name that stands twice in an object, in any spelling of it.

use std::{borrow::Cow, collections::HashSet, ops::Range};

use crate::bulk::rows::Fault;

/// How deep arrays and objects may stand inside of each other.
const DEPTH_MAX: usize = 128;

/// Where in a document something stands (RFC 6901): the names and indexes on the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a JSON Pointer, which begins with a slash, or the name of a key of the outermost object.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else { return Ok(Self(vec![text.to_owned()])) };
        path.split('/').map(unescape).collect::<Result<_, _>>().map(Self)
    }
}

/// One token of a pointer: `~1` stands for a slash, `~0` for a tilde.
fn unescape(token: &str) -> Result<String, String> {
    let mut text = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(next) = rest.next() {
        text.push(match (next, if next == '~' { rest.next() } else { None }) {
            ('~', Some('0')) => '~',
            ('~', Some('1')) => '/',
            ('~', _) => return Err("is no JSON Pointer: a tilde is written ~0, a slash in a name ~1".to_owned()),
            (other, _) => other,
        });
    }
    Ok(text)
}

/// What stands where a pointer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A text; the range holds its quotes.
    Text(Range<usize>),
    Null,
    /// Something that no token can take the place of.
    Other,
}

/// Looks through a line; for each pointer what stands there, `None` for nothing.
pub(crate) fn scan(line: &[u8], pointers: &[Pointer]) -> Result<Vec<Option<Found>>, Fault> {
    let text = std::str::from_utf8(line).map_err(|_| NOT_UTF_8)?;
    let mut scanner = Scanner { text, at: 0, pointers, found: vec![None; pointers.len()] };
    scanner.blank();
    if !matches!(scanner.peek(), Some(b'{' | b'[')) {
        return Err(NO_OBJECT);
    }
    scanner.value(&(0..pointers.len()).collect::<Vec<_>>(), 0)?;
    scanner.blank();
    if scanner.at == text.len() { Ok(scanner.found) } else { Err(NO_JSON) }
}

/// The text of a string that [`scan`] found; the range holds its quotes.
pub(crate) fn decode(line: &[u8], span: &Range<usize>) -> Option<String> {
    let literal = std::str::from_utf8(line.get(span.clone())?).ok()?;
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    unquote(inner).map(Cow::into_owned).ok()
}

/// Writes a text as a string, with as few escapes as the grammar lets.
pub(crate) fn encode(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0A => out.extend_from_slice(b"\\n"),
            0x0C => out.extend_from_slice(b"\\f"),
            0x0D => out.extend_from_slice(b"\\r"),
            0x00..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

const NO_JSON: Fault = Fault::malformed("json", "write one JSON object on one line (RFC 8259)");
pub(crate) const NO_OBJECT: Fault = Fault::malformed("json", "write one JSON object on each line");
const NOT_UTF_8: Fault = Fault::malformed("utf8", "write the line in UTF-8");
const TOO_DEEP: Fault = Fault::malformed("depth", "nest arrays and objects at most 128 deep");
const TWICE: Fault =
    Fault::malformed("duplicate_key", "name each key of an object once: readers disagree which counts");
const HALF_PAIR: Fault = Fault::malformed("surrogate", "write both halves of a surrogate pair: one is no character");

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    pointers: &'a [Pointer],
    found: Vec<Option<Found>>,
}

impl<'a> Scanner<'a> {
    /// A value at this depth; `candidates` are the pointers whose way led here.
    fn value(&mut self, candidates: &[usize], depth: usize) -> Result<(), Fault> {
        if depth > DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        let begin = self.at;
        let found = match self.peek().ok_or(NO_JSON)? {
            b'{' => self.object(candidates, depth).map(|()| Found::Other),
            b'[' => self.array(candidates, depth).map(|()| Found::Other),
            b'"' => {
                self.string()?;
                let span = begin..self.at;
                // Only a text that is replaced has to be one: any other stays as it is.
                let is_asked = candidates.iter().any(|at| self.pointers.get(*at).is_some_and(|p| p.0.len() == depth));
                if is_asked && decode(self.text.as_bytes(), &span).is_none() {
                    return Err(HALF_PAIR);
                }
                Ok(Found::Text(span))
            }
            b't' => self.word("true").map(|()| Found::Other),
            b'f' => self.word("false").map(|()| Found::Other),
            b'n' => self.word("null").map(|()| Found::Null),
            _ => self.number().map(|()| Found::Other),
        }?;
        for at in candidates {
            if self.pointers.get(*at).is_some_and(|pointer| pointer.0.len() == depth)
                && let Some(place) = self.found.get_mut(*at)
            {
                *place = Some(found.clone());
            }
        }
        Ok(())
    }

    fn object(&mut self, candidates: &[usize], depth: usize) -> Result<(), Fault> {
        self.at += 1;
        self.blank();
        if self.take(b'}') {
            return Ok(());
        }
        let mut names = HashSet::new();
        loop {
            self.blank();
            if self.peek() != Some(b'"') {
                return Err(NO_JSON);
            }
            let name = unquote(self.string()?)?;
            self.blank();
            self.expect(b':')?;
            self.blank();
            let inside = self.leading_to(candidates, depth, &name);
            if !names.insert(name) {
                return Err(TWICE);
            }
            self.value(&inside, depth + 1)?;
            self.blank();
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn array(&mut self, candidates: &[usize], depth: usize) -> Result<(), Fault> {
        self.at += 1;
        self.blank();
        if self.take(b']') {
            return Ok(());
        }
        for index in 0_usize.. {
            let inside =
                if candidates.is_empty() { Vec::new() } else { self.leading_to(candidates, depth, &index.to_string()) };
            self.blank();
            self.value(&inside, depth + 1)?;
            self.blank();
            if self.take(b']') {
                break;
            }
            self.expect(b',')?;
        }
        Ok(())
    }

    /// The candidates whose next token is this name.
    fn leading_to(&self, candidates: &[usize], depth: usize, name: &str) -> Vec<usize> {
        let leads = |at: &&usize| {
            let next = self.pointers.get(**at).and_then(|pointer| pointer.0.get(depth));
            next.is_some_and(|token| token == name)
        };
        candidates.iter().filter(leads).copied().collect()
    }

    /// A string; gives what stands between its quotes.
    fn string(&mut self) -> Result<&'a str, Fault> {
        let begin = self.at + 1;
        self.at = begin;
        loop {
            match self.peek().ok_or(NO_JSON)? {
                b'"' => {
                    let inner = self.text.get(begin..self.at).ok_or(NO_JSON)?;
                    self.at += 1;
                    return Ok(inner);
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek().ok_or(NO_JSON)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        b'u' => {
                            let digits = self.text.as_bytes().get(self.at + 1..self.at + 5).ok_or(NO_JSON)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return Err(NO_JSON);
                            }
                            self.at += 5;
                        }
                        _ => return Err(NO_JSON),
                    }
                }
                0x00..0x20 => return Err(NO_JSON),
                _ => self.at += 1,
            }
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(NO_JSON);
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(NO_JSON);
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(NO_JSON);
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - begin
    }

    fn word(&mut self, word: &str) -> Result<(), Fault> {
        let stands = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()));
        self.at += word.len();
        if stands { Ok(()) } else { Err(NO_JSON) }
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(NO_JSON) }
    }
}

/// The text of what stands between quotes; its escapes are well formed.
fn unquote(inner: &str) -> Result<Cow<'_, str>, Fault> {
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let kind = escape.chars().next().ok_or(NO_JSON)?;
        rest = escape.get(1..).ok_or(NO_JSON)?;
        text.push(match kind {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (unit, behind) = code_unit(rest)?;
                rest = behind;
                match char::from_u32(unit) {
                    Some(character) => character,
                    None => {
                        let (low, behind) = code_unit(rest.strip_prefix("\\u").ok_or(HALF_PAIR)?)?;
                        rest = behind;
                        paired(unit, low).ok_or(HALF_PAIR)?
                    }
                }
            }
            plain => plain,
        });
    }
    text.push_str(rest);
    Ok(Cow::Owned(text))
}

/// The four hex digits of an escape, and what follows.
fn code_unit(text: &str) -> Result<(u32, &str), Fault> {
    let (digits, rest) = text.split_at_checked(4).ok_or(NO_JSON)?;
    Ok((u32::from_str_radix(digits, 16).map_err(|_| NO_JSON)?, rest))
}

/// The character of a surrogate pair (Unicode 16.0 section 3.9, D91).
fn paired(high: u32, low: u32) -> Option<char> {
    let is_pair = (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(&low);
    is_pair.then(|| 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)).and_then(char::from_u32)
}

#[cfg(test)]
mod tests;
