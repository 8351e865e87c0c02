//! Files through the pipeline, with a vault that is made up.

use std::{
    fs,
    io::Cursor,
    sync::{Arc, Mutex},
};

use tempfile::TempDir;
use vault_client::ClientError;
use vault_domain::{Audience, ManualClock, Millis, Reason, Region};
use zeroize::Zeroizing;

use super::{
    exchange::{Exchanged, Replacement},
    rows::Item,
    *,
};

/// What a made-up vault makes of a value.
type Answering = fn(&[u8]) -> Result<Vec<u8>, ClientError>;

const ROUTE: &str = "a=email";
const NOW: Millis = Millis(1_800_000_000_000);

/// A folder with the files of a job.
struct Desk {
    folder: TempDir,
    job: Job,
    clock: ManualClock,
}

struct Outcome {
    statistics: Result<Statistics, Failure>,
    output: String,
    rejects: String,
}

impl Desk {
    fn new(rules: &[&str], format: Format) -> Self {
        let columns = rules.iter().map(|rule| ColumnRule::parse(rule).unwrap()).collect();
        let context = CallContext {
            region: Region::parse("eu").unwrap(),
            audience: Audience::parse("payments").unwrap(),
            purpose: None,
            reference: None,
            idempotency: vault_client::Idempotency::Automatic,
        };
        let job = Job {
            way: Way::Tokenize(vault_client::NewLife::default()),
            context,
            shape: Shape { format, delimiter: b',', keep_empty: false, columns },
            overwrite: false,
            begin: Begin::Either,
            danger_resume_late: false,
            in_flight: NonZeroUsize::new(3).unwrap(),
        };
        Self { folder: tempfile::tempdir().unwrap(), job, clock: ManualClock::at(NOW) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        let names =
            fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.retain(|name| name != "in.csv");
        names.sort_unstable();
        names
    }

    /// Runs a text through the pipeline; later calls answer first, and those from number `away` on not at all.
    async fn run(&self, input: &[u8], answering: Answering, away: usize) -> (Result<Statistics, Failure>, Vec<String>) {
        let paths = [self.path("in.csv"), self.path("out"), self.path("rejects")];
        let [input_path, output, rejects] = &paths;
        let files = Files { input: input_path, output, rejects };
        let keys = Arc::new(Mutex::new(Vec::new()));
        let open = Arc::new(Mutex::new((0_usize, 0_usize)));
        let (sent, most) = (keys.clone(), open.clone());
        let exchange = move |batch: u64, items: Vec<Item>| {
            let number = {
                let mut sent = sent.lock().unwrap();
                sent.push(batch.to_string());
                sent.len()
            };
            let results = items.into_iter().map(|item| {
                answering(&item.value).map(|value| Replacement {
                    value: Zeroizing::new(value),
                    created: true,
                    masked: false,
                })
            });
            let results: Vec<_> = results.collect();
            let open = open.clone();
            async move {
                let before = {
                    let mut open = open.lock().unwrap();
                    open.0 += 1;
                    open.1 = open.1.max(open.0);
                    open.0
                };
                tokio::time::sleep(Duration::from_millis(20_u64.saturating_sub(before as u64 * 5))).await;
                open.lock().unwrap().0 -= 1;
                if number > away {
                    return Err(ClientError::Transport { problem: "it went away".to_owned() });
                }
                Ok(Exchanged { results, calls: Vec::new() })
            }
        };
        let done = async {
            let rows = Rows::open(Cursor::new(input.to_vec()), self.job.shape.clone())?;
            let clock = Arc::new(self.clock.clone());
            let mut targets = Targets::take(&self.job, files, (rows.head(), &rows.digest()), clock, &SystemEntropy)?;
            let clock = Arc::new(SystemClock::new());
            let mut pipeline = Pipeline { rows, in_flight_max: 3, clock, exchange };
            let done = pipeline.run(&mut targets, |_| Ok(()), |_| {}).await;
            let (statistics, digest) = done.map_err(|failure| targets.explain(failure))?;
            targets.finish(&digest, &statistics)?;
            Ok(statistics)
        };
        let done = done.await;
        assert!(most.lock().unwrap().1 <= 3, "too many calls were open at once");
        let keys = keys.lock().unwrap().clone();
        (done, keys)
    }
}

async fn run_as(input: &str, rules: &[&str], format: Format, keep_empty: bool, answering: Answering) -> Outcome {
    let mut desk = Desk::new(rules, format);
    desk.job.shape.keep_empty = keep_empty;
    let (statistics, _) = desk.run(input.as_bytes(), answering, usize::MAX).await;
    Outcome { statistics, output: desk.text("out"), rejects: desk.text("rejects") }
}

async fn run(input: &str, rules: &[&str], keep_empty: bool, answering: Answering) -> Outcome {
    run_as(input, rules, Format::Csv, keep_empty, answering).await
}

fn reversed(value: &[u8]) -> Result<Vec<u8>, ClientError> {
    Ok(value.iter().rev().copied().collect())
}

/// Refuses what begins with `x`.
fn picky(value: &[u8]) -> Result<Vec<u8>, ClientError> {
    if value.starts_with(b"x") { Err(refused(vault_client::Code::InvalidArgument)) } else { reversed(value) }
}

fn refused(code: vault_client::Code) -> ClientError {
    refused_for(code, Reason::ValueRejected)
}

fn refused_for(code: vault_client::Code, reason: Reason) -> ClientError {
    ClientError::Refused(Box::new(vault_client::Refusal {
        code,
        reason_name: reason.name().to_owned(),
        reason: Some(reason),
        message: "not a valid value: correct it".to_owned(),
        request_id: None,
        violations: Vec::new(),
        retry_after: None,
        metadata: std::collections::BTreeMap::from([("rule".to_owned(), "luhn".to_owned())]),
    }))
}

/// Rows of which each holds its number, and what the made-up vault makes of them.
fn numbered(rows: usize) -> (String, String) {
    let (mut input, mut expected) = ("id,a\n".to_owned(), "id,a\n".to_owned());
    for number in 0..rows {
        input.push_str(&format!("{number},\"v,{number}\"\n"));
        expected.push_str(&format!("{number},\"{},v\"\n", number.to_string().chars().rev().collect::<String>()));
    }
    (input, expected)
}

#[tokio::test]
async fn rows_keep_their_order_and_the_other_cells_their_content() {
    let (input, expected) = numbered(5000);
    let outcome = run(&input, &[ROUTE], false, reversed).await;
    let statistics = outcome.statistics.unwrap();
    assert_eq!(outcome.output, expected);
    assert_eq!((statistics.rows_in, statistics.rows_out, statistics.rows_rejected), (5000, 5000, 0));
    assert_eq!((statistics.values, statistics.created), (5000, 5000));
    assert_eq!((statistics.bytes_in, statistics.bytes_out), (input.len() as u64, expected.len() as u64));
}

#[tokio::test]
async fn a_row_is_written_or_rejected_and_the_reject_holds_no_value() {
    let input = "a,b\nsecret1,1\nxsecret2,2\nsecret3\nsecret4,4,4\nsecret5,xsecret\nxsecret6,xsecret\n\
                 \"secret7\"x,7\nsecret8,\n";
    let outcome = run(input, &["a=email", "b=email"], false, picky).await;
    let statistics = outcome.statistics.unwrap();
    assert_eq!(outcome.output, "a,b\n1terces,1\n");
    assert_eq!((statistics.rows_in, statistics.rows_out, statistics.rows_rejected), (8, 1, 7));
    assert_eq!((statistics.unused, statistics.refusals.values().sum::<u64>()), (2, 7));
    assert!(!outcome.rejects.contains("secret"), "{}", outcome.rejects);
    let lines: Vec<_> = outcome.rejects.lines().collect();
    assert_eq!(lines[0], "row,line,column,reason,rule,remedy,request_id,others");
    assert!(lines[1].starts_with("2,3,a,VALUE_REJECTED,luhn,correct the value;"), "{}", lines[1]);
    assert!(lines[2].starts_with("3,4,,ROW_MALFORMED,cells,"), "{}", lines[2]);
    assert!(lines[3].starts_with("4,5,,ROW_MALFORMED,cells,"), "{}", lines[3]);
    assert!(lines[4].starts_with("5,6,b,VALUE_REJECTED,"), "{}", lines[4]);
    assert!(lines[5].starts_with("6,7,a,VALUE_REJECTED,") && lines[5].ends_with("b=VALUE_REJECTED"), "{}", lines[5]);
    assert!(lines[6].starts_with("7,8,,ROW_MALFORMED,quote,"), "{}", lines[6]);
    assert!(lines[7].starts_with("8,9,b,VALUE_MISSING,"), "{}", lines[7]);
}

#[tokio::test]
async fn empty_cells_stay_when_that_is_asked_for() {
    let outcome = run("a,b\n,1\nxy,2\nz,3\n\"\",4\n", &[ROUTE], true, picky).await;
    assert_eq!(outcome.output, "a,b\n,1\nz,3\n\"\",4\n");
    assert_eq!(outcome.statistics.unwrap().values, 1);
}

#[tokio::test]
async fn a_value_that_json_cannot_hold_is_rejected() {
    let bytes = |_: &[u8]| Ok(b"\xff".to_vec());
    let outcome = run_as("{\"a\":\"v\"}\n", &[ROUTE], Format::Jsonl, false, bytes).await;
    assert!(outcome.rejects.contains("1,1,a,VALUE_NOT_TEXT,utf8,"), "{}", outcome.rejects);
    assert_eq!(outcome.output, "");
    assert_eq!(run("a\nv\n", &[ROUTE], false, |_| Ok(b"\xc3\xa9\n\"".to_vec())).await.output, "a\n\"é\n\"\"\"\n");
}

#[tokio::test]
async fn a_class_that_is_denied_ends_the_run() {
    let outcome = run("a,b\n1,1\n", &[ROUTE], false, |_| Err(refused(vault_client::Code::PermissionDenied))).await;
    let failure = outcome.statistics.unwrap_err();
    assert_eq!(failure.exit, Exit::Denied);
    assert!(failure.message().starts_with("column a:"), "{}", failure.message());
}

#[tokio::test]
async fn a_file_without_rows_is_done_at_once() {
    let outcome = run("a,b\n", &[ROUTE], false, reversed).await;
    assert_eq!(outcome.output, "a,b\n");
    assert_eq!(outcome.statistics.unwrap().rows_in, 0);
    assert_eq!(run_as("", &[ROUTE], Format::Jsonl, false, reversed).await.statistics.unwrap().rows_in, 0);
}

#[tokio::test]
async fn a_job_goes_on_under_the_same_names_wherever_it_was_cut() {
    let (input, expected) = numbered(9500);
    for away in 0..10 {
        let desk = Desk::new(&[ROUTE], Format::Csv);
        let (cut, first) = desk.run(input.as_bytes(), reversed, away).await;
        let said = cut.unwrap_err();
        assert!(said.message().contains("the same command goes on"), "{}", said.message());
        assert_eq!(desk.names(), ["out.partial", "out.progress", "rejects.partial"]);
        // Whatever stands behind what is known to be done is taken back.
        let partial = desk.text("out.partial") + "9999,half a ro";
        fs::write(desk.path("out.partial"), partial).unwrap();
        let (done, second) = desk.run(input.as_bytes(), reversed, usize::MAX).await;
        let done = done.unwrap();
        assert_eq!(desk.text("out"), expected, "cut after {away}");
        assert_eq!(desk.names(), ["out", "rejects"]);
        assert_eq!((done.rows_in, done.rows_out, done.values), (9500, 9500, 9500));
        let all: std::collections::BTreeSet<_> = first.iter().chain(&second).collect();
        assert_eq!(all.len(), 10, "the names of ten calls: {all:?}");
        assert!(second.len() >= 10 - away && second.len() <= 10, "cut after {away}: {second:?}");
    }
}

#[tokio::test]
async fn another_input_other_options_and_an_old_job_are_refused() {
    let (input, expected) = numbered(4500);
    let mut desk = Desk::new(&[ROUTE], Format::Csv);
    desk.run(input.as_bytes(), reversed, 2).await.0.unwrap_err();
    let others = [
        (input.replacen("v,7\"", "v,8\"", 1), "not the one"),
        (input.replacen("id,", "ID,", 1), "not the one"),
        (input[..2000].to_owned(), "not the one"),
    ];
    for (other, said) in others {
        let (refused, keys) = desk.run(other.as_bytes(), reversed, usize::MAX).await;
        let refused = refused.unwrap_err();
        assert!(refused.message().contains(said), "{}", refused.message());
        assert_eq!(keys, Vec::<String>::new(), "nothing was sent");
    }
    desk.job.shape.keep_empty = true;
    let refused = desk.run(input.as_bytes(), reversed, usize::MAX).await.0.unwrap_err();
    assert!(refused.message().contains("--keep-empty was false"), "{}", refused.message());
    desk.job.shape.keep_empty = false;
    // What was sent by the first run stays as old as it is, however far the next one comes.
    desk.clock.set_wall(NOW.saturating_add(Duration::from_secs(22 * 3600)));
    desk.run(input.as_bytes(), reversed, 1).await.0.unwrap_err();
    desk.clock.set_wall(NOW.saturating_add(Duration::from_secs(23 * 3600 + 1)));
    let refused = desk.run(input.as_bytes(), reversed, usize::MAX).await.0.unwrap_err();
    assert!(refused.message().contains("--danger-resume-late"), "{}", refused.message());
    desk.clock.set_wall(NOW.saturating_add(Duration::from_secs(23 * 3600 - 1)));
    desk.run(input.as_bytes(), reversed, usize::MAX).await.0.unwrap();
    assert_eq!(desk.text("out"), expected);
}

#[tokio::test]
async fn files_that_belong_to_no_job_are_kept() {
    let desk = Desk::new(&[ROUTE], Format::Csv);
    for name in ["out.partial", "rejects.partial", "out.progress"] {
        fs::write(desk.path(name), "precious").unwrap();
        desk.run(b"a\n1\n", reversed, usize::MAX).await.0.unwrap_err();
        assert_eq!(desk.names(), [name]);
        assert_eq!(desk.text(name), "precious");
        fs::remove_file(desk.path(name)).unwrap();
    }
    let (input, _) = numbered(4500);
    desk.run(input.as_bytes(), reversed, 2).await.0.unwrap_err();
    fs::write(desk.path("out.partial"), "id,a\n").unwrap();
    let refused = desk.run(input.as_bytes(), reversed, usize::MAX).await.0.unwrap_err();
    assert!(refused.message().contains("is shorter"), "{}", refused.message());
}

#[test]
fn a_job_that_was_cut_while_it_got_its_names_gets_them_all() {
    let (input, expected) = numbered(10);
    for given in 0..3 {
        let desk = Desk::new(&[ROUTE], Format::Csv);
        // Its name is taken meanwhile: the job is complete, and can't end.
        let (input_path, output, rejects) = (desk.path("in.csv"), desk.path("out"), desk.path("rejects"));
        fs::write(&input_path, &input).unwrap();
        let modified = fs::metadata(&input_path).unwrap().modified().unwrap();
        let files = Files { input: &input_path, output: &output, rejects: &rejects };
        let rows = Rows::open(Cursor::new(input.clone().into_bytes()), desk.job.shape.clone()).unwrap();
        let clock = Arc::new(desk.clock.clone());
        let head = (rows.head(), &rows.digest());
        let mut targets = Targets::take(&desk.job, files, head, clock, &SystemEntropy).unwrap();
        targets.write(&expected.as_bytes()[5..]).unwrap();
        fs::write(&rejects, "came meanwhile").unwrap();
        assert!(targets.finish(&rows.digest(), &Statistics::of_columns(1)).is_err());
        fs::remove_file(&rejects).unwrap();
        for (from, to) in [("rejects.partial", "rejects"), ("out.partial", "out")].into_iter().take(given) {
            fs::rename(desk.path(from), desk.path(to)).unwrap();
        }
        let mut other = Desk::new(&["id=email"], Format::Csv).job;
        assert!(targets::finish_complete(&other, &files, &desk.clock).is_err(), "other options");
        other.begin = Begin::Anew;
        assert!(targets::finish_complete(&other, &files, &desk.clock).unwrap().is_none());
        fs::write(&input_path, input.clone() + "11,\"v,11\"\n").unwrap();
        assert!(targets::finish_complete(&desk.job, &files, &desk.clock).is_err(), "another input");
        let changed = fs::metadata(&input_path).unwrap().modified().unwrap();
        assert_ne!(changed, modified);
        fs::write(&input_path, &input).unwrap();
        fs::File::options().write(true).open(&input_path).unwrap().set_modified(modified).unwrap();
        assert!(targets::finish_complete(&desk.job, &files, &desk.clock).unwrap().is_some());
        assert_eq!(desk.names(), ["out", "rejects"], "{given}");
        assert_eq!(desk.text("out"), expected);
    }
}

#[test]
fn many_columns_never_pass_the_items_of_a_call() {
    let names: Vec<_> = (0..7).map(|n| format!("c{n}")).collect();
    let columns = names.iter().map(|name| ColumnRule::parse(&format!("{name}=email")).unwrap()).collect();
    let input = format!("{}\n{}", names.join(","), "1,2,3,4,5,6,7\n".repeat(1000));
    let shape = Shape { format: Format::Csv, delimiter: b',', keep_empty: false, columns };
    let mut rows = Rows::open(Cursor::new(input), shape).unwrap();
    let mut total = 0;
    loop {
        let batch = rows.next_batch().unwrap();
        assert_eq!(batch.items.len(), batch.rows.len() * 7, "rows stay whole");
        assert!(batch.items.len() <= vault_domain::limits::BATCH_ITEMS_MAX);
        total += batch.rows.len();
        if batch.is_last {
            break;
        }
    }
    assert_eq!(total, 1000);
}

#[test]
fn delimiters_are_one_character() {
    assert_eq!(parse_delimiter(";"), Ok(b';'));
    assert_eq!(parse_delimiter("\\t"), Ok(b'\t'));
    for bad in ["", ";;", "\"", "\n", "ä", "\0"] {
        assert!(parse_delimiter(bad).is_err(), "{bad:?}");
    }
    assert!(parse_in_flight("0").is_err() && parse_in_flight("65").is_err() && parse_in_flight("64").is_ok());
}
