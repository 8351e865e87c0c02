//! The services of docs/examples, by the commands of their README, typed into a shell as a reader would; then what a
//! reader is not asked to try.
#![expect(clippy::indexing_slicing, reason = "what is not there fails the test, which is what it is for")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use vault_domain::{Clock, SystemClock};

use crate::shell::program;

/// What the shell says when it has done what was typed.
const DONE: &str = "-- all of it was done: ";
/// How long a service may take to find its vault again.
const RETURN_DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);
/// All values that are ever sent, and parts of them that nobody may keep.
const VALUES: [&str; 7] = [
    "4111111111111111",
    "4111111111111112",
    "5555555555554444",
    "378282246310005",
    "ada@example",
    "eve@example",
    "nobody",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A free port; it stays free unless somebody else takes it within moments.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The README's commands: each heading that has some, with its blocks.
fn guide() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(root().join("docs/examples/README.md")).unwrap();
    let sections = text.split("\n## ").skip(1).map(|section| {
        let (heading, body) = section.split_once('\n').unwrap();
        let blocks = body.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned());
        (heading.to_owned(), blocks.collect())
    });
    sections.collect()
}

/// A shell that commands are typed into.
struct Shell {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    demo: TempDir,
}

impl Shell {
    fn start() -> Self {
        let demo = TempDir::new().unwrap();
        let mut bash = Command::new("bash");
        bash.current_dir(root()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let foreign = |name: &String| ["TOKENVAULT_", "ORDERS_", "PYTHON"].iter().any(|head| name.starts_with(head));
        for (name, _) in std::env::vars().filter(|(name, _)| foreign(name)) {
            bash.env_remove(name);
        }
        // The README's own variables: its folder, its port, and the build that is tested.
        bash.env("DEMO", demo.path()).env("ORDERS_LISTEN", format!("127.0.0.1:{}", free_port()));
        bash.env("CARGO_TARGET_DIR", program().parent().and_then(Path::parent).unwrap());
        bash.env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = bash.spawn().unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        let mut shell = Self { process, input, output, demo };
        // Whatever becomes of the test, nothing that was started stays.
        shell.enter("exec 2>&1; trap 'kill $(jobs -p)' EXIT");
        shell
    }

    /// Types a text, and gives what is said until it is done.
    fn enter(&mut self, text: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{text}\necho \"{DONE}$?\"").unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the shell ended: {said}");
            // What was said before may end without a line end.
            let (before, done) = line.split_once(DONE).map_or((line.as_str(), false), |(before, _)| (before, true));
            said += before;
            if done {
                return said;
            }
        }
    }

    /// Types a text; all that is said must be JSON.
    #[track_caller]
    fn ask(&mut self, text: &str) -> Vec<Value> {
        let said = self.enter(text);
        let read: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&said).into_iter().collect();
        read.unwrap_or_else(|error| panic!("{error}: {text}\n{said}\n{}", self.read("service.log")))
    }

    /// Sends one request to the service; gives the status and the answer.
    #[track_caller]
    fn send(&mut self, path: &str, more: &str) -> (i64, Value) {
        let command = format!("curl -s -w '%{{http_code}}' \"http://$ORDERS_LISTEN{path}\" {more}; echo");
        let said = self.ask(&command);
        let [answer, status] = &said[..] else { panic!("{said:?}") };
        (status.as_i64().unwrap(), answer.clone())
    }

    /// Starts the service anew with other settings.
    fn restart(&mut self, settings: &str) {
        self.enter(&format!("kill $orders; wait $orders; {settings} $service 2>> \"$DEMO/service.log\" &"));
        self.ask("orders=$!; curl -s --retry 50 --retry-delay 1 --retry-connrefused \"http://$ORDERS_LISTEN/health\"");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.demo.path().join(name)).unwrap_or_default()
    }

    /// All that the service kept or said.
    fn kept(&self) -> Vec<u8> {
        let orders = fs::read_dir(self.demo.path().join("orders")).unwrap();
        let mut kept: Vec<u8> = orders.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
        kept.extend(self.read("service.log").into_bytes());
        kept
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // At the end of its input it ends, and what it started with it.
        drop(self.input.take());
        let _ended = self.process.wait();
    }
}

/// What an order is sent with.
fn order(key: &str, number: &str, card: &str, email: &str) -> String {
    let body = json!({ "order": number, "amount_cents": 1, "card_number": card, "email": email });
    format!("-H 'Idempotency-Key: {key}' -d '{body}'")
}

fn holds(kept: &[u8], text: &str) -> bool {
    kept.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The last thing that the service said, and its reason.
#[track_caller]
fn assert_logged(line: &Value, reason: &str) {
    // One of the two nests its fields, as its logging library does.
    let fields = line.get("fields").unwrap_or(line);
    assert_eq!(fields["reason"], reason, "{line}");
    assert_eq!(fields["vault_request"].as_str().unwrap().len(), 32, "{line}");
}

/// An order goes its way, as the README tells it. Returns it as it was shown in the end.
fn assert_settled(shell: &mut Shell, blocks: &[String]) -> Value {
    let [place, show, settle] = blocks else { panic!("three blocks") };
    let placed = shell.ask(place).remove(0);
    let card = placed["tokens"]["card_number"].as_str().unwrap().to_owned();
    assert!(card.len() == 16 && card.ends_with("1111") && card != "4111111111111111");
    assert!(placed["tokens"]["email"].as_str().unwrap().starts_with("tok_eu_"));
    assert_eq!((&placed["status"], placed["receipts"].as_array().unwrap().len()), (&json!("placed"), 1));
    assert_eq!(shell.ask(show)[0], placed);

    let settled = shell.ask(settle).remove(0);
    assert_eq!((&settled["status"], settled["receipts"].as_array().unwrap().len()), (&json!("settled"), 2));
    assert_eq!(settled["tokens"], placed["tokens"]);
    // To settle again reveals nothing again; the order sent again is the order that is there.
    assert_eq!(shell.ask(settle)[0], settled);
    assert_eq!(shell.ask(place)[0], settled);
    settled
}

/// What the README shows to be refused is refused, and explained to whom it concerns.
fn assert_refused(shell: &mut Shell, blocks: &[String]) {
    let [values, key, grant, tenant] = blocks else { panic!("four blocks") };
    let said = shell.ask(values).remove(0);
    let fields = json!([
        { "field": "card_number", "reason": "VALUE_REJECTED", "rule": "luhn" },
        { "field": "email", "reason": "VALUE_REJECTED", "rule": said["fields"][1]["rule"] },
    ]);
    assert_eq!(said["fields"], fields);
    assert!(said["fields"][1]["rule"].is_string());
    assert!(shell.ask(key)[0]["error"].as_str().unwrap().contains("other values"));

    let [placed, _health, refused, line] = &shell.ask(grant)[..] else { panic!("four answers") };
    assert_eq!(placed["status"], "placed");
    assert_eq!(refused, &json!({ "error": "this is our fault; our operators are told" }));
    assert_logged(line, "ACCESS_DENIED");
    let [_health, refused, line] = &shell.ask(tenant)[..] else { panic!("three answers") };
    assert!(refused["error"].as_str().unwrap().contains("not on file"), "{refused}");
    assert_logged(line, "TOKEN_NOT_FOUND");
}

/// What is wrong with a request or with the settings, beside the README.
fn assert_what_else_is_refused(shell: &mut Shell) {
    for settings in ["ORDERS_SETTLE_PURPOSE=analysis", "ORDERS_AUDIENCE=support"] {
        shell.restart(settings);
        assert_eq!(shell.send("/orders/A-1003/settle", "-X POST").0, 500, "{settings}");
        assert_logged(&shell.ask("tail -n 1 \"$DEMO/service.log\"")[0], "ACCESS_DENIED");
    }
    shell.restart("");
    assert_eq!(shell.send("/orders/A-1003/settle", "-X POST").0, 200);

    let body = r#"{"order": "A-9", "amount_cents": 1, "card_number": 4111111111111111, "email": "ada@example.com"}"#;
    let wrong = [
        ("/orders", format!("-H 'Idempotency-Key: k' -d '{body}'"), 400),
        ("/orders", order("k", "4111111111111111", "4111111111111111", "ada@example.com"), 400),
        ("/orders", order("", "A-9", "4111111111111111", "ada@example.com"), 400),
        ("/orders", order("k", "A-1001", "5555555555554444", "ada@example.com"), 409),
        ("/orders/4111111111111111", String::new(), 404),
        ("/orders/A-1002", String::new(), 404),
        ("/orders/A-1002/settle", "-X POST".to_owned(), 404),
    ];
    for (path, more, expected) in wrong {
        let (status, answer) = shell.send(path, &more);
        assert_eq!(status, expected, "{path} {more}: {answer}");
        assert!(VALUES.iter().all(|value| !answer.to_string().contains(value)), "{answer}");
    }
    let (status, said) = shell.send("/orders", &order("half", "A-9", "5555555555554444", "nobody"));
    assert_eq!((status, said["fields"].as_array().unwrap().len()), (422, 1), "{said}");
    assert_eq!(said["fields"][0]["field"], "email");
    let long = format!("-H 'Idempotency-Key: k' -d '{}'", "4".repeat(20_000));
    let said =
        shell.enter(&format!("curl -s -o /dev/null -w '%{{http_code}}' \"http://$ORDERS_LISTEN/orders\" {long}"));
    assert!(said.starts_with("413"), "{said}");
}

/// While the vault is away the service says so, and goes on when it is back: the same request then succeeds.
fn assert_patient(shell: &mut Shell) {
    let port = shell.enter("echo ${TOKENVAULT_ENDPOINT##*:}").trim().to_owned();
    shell.enter("kill $vault; wait $vault");
    assert!(!shell.demo.path().join("vault/client.env").exists(), "nobody listens there any more");
    let again = order("away", "A-1004", "4111111111111111", "ada@example.com");
    let said = shell.enter(&format!("curl -s -i \"http://$ORDERS_LISTEN/orders\" {again}")).to_lowercase();
    assert!(said.contains(" 503 ") && said.contains("retry-after: 1"), "{said}");
    assert_eq!(shell.send("/orders/A-1001", "").0, 200, "orders are shown without the vault");

    let vault = format!("tokenvault dev --serve --directory \"$DEMO/vault\" --port {port}");
    shell.enter(&format!("{vault} > \"$DEMO/vault.txt\" 2>&1 &\nvault=$!"));
    let clock = SystemClock::new();
    while shell.send("/orders", &again).0 != 201 {
        assert!(clock.monotonic() < RETURN_DEADLINE, "{}", shell.read("service.log"));
    }
}

/// The receipts that the service kept are those of the entries in the vault's log.
fn assert_in_the_log(entries: &[Value], order: &Value) {
    let of = |reference: &str, action: &str, decision: &str| -> Vec<&Value> {
        let fits = |entry: &&Value| {
            (&entry["reference"], &entry["action"], &entry["decision"])
                == (&json!(reference), &json!(action), &json!(decision))
        };
        entries.iter().filter(fits).collect()
    };
    for receipt in order["receipts"].as_array().unwrap() {
        let is_there = |entry: &&&Value| {
            ["origin", "index", "leaf_hash"].iter().all(|field| entry["receipt"][field] == receipt[field])
        };
        let found = of("A-1001", receipt["call"].as_str().unwrap(), "allowed");
        let entry = found.iter().find(is_there).unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!(entry["request_id"], receipt["request"]);
    }
    // Taken once and sent again once; sent under another key it did not come to the vault.
    assert_eq!(of("A-1001", "tokenize", "allowed").len(), 2);
    let revealed = of("A-1001", "detokenize", "allowed");
    assert_eq!(revealed.len(), 1, "a card is revealed once");
    assert_eq!(revealed[0]["principal"], "spiffe://dev.tokenvault.internal/payments");
    let denied = of("A-1003", "detokenize", "denied");
    assert!(denied.iter().any(|entry| entry["principal"] == "spiffe://dev.tokenvault.internal/support"), "{denied:?}");
}

/// Goes through the README with one of the services.
fn follow(language: &str) {
    let mut shell = Shell::start();
    let mut settled = Value::Null;
    for (heading, blocks) in guide() {
        match heading.as_str() {
            "The service in Rust" | "The service in Python" if !heading.ends_with(language) => {}
            "The vault" | "The service in Rust" | "The service in Python" => {
                assert_eq!(blocks.iter().map(|block| shell.enter(block)).collect::<String>(), "", "{heading}");
            }
            "Start it" => assert_eq!(shell.ask(&blocks[0]), [json!({ "status": "ok" })]),
            "An order" => settled = assert_settled(&mut shell, &blocks),
            "What is refused" => {
                assert_refused(&mut shell, &blocks);
                assert_what_else_is_refused(&mut shell);
            }
            "Who saw it" => {
                assert_in_the_log(&shell.ask(&blocks[0]), &settled);
                assert_patient(&mut shell);
            }
            "Stop" => {
                shell.enter(&blocks[0]);
                assert_eq!(shell.enter("jobs -r"), "", "all has ended");
            }
            _ => panic!("a heading that nobody follows: {heading}"),
        }
    }
    let kept = shell.kept();
    for value in VALUES {
        assert!(!holds(&kept, value), "the service kept {value}");
    }
    let card = settled["tokens"]["card_number"].as_str().unwrap();
    assert!(holds(&kept, card) && !shell.read("service.log").contains(card), "tokens are kept, and not logged");
}

#[test]
fn the_service_in_rust_keeps_tokens_and_does_what_its_readme_says() {
    follow("Rust");
}

#[test]
fn the_service_in_python_keeps_tokens_and_does_what_its_readme_says() {
    follow("Python");
}
