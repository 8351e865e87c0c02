//! Lines of JSON, drawn and damaged, against a reader that we did not write.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

fn pointers(texts: &[&str]) -> Vec<Pointer> {
    texts.iter().map(|text| Pointer::parse(text).unwrap()).collect()
}

/// What stands where the pointers lead to, as text.
fn found(line: &str, texts: &[&str]) -> Result<Vec<Option<String>>, &'static str> {
    let show = |found: Option<Found>| {
        found.map(|found| match found {
            Found::Text(span) => decode(line.as_bytes(), &span).unwrap(),
            other => format!("{other:?}"),
        })
    };
    let found = scan(line.as_bytes(), &pointers(texts)).map_err(|fault| fault.rule)?;
    Ok(found.into_iter().map(show).collect())
}

fn one(line: &str, text: &str) -> Option<String> {
    found(line, &[text]).unwrap().remove(0)
}

#[test]
fn pointers_are_those_of_rfc_6901() {
    let line = concat!(
        r#" {"foo":["bar","baz"],"":"0","a/b":"1","c%d":"2","e^f":"3","g|h":"4","i\\j":"5","#,
        r#""k\"l":"6"," ":"7","m~n":"8"} "#,
    );
    let rows = [
        ("/foo/0", "bar"),
        ("/foo/1", "baz"),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
        ("a/b", "1"),
        ("m~n", "8"),
    ];
    for (pointer, value) in rows {
        assert_eq!(one(line, pointer).as_deref(), Some(value), "{pointer}");
    }
    for nothing in ["/foo/01", "/foo/-", "/foo/2", "/foo/0/x", "/nothing", "foo/0"] {
        assert_eq!(one(line, nothing), None, "{nothing}");
    }
    assert_eq!(one(line, "/foo").as_deref(), Some("Other"));
    assert_eq!(one(r#"[{"a":null}]"#, "/0/a").as_deref(), Some("Null"));
    for bad in ["/a~", "/a~2", "/~/b"] {
        assert!(Pointer::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn names_are_compared_by_what_they_spell() {
    assert_eq!(one(r#"{"p\u0061n":"x"}"#, "pan").as_deref(), Some("x"));
    assert_eq!(one(r#"{"\ud83d\ude00":"x"}"#, "😀").as_deref(), Some("x"));
    for twice in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"b":{"a":1,"b":2,"a":3}}]"#] {
        assert_eq!(found(twice, &["x"]), Err("duplicate_key"), "{twice}");
    }
    assert!(found(r#"{"a":{"a":{"A":1}}}"#, &["x"]).is_ok());
}

#[test]
fn what_is_no_text_is_refused_only_where_it_matters() {
    for half in [r#""\ud800""#, r#""\ud800x""#, r#""\ude00\ud83d""#, r#""\ud800\n""#] {
        assert_eq!(found(&format!(r#"{{"a":{half}}}"#), &["a"]), Err("surrogate"), "{half}");
        assert!(found(&format!(r#"{{"a":{half}}}"#), &["b"]).is_ok(), "{half}");
        assert_eq!(found(&format!("{{{half}:1}}"), &["b"]), Err("surrogate"), "{half}");
    }
    assert_eq!(scan(b"{\"a\":\"\xff\"}", &[]).unwrap_err().rule, "utf8");
}

#[test]
fn the_grammar_is_that_of_rfc_8259() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(found(&deep(DEPTH_MAX), &[]).is_ok());
    assert_eq!(found(&deep(DEPTH_MAX + 2), &[]), Err("depth"));
    let bad = [
        "",
        "1",
        "\"a\"",
        "null",
        "{",
        "{}}",
        "{},",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "['a']",
        "[01]",
        "[1.]",
        "[.1]",
        "[+1]",
        "[1e]",
        "[-]",
        "[0x1]",
        "[nul]",
        "[nulll]",
        "[True]",
        "[\"\\x\"]",
        "[\"\\u12g4\"]",
        "[\"\\u+123\"]",
        "[\"\t\"]",
        "[\"a]",
        "{\"a\":1 \"b\":2}",
        "[1 2]",
        "{}\u{a0}",
        "[\"\u{0}\"]",
        "[NaN]",
        "\u{feff}{}",
    ];
    for line in bad {
        assert_eq!(found(line, &["a"]), Err("json"), "{line:?}");
    }
    for good in ["[-0.0E+10,1e5,0,\"\\/\\b\u{7f}\u{2028}\"]", "\t{ } \r", "[true,false,null,{}]"] {
        assert!(found(good, &["a"]).is_ok(), "{good:?}");
    }
}

/// Documents of some depth.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        // Damaged, it stays within what the other reader can hold.
        any::<i8>().prop_map(Value::from),
        "\\PC{0,6}|[\"\\\\\n\t\u{1}é😀/]{0,4}".prop_map(Value::from),
    ];
    let inside = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner).prop_map(Value::Object),
        ]
    });
    members(inside).prop_map(Value::Object)
}

fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[abc/~\"é\\\\]{0,2}", value), 0..4).prop_map(|members| members.into_iter().collect())
}

/// The pointers to all texts of a document.
fn texts(value: &Value, here: &str, all: &mut Vec<String>) {
    let inside: Vec<(String, &Value)> = match value {
        Value::String(_) => return all.push(here.to_owned()),
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        Value::Object(members) => members.iter().map(|(name, item)| (name.clone(), item)).collect(),
        _ => return,
    };
    for (name, item) in inside {
        texts(item, &format!("{here}/{}", name.replace('~', "~0").replace('/', "~1")), all);
    }
}

/// A document as somebody else might write it: with blanks, and with escapes that need not be.
fn written(document: &Value, spread: u64) -> String {
    let compact = if spread.is_multiple_of(2) { document.to_string() } else { format!("{document:#}") };
    let compact = compact.replace('\n', if spread.is_multiple_of(3) { " \t" } else { "\r" });
    if spread.is_multiple_of(5) { compact.replace('c', "\\u0063").replace("\\\\u0063", "\\\\c") } else { compact }
}

proptest! {
    #[test]
    fn a_replaced_line_is_the_same_document_but_for_what_was_replaced(
        document in document(), token in "\\PC{0,5}[\"\\\\\n]?", spread in any::<u64>()
    ) {
        let line = written(&document, spread);
        prop_assume!(serde_json::from_str::<Value>(&line).ok().as_ref() == Some(&document));
        let mut all = Vec::new();
        texts(&document, "", &mut all);
        let chosen: Vec<_> = all.iter().skip((spread % 3) as usize).step_by(2).cloned().collect();
        let asked: Vec<_> = chosen.iter().map(|text| Pointer::parse(text).unwrap()).collect();
        let mut spans = Vec::new();
        for (pointer, found) in chosen.iter().zip(scan(line.as_bytes(), &asked).unwrap()) {
            let Some(Found::Text(span)) = found else { panic!("{pointer}") };
            let value = document.pointer(pointer).unwrap().as_str().unwrap();
            prop_assert_eq!(decode(line.as_bytes(), &span).unwrap(), value);
            spans.push(span);
        }
        spans.sort_by_key(|span| span.start);
        let (mut out, mut at) = (Vec::new(), 0);
        let mut untouched = line.len();
        for span in &spans {
            out.extend_from_slice(&line.as_bytes()[at..span.start]);
            encode(&token, &mut out);
            untouched -= span.len();
            at = span.end;
        }
        out.extend_from_slice(&line.as_bytes()[at..]);
        let mut literal = Vec::new();
        encode(&token, &mut literal);
        prop_assert_eq!(out.len(), untouched + spans.len() * literal.len());
        let mut expected = document;
        for pointer in &chosen {
            *expected.pointer_mut(pointer).unwrap() = Value::from(token.clone());
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
    }

    #[test]
    fn a_damaged_line_is_taken_only_if_another_reader_takes_it(
        document in document(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"{}[]\",:\\u0e-. \x01a\xff".to_vec()),
    ) {
        let mut line = document.to_string().into_bytes();
        let at = at.index(line.len());
        line[at] = byte;
        match scan(&line, &pointers(&["a", "/b/0"])) {
            Ok(_) => prop_assert!(serde_json::from_slice::<Value>(&line).is_ok() || line.contains(&b'\\')),
            Err(fault) if matches!(fault.rule, "duplicate_key" | "surrogate") => {}
            Err(_) => {
                let read = serde_json::from_slice::<Value>(&line);
                prop_assert!(!read.is_ok_and(|read| read.is_object() || read.is_array()));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(line in prop::collection::vec(any::<u8>(), 0..60)) {
        let _judged = scan(&line, &pointers(&["a", "/0"]));
    }
}
