//! What the vault was given stays out of what it leaves behind: its files, its logs at their finest level, and the core
//! file of a crash, which there is none of.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    os::unix::{fs::FileExt, process::ExitStatusExt},
    process::Command,
    sync::Arc,
    time::Duration,
};

use nix::sys::signal::Signal;
use vault_proto::v1;
use vault_tests::{requests, secrets::Secrets};

use crate::{
    books::{Books, CLASSES, Pages},
    load::{Client, Load, fresh_value},
    site::{Settings, Site},
    vault::Vault,
};

/// All values and tokens in the books.
fn secrets(pages: &Pages) -> Secrets {
    let secrets = Secrets::default();
    for (token, _, value) in &pages.tokens {
        secrets.plant(token.as_bytes());
        secrets.plant(value);
    }
    secrets
}

/// Values and tokens that the vault refuses; returns them.
async fn refused_secrets(client: &Client) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    for (class, _) in CLASSES {
        // Two values at once are a value of no class, and half a value is neither.
        let mut value = fresh_value(class);
        value.extend([b"!!", fresh_value(class).as_slice()].concat());
        let request = v1::TokenizeRequest {
            items: vec![requests::tokenize_item(class, &value)],
            ..requests::tokenize("email", [""; 0])
        };
        let answer = client.loader.clone().tokenize(request).await.unwrap().into_inner();
        assert!(matches!(answer.results[0].outcome, Some(v1::tokenize_result::Outcome::Error(_))), "{class}");
        let token = format!("tok_eu_{}", String::from_utf8_lossy(&fresh_value("email")));
        let request = requests::detokenize(class, [token.clone()]);
        let answer = client.payments.clone().detokenize(request).await.unwrap().into_inner();
        assert!(matches!(answer.results[0].outcome, Some(v1::detokenize_result::Outcome::Error(_))), "{class}");
        // As the name of a class, a region, a reference and a key: where a caller has mixed up its fields.
        let mixed = String::from_utf8(fresh_value("email")).unwrap();
        for request in [
            requests::tokenize(&mixed, [&value]),
            v1::TokenizeRequest { region: mixed.clone(), ..requests::tokenize(class, [&value]) },
            v1::TokenizeRequest { reference: mixed.clone(), ..requests::tokenize(class, [&value]) },
            v1::TokenizeRequest { purpose: mixed.clone(), ..requests::tokenize(class, [&value]) },
            v1::TokenizeRequest { audience: mixed.clone(), ..requests::tokenize(class, [&value]) },
        ] {
            if let Ok(answer) = client.loader.clone().tokenize(request).await {
                let refused =
                    matches!(answer.get_ref().results[0].outcome, Some(v1::tokenize_result::Outcome::Error(_)));
                assert!(refused, "{class}");
            }
        }
        sent.extend([value, token.into_bytes(), mixed.into_bytes()]);
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_and_no_token_is_in_files_and_logs() {
    let site = Site::new(Settings { log_level: "trace", memtable_bytes: 1 << 20, ..Settings::default() });
    let books = Arc::new(Books::default());
    let mut vault = site.start();
    let client = Client::connect(&site, vault.address()).await.unwrap();
    let refused = refused_secrets(&client).await;
    let load = Load::start(&site, vault.address(), &books, 6, 1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    load.stop().await;
    client.query().await.unwrap();

    let secrets = secrets(&books.open());
    refused.iter().for_each(|secret| secrets.plant(secret));
    let search = secrets.search();
    // The search finds what there is to find.
    fs::write(site.path("canary"), [b"xx".as_slice(), &refused[1], b"xx"].concat()).unwrap();
    assert!(search.find(&fs::read(site.path("canary")).unwrap()).is_some(), "the search finds nothing");

    let (found, read) = search.find_below(&site.data);
    assert_eq!(found, None, "while it runs");
    drop(client);
    vault.stop();
    let (found, stopped) = search.find_below(&site.data);
    assert_eq!(found, None, "after the stop");
    let (found, _) = search.find_below(&site.path("checkpoints"));
    assert_eq!(found, None);
    let mut logged = 0;
    for log in site.logs() {
        let log = fs::read(log).unwrap();
        logged += log.len();
        assert_eq!(search.find(&log), None, "the log of the process");
    }
    println!("{} secrets not found in {read} + {stopped} bytes of files and {logged} bytes of logs", secrets.count());
    assert!(secrets.count() > 1000 && read > 100_000 && logged > 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_leaves_no_core_file() {
    let site = Site::new(Settings::default());
    let unlimited = |words: &str| ["sh", "-c", &format!("ulimit -c unlimited && {words}")].map(str::to_owned);
    // What is not protected does leave one here.
    let canary = unlimited("kill -ABRT $$");
    let ended = Command::new(&canary[0]).args(&canary[1..]).current_dir(site.path("")).status().unwrap();
    assert!(ended.core_dumped(), "this system writes no core files, so nothing is shown: {ended}");
    // Not SIGSEGV: Rust's own handler takes the first one, to tell a stack that overflows.
    for signal in [Signal::SIGABRT, Signal::SIGILL] {
        let books = Books::default();
        let mut vault = site.start_under(&unlimited("exec \"$0\" \"$@\""));
        let client = Client::connect(&site, vault.address()).await.unwrap();
        client.tokenize(&books, crate::load::one_of_each()).await.unwrap();
        let tokens = books.open().tokens.clone();
        client.detokenize(&books, &tokens).await.unwrap();
        vault.signal(signal);
        let ended = vault.ended();
        assert_eq!((ended.signal(), ended.core_dumped()), (Some(signal as i32), false), "{ended}");
    }
}

/// How often each of these is in the memory of a process, by the kind of mapping.
fn in_memory(vault: &Vault, secrets: &[(&'static str, Vec<u8>)]) -> BTreeMap<(&'static str, String), u64> {
    let pid = vault.pid();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).expect("the right to read another's memory, as root has it");
    let mut by_start: HashMap<&[u8; 8], Vec<&(&'static str, Vec<u8>)>> = HashMap::new();
    secrets.iter().for_each(|secret| by_start.entry(secret.1.first_chunk().unwrap()).or_default().push(secret));
    let mut found = BTreeMap::new();
    for map in maps.lines().filter(|map| map.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (from, to) = map.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // A mapping may go while it is looked at.
        if memory.read_exact_at(&mut bytes, from).is_err() {
            continue;
        }
        let place = map.split_whitespace().nth(5).unwrap_or("anonymous").to_owned();
        for (at, start) in bytes.array_windows::<8>().enumerate() {
            let Some(candidates) = by_start.get(start) else { continue };
            for (kind, _) in candidates.iter().filter(|(_, secret)| bytes[at..].starts_with(secret)) {
                *found.entry((*kind, place.clone())).or_insert(0) += 1;
            }
        }
    }
    found
}

/// Copies of one secret that may be left in memory that was freed and not used again since: of buffers of TLS, HTTP/2
/// and gRPC, on the way in and on the way out.
const COPIES_MAX: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_in_memory_do_not_pile_up() {
    let site = Site::new(Settings::default());
    let books = Books::default();
    let mut vault = site.start();
    let client = Client::connect(&site, vault.address()).await.unwrap();
    for _ in 0..50 {
        client.tokenize(&books, crate::load::one_of_each()).await.unwrap();
    }
    let tokens = books.open().tokens.clone();
    let secrets: Vec<_> = tokens
        .iter()
        .flat_map(|(token, class, value)| [("token", token.clone().into_bytes()), (*class, value.clone())])
        .collect();
    for _ in 0..100 {
        client.detokenize(&books, &tokens).await.unwrap();
    }
    let found = in_memory(&vault, &secrets);
    println!("{} tokens and as many values, each revealed 100 times: {found:?}", tokens.len());
    let copies: u64 = found.values().sum();
    // A search that finds nothing at all looks at the wrong memory.
    assert!((1..COPIES_MAX * u64::try_from(secrets.len()).unwrap()).contains(&copies), "{found:?}");
    drop(client);
    vault.stop();
}
