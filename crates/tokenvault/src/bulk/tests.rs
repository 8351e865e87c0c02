//! Files through the pipeline, with a vault that is made up.

use std::{io::Cursor, sync::Mutex};

use vault_domain::SystemClock;

use super::*;

/// What a made-up vault makes of a cell.
type Answering = fn(&[u8]) -> Result<Vec<u8>, ClientError>;

struct Outcome {
    statistics: Result<Statistics, Failure>,
    output: String,
    rejects: String,
}

const ROUTE: &str = "a=email";

/// Runs a text through the pipeline; cells of the columns in `rules` go to `answering`, later calls answer first.
async fn run(input: &str, rules: &[&str], keep_empty: bool, answering: Answering) -> Outcome {
    let rules: Vec<_> = rules.iter().map(|rule| ColumnRule::parse(rule).unwrap()).collect();
    let reader = Cursor::new(input.as_bytes().to_vec());
    let rows = Rows::read(reader, b',', keep_empty, |header| Columns::locate(&rules, header)).unwrap();
    let open = Arc::new(Mutex::new((0_usize, 0_usize)));
    let most = open.clone();
    let exchange = move |items: Vec<Item>| {
        let open = open.clone();
        let results = items
            .into_iter()
            .map(|item| answering(&item.cell).map(|cell| Replacement { cell: Zeroizing::new(cell), created: true }));
        let results: Vec<_> = results.collect();
        async move {
            let before = {
                let mut open = open.lock().unwrap();
                open.0 += 1;
                open.1 = open.1.max(open.0);
                open.0
            };
            tokio::time::sleep(Duration::from_millis(20_u64.saturating_sub(before as u64 * 5))).await;
            open.lock().unwrap().0 -= 1;
            Ok(Exchanged { results, calls: Vec::new(), conflicts: 0 })
        }
    };
    let pipeline = Pipeline { rows, in_flight_max: 3, clock: Arc::new(SystemClock::new()), exchange };
    let (mut output, mut rejects) = (csv::Writer::from_writer(Vec::new()), csv::Writer::from_writer(Vec::new()));
    let statistics = pipeline.run(&mut output, &mut rejects, |_| Ok(()), |_| {}).await;
    assert!(most.lock().unwrap().1 <= 3, "too many calls were open at once");
    let text = |writer: csv::Writer<Vec<u8>>| String::from_utf8(writer.into_inner().unwrap()).unwrap();
    Outcome { statistics, output: text(output), rejects: text(rejects) }
}

fn reversed(cell: &[u8]) -> Result<Vec<u8>, ClientError> {
    Ok(cell.iter().rev().copied().collect())
}

/// Refuses what begins with `x`.
fn picky(cell: &[u8]) -> Result<Vec<u8>, ClientError> {
    if cell.starts_with(b"x") { Err(refused(vault_client::Code::InvalidArgument)) } else { reversed(cell) }
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

#[tokio::test]
async fn rows_keep_their_order_and_the_other_cells_their_content() {
    let mut input = "id,a\n".to_owned();
    let mut expected = input.clone();
    for number in 0..5000 {
        input.push_str(&format!("{number},\"v,{number}\"\n"));
        expected.push_str(&format!("{number},\"{},v\"\n", number.to_string().chars().rev().collect::<String>()));
    }
    let outcome = run(&input, &[ROUTE], false, reversed).await;
    let statistics = outcome.statistics.unwrap();
    assert_eq!(outcome.output, expected);
    assert_eq!((statistics.rows_in, statistics.rows_out, statistics.rows_rejected), (5000, 5000, 0));
    assert_eq!((statistics.values, statistics.created), (5000, 5000));
}

#[tokio::test]
async fn a_row_is_written_or_rejected_and_the_reject_holds_no_value() {
    let input = "a,b\nsecret1,1\nxsecret2,2\nsecret3\nsecret4,4,4\nsecret5,xsecret\nxsecret6,xsecret\n";
    let outcome = run(input, &["a=email", "b=email"], false, picky).await;
    let statistics = outcome.statistics.unwrap();
    assert_eq!(outcome.output, "a,b\n1terces,1\n");
    assert_eq!((statistics.rows_in, statistics.rows_out, statistics.rows_rejected), (6, 1, 5));
    assert!(!outcome.rejects.contains("secret"), "{}", outcome.rejects);
    let lines: Vec<_> = outcome.rejects.lines().collect();
    assert_eq!(lines[0], "row,line,column,reason,rule,remedy,request_id,others");
    assert!(lines[1].starts_with("2,3,a,VALUE_REJECTED,luhn,correct the value;"), "{}", lines[1]);
    assert!(lines[2].starts_with("3,4,,ROW_MALFORMED,"), "{}", lines[2]);
    assert!(lines[3].starts_with("4,5,,ROW_MALFORMED,"), "{}", lines[3]);
    assert!(lines[4].starts_with("5,6,b,VALUE_REJECTED,"), "{}", lines[4]);
    assert!(lines[5].starts_with("6,7,a,VALUE_REJECTED,") && lines[5].ends_with("b=VALUE_REJECTED"), "{}", lines[5]);
}

#[tokio::test]
async fn empty_cells_stay_when_that_is_asked_for() {
    let outcome = run("a,b\n,1\nxy,2\nz,3\n", &[ROUTE], true, picky).await;
    assert_eq!(outcome.output, "a,b\n,1\nz,3\n");
    assert_eq!(outcome.statistics.unwrap().values, 1);
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
}

#[tokio::test]
async fn who_lost_against_others_tries_again_a_bounded_number_of_times() {
    async fn sent(error: ClientError, succeeds_on: u64) -> (Result<u64, ClientError>, u64) {
        let sends = std::cell::Cell::new(0);
        let exchanged = until_unopposed(|| {
            sends.set(sends.get() + 1);
            let sent = if sends.get() < succeeds_on { Err(error.clone()) } else { Ok((Vec::new(), Vec::new())) };
            std::future::ready(sent)
        });
        (exchanged.await.map(|exchanged| exchanged.conflicts), sends.get())
    }
    let conflict = || refused_for(vault_client::Code::Aborted, Reason::CommitConflict);
    assert!(matches!(sent(conflict(), 3).await, (Ok(2), 3)));
    assert!(matches!(sent(conflict(), u64::MAX).await, (Err(_), sends) if sends == CONFLICTS_MAX + 1));
    assert!(matches!(sent(refused(vault_client::Code::Internal), 2).await, (Err(_), 1)), "only conflicts pass");
}

#[test]
fn many_columns_never_pass_the_items_of_a_call() {
    let names: Vec<_> = (0..7).map(|n| format!("c{n}")).collect();
    let rules: Vec<_> = names.iter().map(|name| ColumnRule::parse(&format!("{name}=email")).unwrap()).collect();
    let input = format!("{}\n{}", names.join(","), "1,2,3,4,5,6,7\n".repeat(1000));
    let mut rows = Rows::read(Cursor::new(input), b',', false, |header| Columns::locate(&rules, header)).unwrap();
    let mut total = 0;
    loop {
        let batch = rows.next_batch().unwrap();
        if batch.rows.is_empty() {
            break;
        }
        assert_eq!(batch.items.len(), batch.rows.len() * 7, "rows stay whole");
        assert!(batch.items.len() <= vault_domain::limits::BATCH_ITEMS_MAX);
        total += batch.rows.len();
    }
    assert_eq!(total, 1000);
}

#[test]
fn a_file_takes_its_name_only_when_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut writer = csv_writer(&path, b',').unwrap();
    writer.write_record(["a"]).unwrap();
    assert!(!path.exists());
    keep(writer, &path, false).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a\n");
    assert!(keep(csv_writer(&path, b',').unwrap(), &path, false).is_err(), "it is there already");
    drop(csv_writer(&path, b',').unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn delimiters_are_one_character() {
    assert_eq!(parse_delimiter(";"), Ok(b';'));
    assert_eq!(parse_delimiter("\\t"), Ok(b'\t'));
    for bad in ["", ";;", "\"", "\n", "ä"] {
        assert!(parse_delimiter(bad).is_err(), "{bad:?}");
    }
    assert!(parse_in_flight("0").is_err() && parse_in_flight("65").is_err() && parse_in_flight("64").is_ok());
}
