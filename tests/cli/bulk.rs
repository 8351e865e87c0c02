//! `bulk`: whole files there and back.

mod resume;

use std::fs;

use serde_json::{Value, json};

use crate::shell::{DevVault, Ended, LOAD, SETTLE, run, tokenvault, write};

const COLUMNS: &str = "--column card=card_number --column email=email";
const INPUT: &str = "\
id,card,email,note
1,4111111111111111,ada@example.com,\"likes, commas\"
2,5555555555554444,bob@example.com,\"and \"\"quotes\"\"\"
3,4111111111111112,eve@example.com,a digit is wrong
4,378282246310005,no address,an address is wrong
5,6011111111111117,dan@example.com,\"two
lines\"
";

#[test]
fn a_file_goes_there_and_back_and_every_row_is_written_or_rejected() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), INPUT);
    let [tokens, rejects, back] = ["tokens.csv", "rejects.csv", "back.csv"].map(|name| vault.path(name));
    let line = format!("bulk tokenize --in {source} --out {tokens} --rejects {rejects} {COLUMNS} {LOAD}");
    let summary = vault.run("loader", &format!("{line} --output jsonl"), "").with(1).lines().remove(0);
    let counts = ["rows_in", "rows_out", "rows_rejected", "values"].map(|name| summary[name].as_u64());
    assert_eq!(counts, [5, 3, 2, 6].map(Some));
    let rejected = fs::read_to_string(&rejects).unwrap();
    assert!(rejected.contains("luhn") && rejected.lines().count() == 3, "{rejected}");
    let secrets = ["4111111111111112", "eve@example.com", "no address", "ada@example.com"];
    assert!(secrets.iter().all(|secret| !rejected.contains(secret)), "{rejected}");
    let written = fs::read_to_string(&tokens).unwrap();
    assert!(written.contains("\"likes, commas\"") && written.contains("\"two\nlines\""), "{written}");
    assert!(!written.contains("ada@example.com") && !written.contains("4111111111111111"));

    let nothing = vault.path("nothing.csv");
    let line = format!("bulk detokenize --in {tokens} --out {back} --rejects {nothing} {COLUMNS} {SETTLE}");
    vault.run("payments", &line, "").with(0);
    let kept: String = INPUT.split_inclusive('\n').filter(|line| !line.starts_with(['3', '4'])).collect();
    assert_eq!(fs::read_to_string(&back).unwrap(), kept);
}

#[test]
fn a_file_of_tokens_can_be_given_a_life() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), "email\nada@example.com\n");
    let [tokens, rejects] = ["tokens.csv", "rejects.csv"].map(|name| vault.path(name));
    let line = format!("bulk tokenize --in {source} --out {tokens} --rejects {rejects} --column email=email {LOAD}");
    vault.run("loader", &format!("{line} --ttl 1h --max-uses 1"), "").with(0);
    let token = fs::read_to_string(&tokens).unwrap().lines().nth(1).unwrap().to_owned();
    let described = vault.run("payments", &format!("token describe --class email {SETTLE}"), &token).with(0).lines();
    assert!(described[0]["expires_at"].is_string(), "{described:?}");
    assert_eq!((&described[0]["uses"], &described[0]["max_uses"]), (&json!(0), &json!(1)));
    let reveal = format!("detokenize --class email {SETTLE}");
    assert!(vault.run("payments", &reveal, &token).with(0).out.contains("ada@example.com"));
    assert!(vault.run("payments", &reveal, &token).with(1).out.contains("TOKEN_NOT_FOUND"));
    // What a class does not allow is a rejected row.
    let refused = vault.run("loader", &format!("{line} --overwrite --ttl 40000d"), "").with(1);
    let rejected = fs::read_to_string(&rejects).unwrap();
    assert!(rejected.contains("LIFETIME_TOO_LONG"), "{rejected} {refused:?}");
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_written() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), INPUT);
    let [out, rejects] = ["out.csv", "rejects.csv"].map(|name| vault.path(name));
    let there = write(&vault.path("there.csv"), "precious");
    let line = |source: &str, out: &str, columns: &str| {
        format!("bulk tokenize --in {source} --out {out} --rejects {rejects} {columns} {LOAD}")
    };
    let rows = [
        (line(&source, &out, "--column iban=card_number"), "iban"),
        (line(&source, &there, COLUMNS), "--overwrite"),
        (line(&source, &source, COLUMNS), "are the same file"),
        (line(&source, &rejects, COLUMNS), "are the same file"),
        (line(&source, &source, COLUMNS) + " --overwrite", "are the same file"),
        (line(&source, "/dev/full", COLUMNS) + " --overwrite", "no regular file"),
        (line(&source, "-", COLUMNS), "--out"),
        (line("-", &out, COLUMNS), "--format"),
        (line(&source, &out, COLUMNS) + " --format jsonl --delimiter ;", "--delimiter"),
        (line(&source, &out, COLUMNS) + " --resume", "no unfinished job"),
        (line("-", &out, COLUMNS) + " --format csv --resume", "standard input"),
        (line(&source, &out, "--column /a~2=email") + " --format jsonl", "JSON Pointer"),
        (line(&vault.path("missing.csv"), &out, COLUMNS), "missing.csv"),
    ];
    for (line, said) in rows {
        let ended = vault.run("loader", &line, "");
        assert!(ended.code == Some(1) || ended.code == Some(2), "{line}: {ended:?}");
        assert!(ended.err.contains(said), "{line}: {}", ended.err);
        assert!(!fs::exists(&out).unwrap() && !fs::exists(&rejects).unwrap(), "{line}");
    }
    assert_eq!(fs::read_to_string(&there).unwrap(), "precious");
    let line = line(&source, &out, COLUMNS);
    let denied = vault.run("globex-payments", &line, "");
    assert_ne!(denied.code, Some(0), "{denied:?}");
}

#[test]
fn a_summary_comes_in_each_form() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), "email\nada@example.com\n");
    for form in ["json", "jsonl", "table"] {
        let [out, rejects] = [format!("{form}.csv"), format!("{form}-rejects.csv")].map(|name| vault.path(&name));
        let line = format!("bulk tokenize --in {source} --out {out} --rejects {rejects} --column email=email {LOAD}");
        let ended = vault.run("loader", &format!("{line} --output {form}"), "").with(0);
        assert!(ended.out.contains("rows_out"), "{}", ended.out);
    }
}

/// What is refused before anything is sent, by its bytes.
const REFUSED: [(&[u8], &[&str]); 14] = [
    (b"\xff\xfec\0a\0r\0d\0", &["UTF-16LE", "iconv"]),
    (b"\xfe\xff\0c\0a\0r\0d", &["UTF-16BE", "iconv"]),
    (b"\xff\xfe\0\0c\0\0\0", &["UTF-32LE", "iconv"]),
    (b"\0\0\xfe\xff\0\0\0c", &["UTF-32BE", "iconv"]),
    (b"c\0a\0r\0d\0,\0", &["NUL", "UTF-16LE", "iconv"]),
    (b"\0c\0a\0r\0d\0,", &["NUL", "UTF-16BE", "iconv"]),
    (b"card,email,stra\xdfe\n", &["not UTF-8", "WINDOWS-1252", "iconv"]),
    (b"\x1f\x8b\x08\0\0\0\0\0", &["gzip"]),
    (b"card;email\n4111111111111111;ada@example.com\n", &["semicolon", "--delimiter ';'"]),
    (b"\"card\"\t\"email\"\n", &["tab", "--delimiter '\\t'"]),
    (b"id|card|email\n", &["pipe", "--delimiter '|'"]),
    (b"id,kart,email\n", &["no column named card", "id, kart, email"]),
    (b"card,email,card\n", &["two columns named card"]),
    (b"", &["row of names"]),
];

#[test]
fn what_is_no_csv_in_utf_8_is_refused_by_name_before_anything_is_sent() {
    let vault = DevVault::start();
    let [source, out, rejects] = ["in.csv", "out.csv", "rejects.csv"].map(|name| vault.path(name));
    let line = format!("bulk tokenize --in {source} --out {out} --rejects {rejects} {COLUMNS} {LOAD}");
    for (bytes, said) in REFUSED {
        fs::write(&source, bytes).unwrap();
        let ended = vault.run("loader", &line, "").with(2);
        assert!(said.iter().all(|word| ended.err.contains(word)), "{said:?}: {}", ended.err);
        assert!(!ended.err.contains("4111"), "{}", ended.err);
    }
    let quote = "card,email\n4111111111111111,ada@example.com\n\"4111,\n\n";
    fs::write(&source, quote).unwrap();
    let ended = vault.run("loader", &line, "").with(1);
    assert!(ended.err.contains("line 3 of the input: a quote opens"), "{}", ended.err);
    fs::write(&source, ["card,email\n\"", &"4111,\n".repeat(2 << 20)].concat()).unwrap();
    let ended = vault.run("loader", &line, "").with(1);
    assert!(ended.err.contains("line 2 of the input: a quote opens") && ended.err.contains("8 MiB"), "{}", ended.err);
    fs::write(&source, ["card,email\n", &"4111".repeat(3 << 20)].concat()).unwrap();
    let ended = vault.run("loader", &line, "").with(1);
    assert!(ended.err.contains("line 2 of the input is longer than 8 MiB"), "{}", ended.err);
    assert_eq!(audited(&vault), 0, "nothing was sent");
    assert_eq!(files(&vault), ["in.csv"], "nothing was written");
}

/// The calls for data that the access log knows.
fn audited(vault: &DevVault) -> usize {
    let query = "audit query --region eu --purpose audit --all --output jsonl --action";
    let count = |action| vault.run("auditor", &format!("{query} {action}"), "").with(0).lines().len();
    count("tokenize") + count("detokenize")
}

/// What lies beside the vault.
fn files(vault: &DevVault) -> Vec<String> {
    let names = fs::read_dir(vault.folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "vault").collect();
    names.sort_unstable();
    names
}

/// Runs a file through the vault and back; gives what came of it and what is said of it.
fn there_and_back(vault: &DevVault, name: &str, bytes: &[u8], columns: &str) -> (Vec<u8>, Vec<u8>, Value) {
    let [source, tokens, back] = ["", "tokens-", "back-"].map(|prefix| vault.path(&format!("{prefix}{name}")));
    let [rejects, nothing] = ["rejects", "nothing"].map(|part| vault.path(&format!("{name}-{part}.csv")));
    fs::write(&source, bytes).unwrap();
    let line = format!("bulk tokenize --in {source} --out {tokens} --rejects {rejects} {columns} {LOAD}");
    let there = vault.run("loader", &format!("{line} --output jsonl"), "").with(0).lines().remove(0);
    let line = format!("bulk detokenize --in {tokens} --out {back} --rejects {nothing} {columns} {SETTLE}");
    vault.run("payments", &line, "").with(0);
    (fs::read(tokens).unwrap(), fs::read(back).unwrap(), there)
}

#[test]
fn csv_keeps_every_byte_that_is_not_replaced() {
    let vault = DevVault::start();
    let note = "\"two\r\nlines, \"\"quoted\"\"\"";
    let input = format!(
        "\u{feff}\"card\";id;email\r\n4111111111111111;{note};\"ada@example.com\"\r\n\r\n\
         \"378282246310005\"; 7 ;\"bob@example.com\"\r\n5555555555554444;it's 5\" wide;eve@example.com"
    );
    let columns = format!("{COLUMNS} --delimiter ;");
    let (tokens, back, summary) = there_and_back(&vault, "all.csv", input.as_bytes(), &columns);
    assert_eq!(String::from_utf8(back).unwrap(), input);
    let tokens = String::from_utf8(tokens).unwrap();
    assert!(tokens.starts_with("\u{feff}\"card\";id;email\r\n") && tokens.contains(note), "{tokens}");
    assert!(["4111111111111111", "ada@", "bob@", "eve@"].iter().all(|value| !tokens.contains(value)), "{tokens}");
    assert_eq!(summary["rows_in"], 3);
    assert_eq!(summary["bytes_in"], input.len());
}

#[test]
fn json_lines_keep_every_byte_that_is_not_replaced() {
    let vault = DevVault::start();
    let input = concat!(
        r#"{"z":1.50e+2, "card" : "4111111111111111","a":[1,2,{"card":"x"}],"customer":{"email":"ada@example.com"}}"#,
        "\n\n",
        r#"  {"customer" : { "n":"\u00e9\ud800" , "\u0065mail":"bob@example.com" },"#,
        r#""card":"378282246310005", "big":1234567890123456789012 }  "#,
        "\r\n",
        r#"{"card":"5555555555554444","customer":{"email":"eve@example.com"},"é":"\/"}"#,
    );
    let columns = "--column card=card_number --column /customer/email=email";
    let (tokens, back, summary) = there_and_back(&vault, "all.jsonl", input.as_bytes(), columns);
    assert_eq!(String::from_utf8(back).unwrap(), input);
    let tokens = String::from_utf8(tokens).unwrap();
    assert!(tokens.contains(r#"{"z":1.50e+2, "card" : ""#) && tokens.contains(r#"\u00e9\ud800"#), "{tokens}");
    assert!(["4111111111111111", "@example.com"].iter().all(|value| !tokens.contains(value)), "{tokens}");
    assert_eq!(summary["rows_in"], 3);
    assert_eq!(summary["columns"][1]["column"], "/customer/email");
}

#[test]
fn lines_that_cannot_be_replaced_are_rejected_with_their_line_and_reason() {
    let vault = DevVault::start();
    let input = concat!(
        "{\"card\":4111111111111111}\n",
        "{\"card\":\"4111111111111111\",\"card\":\"x\"}\n",
        "{\"card\":\"4111111111111111\",\"c\\u0061rd\":\"x\"}\n",
        "{\"card\":\"4111111111111111\"\n",
        "{\"card\":null}\n{}\n{\"card\":\"\"}\n",
        "{\"card\":\"4111111111111112\"}\n",
        "{\"card\":\"4111111111111111\"}\n",
    );
    let source = write(&vault.path("in.ndjson"), input);
    let [out, rejects] = ["out.jsonl", "rejects.csv"].map(|name| vault.path(name));
    let line = format!("bulk tokenize --in {source} --out {out} --rejects {rejects} --column card=card_number {LOAD}");
    let ended = vault.run("loader", &format!("{line} --output jsonl"), "").with(1);
    let summary = &ended.lines()[0];
    assert_eq!(summary["rows_out"], 1);
    assert_eq!(summary["refusals"]["VALUE_MISSING"], 3);
    let rejected = fs::read_to_string(&rejects).unwrap();
    let lines: Vec<_> = rejected.lines().skip(1).collect();
    let expected = [
        "1,1,card,VALUE_NOT_TEXT,string,\"make it a string",
        "2,2,,ROW_MALFORMED,duplicate_key,",
        "3,3,,ROW_MALFORMED,duplicate_key,",
        "4,4,,ROW_MALFORMED,json,",
        "5,5,card,VALUE_MISSING,,",
        "6,6,card,VALUE_MISSING,,",
        "7,7,card,VALUE_MISSING,,",
        "8,8,card,VALUE_REJECTED,luhn,",
    ];
    assert_eq!(lines.len(), expected.len(), "{rejected}");
    assert!(lines.iter().zip(expected).all(|(line, begin)| line.starts_with(begin)), "{rejected}");
    assert!(!rejected.contains("4111"), "{rejected}");
    let line = format!("{line} --keep-empty --overwrite --output jsonl");
    assert_eq!(vault.run("loader", &line, "").with(1).lines()[0]["rows_out"], 4);
    assert!(fs::read_to_string(&out).unwrap().starts_with("{\"card\":null}\n{}\n{\"card\":\"\"}\n{\"card\":\""));
}

#[test]
fn a_column_that_no_row_has_is_no_success_and_a_list_is_no_row() {
    let vault = DevVault::start();
    let out = vault.path("out.jsonl");
    let job = |text: &str, more: &str| {
        let source = write(&vault.path("in.jsonl"), text);
        let rejects = vault.path("rejects.csv");
        let line = format!(
            "bulk tokenize --in {source} --out {out} --rejects {rejects} {LOAD} --keep-empty --overwrite \
             --format jsonl --output jsonl {more}"
        );
        vault.run("loader", &line, "").with(1)
    };
    let card = "4111111111111111";
    for (row, column) in [
        (format!("{{\"customer\":{{\"pan\":\"{card}\"}}}}"), "customer.pan"),
        (format!("{{\"Card\":\"{card}\"}}"), "card"),
        (format!("{{\"cards\":[{{\"pan\":\"{card}\"}}]}}"), "/cards/pan"),
        (format!("{{\"customer\":\"{card}\"}}"), "/customer/pan"),
    ] {
        for dry in ["", " --dry-run"] {
            let ended = job(&format!("{row}\n{row}\n"), &format!("--column {column}=card_number{dry}"));
            assert!(ended.err.contains(&format!("no row has a value in {column:?}")), "{}", ended.err);
            assert!(!ended.err.contains("4111"), "{}", ended.err);
        }
    }
    // One column that is there does not hide another one that is not.
    let both = job(&format!("{{\"card\":\"{card}\"}}\n"), "--column card=card_number --column emial=email");
    assert!(both.err.contains("\"emial\"") && !both.err.contains("\"card\""), "{}", both.err);
    let list = job(&format!("[{{\"card\":\"{card}\"}}]\n"), "--column card=card_number");
    assert!(list.err.contains("1 rows were rejected") && fs::read_to_string(&out).unwrap().is_empty(), "{}", list.err);
}

#[test]
fn many_columns_go_to_many_classes() {
    let vault = DevVault::start_with(|place| {
        let catalog = fs::read_to_string(place.join("catalog.toml")).unwrap();
        let class = "[classes.name]\nrule = \"text\"\nlength_bytes_max = 100\n\n[accounts.";
        let catalog =
            catalog.replacen("[accounts.", class, 1).replace("\"customer_id\"]", "\"customer_id\", \"name\"]");
        let catalog = catalog.replace("\"customer_id\", \"email\"]", "\"customer_id\", \"email\", \"name\"]");
        fs::write(place.join("catalog.toml"), catalog).unwrap();
    });
    let rows = (0..500).map(|n| format!("4111111111111111,\"N, {n}\",{n},a{n}@example.com,4111111111111111\n"));
    let input = format!("card,name,id,mail,other\n{}", rows.collect::<String>());
    let columns = "--column mail=email --column name=name --column card=card_number --column id=customer_id";
    let (tokens, back, summary) = there_and_back(&vault, "many.csv", input.as_bytes(), columns);
    assert_eq!(String::from_utf8(back).unwrap(), input);
    assert!(String::from_utf8(tokens).unwrap().lines().skip(1).all(|line| line.ends_with(",4111111111111111")));
    let counts = ["mail", "name", "card", "id"].iter().zip([500, 500, 1, 500]).enumerate();
    for (at, (name, created)) in counts {
        let column = &summary["columns"][at];
        assert_eq!(
            (&column["column"], &column["values"], &column["refused"]),
            (&(*name).into(), &500.into(), &0.into())
        );
        assert_eq!(column["created"], created, "{name}");
        assert_eq!(column["given_again"], 500 - created, "{name}");
    }
}

#[test]
fn a_dry_run_counts_and_sends_nothing_and_writes_nothing() {
    let vault = DevVault::start();
    let rows = (0..1500).map(|n| format!("{n},4111111111111111,a{n}@example.com\n")).collect::<String>();
    let source = write(&vault.path("in.csv"), &format!("id,card,email\n{rows}1,4111111111111111\n2,,x\n"));
    let [out, rejects] = ["out.csv", "rejects.csv"].map(|name| vault.path(name));
    let line = format!("bulk tokenize --in {source} --out {out} --rejects {rejects} {COLUMNS} {LOAD} --dry-run");
    let receipts = vault.path("receipts.jsonl");
    let ended = vault.run("loader", &format!("{line} --output jsonl --receipts {receipts}"), "").with(1);
    let summary = &ended.lines()[0];
    let counts = ["rows_in", "rows_faulty", "values", "calls"].map(|name| summary[name].as_u64());
    assert_eq!(counts, [1502, 2, 3000, 3].map(Some), "{summary}");
    assert!(
        ended.err.contains("line 1502: ROW_MALFORMED cells") && ended.err.contains("VALUE_MISSING card"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("whether the vault takes the values is not known"), "{}", ended.err);
    assert_eq!(audited(&vault), 0);
    assert_eq!(files(&vault), ["in.csv"]);
    // It needs no vault, nor anybody's key.
    let words = line.split_whitespace().chain(["--output", "jsonl"]).collect::<Vec<_>>();
    let alone = run(&mut tokenvault(&words), "").with(1);
    assert_eq!(alone.lines()[0], *summary, "{}", alone.err);
    let without: Vec<_> = words.iter().copied().filter(|word| *word != "--dry-run").collect();
    let refused = run(&mut tokenvault(&without), "").with(2);
    let named = ["--endpoint", "--ca", "--cert", "--key"];
    assert!(named.iter().all(|flag| refused.err.contains(flag)), "{}", refused.err);
    let real = line.replace(" --dry-run", " --output jsonl");
    assert_eq!(vault.run("loader", &real, "").with(1).lines()[0]["calls"], 3, "as it was foreseen");
}

/// The one object of a summary.
fn summary(ended: &Ended) -> Value {
    ended.lines().remove(0)
}
