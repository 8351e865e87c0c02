//! What `tokenize` and `detokenize` share: where and why, items from arguments or standard input, results and receipts.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
};

use serde_json::{Value, json};
use vault_client::{Answer, CallContext, CallMade, Client, ClientError, HeldToken, Idempotency, Receipt};
use vault_domain::{Audience, DataClass, IdempotencyKey, Purpose, Reference, Region, TokenText, limits};

use crate::{
    exit::{Exit, Failure},
    output::{self, Column, Records},
};

/// Where, for whom and why.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ContextArguments {
    /// Where the records live, or shall live
    #[arg(long, value_parser = Region::parse)]
    pub(crate) region: Region,
    /// Who shall be able to reveal the tokens; for a reveal, the audience that you belong to
    #[arg(long, value_parser = Audience::parse)]
    pub(crate) audience: Audience,
    /// Why: the name of a purpose in the catalog
    #[arg(long, value_parser = Purpose::parse)]
    pub(crate) purpose: Option<Purpose>,
    /// A ticket or an order, for the access log
    #[arg(long, value_parser = Reference::parse)]
    pub(crate) reference: Option<Reference>,
    /// Append the receipts to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) receipts: Option<PathBuf>,
}

impl ContextArguments {
    pub(crate) fn context(&self, key: Option<IdempotencyKey>) -> CallContext {
        CallContext {
            region: self.region.clone(),
            audience: self.audience.clone(),
            purpose: self.purpose.clone(),
            reference: self.reference.clone(),
            idempotency: key.map_or(Idempotency::Automatic, Idempotency::Key),
        }
    }
}

/// The arguments that `tokenize`, `detokenize` and `token describe` share.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ItemArguments {
    /// The data class
    #[arg(long, value_parser = DataClass::parse)]
    pub(crate) class: DataClass,
    #[command(flatten)]
    pub(crate) context: ContextArguments,
    /// Items, or - to read them from standard input, one a line. Others can see what is given here
    #[arg(value_name = "ITEM|-", default_value = "-")]
    pub(crate) items: Vec<String>,
    #[command(flatten)]
    pub(crate) output: output::OutputArguments,
    #[command(flatten)]
    pub(crate) connection: crate::connection::Connection,
}

/// The name of a request, for the commands whose repeats the vault can tell.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NameArgument {
    /// A name for this request, so that it can be repeated safely; at most 1000 items then
    #[arg(long, value_name = "KEY", value_parser = IdempotencyKey::parse)]
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

/// Sends the items batch by batch, under the name `key` if there is one, writes what `show` makes of each result, and
/// keeps the receipts. `what` names an item for messages; `call` makes the call for one batch.
pub(crate) async fn exchange<T>(
    arguments: ItemArguments,
    key: Option<IdempotencyKey>,
    what: &str,
    columns: &'static [Column],
    call: impl AsyncFn(&Client, &CallContext, Vec<Vec<u8>>) -> Result<Answer<T>, Failure>,
    show: impl Fn(&T) -> Value,
) -> Result<Exit, Failure> {
    let mut items = Items::open(&arguments.items, what)?;
    let mut receipts = Receipts::open(arguments.context.receipts.as_ref())?;
    let client = arguments.connection.connect().await?;
    let named = key.is_some();
    let context = arguments.context.context(key);
    let mut records = Records::new(output::stdout(), arguments.output.form(), columns);
    let mut tally = Tally::default();
    let mut batch = items.next_batch()?;
    while !batch.is_empty() {
        let next = items.next_batch()?;
        if named && !next.is_empty() {
            return Err(Failure::usage("an idempotency key names one request of at most 1000 items; there are more"));
        }
        let answer = call(&client, &context, batch).await?;
        receipts.keep(&answer.calls)?;
        for result in &answer.results {
            match result {
                Ok(result) => records.push(&show(result))?,
                Err(error) => {
                    tally.count(error);
                    records.push(&json!({"error": error_json(error)}))?;
                }
            }
        }
        batch = next;
    }
    records.finish()?;
    Ok(tally.exit())
}

/// Tokens of one class as they were given.
pub(crate) fn held_tokens(class: &DataClass, batch: Vec<Vec<u8>>) -> Result<Vec<HeldToken>, Failure> {
    let held = |token| {
        let text = String::from_utf8(token).map_err(|_| Failure::usage("a token is text in UTF-8; one is not"))?;
        Ok(HeldToken { class: class.clone(), token: TokenText::new(text) })
    };
    batch.into_iter().map(held).collect()
}

/// Where items come from, in batches of at most one request's size.
pub(crate) enum Items {
    Given(Option<Vec<Vec<u8>>>),
    Lines(Box<dyn BufRead>),
}

impl Items {
    /// `-` alone means standard input; `what` names an item for messages.
    pub(crate) fn open(given: &[String], what: &str) -> Result<Self, Failure> {
        match given {
            [only] if only == "-" => {
                let input = io::stdin();
                if input.is_terminal() {
                    output::note(&format!("reading from the terminal: one {what} a line, Ctrl-D at the end"));
                }
                Ok(Self::Lines(Box::new(input.lock())))
            }
            given if given.iter().any(|item| item == "-") => {
                Err(Failure::usage("- stands for standard input and can't be mixed with items"))
            }
            given if given.len() > limits::BATCH_ITEMS_MAX => {
                Err(Failure::usage("more than 1000 items; send them by standard input"))
            }
            given => {
                output::warn(&format!(
                    "a {what} given as an argument can be seen in the list of processes and in the shell's history; \
                     send it by standard input"
                ));
                Ok(Self::Given(Some(given.iter().map(|item| item.clone().into_bytes()).collect())))
            }
        }
    }

    /// The next batch; an empty one at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        match self {
            Self::Given(items) => Ok(items.take().unwrap_or_default()),
            Self::Lines(lines) => read_lines(&mut **lines),
        }
    }
}

/// Up to one request's lines, without their ends.
pub(crate) fn read_lines(lines: &mut dyn BufRead) -> Result<Vec<Vec<u8>>, Failure> {
    // One more than is allowed, so that a line that is too long is seen as such.
    let line_bytes_max = u64::try_from(limits::VALUE_BYTES_MAX + 2).unwrap_or(u64::MAX);
    let mut batch = Vec::new();
    while batch.len() < limits::BATCH_ITEMS_MAX {
        let mut line = Vec::new();
        if io::Read::take(&mut *lines, line_bytes_max).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        } else if line.len() > limits::VALUE_BYTES_MAX {
            return Err(Failure::new(Exit::Failure, "a line of standard input is longer than 65536 bytes"));
        }
        batch.push(line);
    }
    Ok(batch)
}

/// Counts what became of the items.
#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    denied: u64,
}

impl Tally {
    fn count(&mut self, error: &ClientError) {
        self.refused += 1;
        self.denied += u64::from(error.is_denial());
    }

    /// How the command ends: as a denial only when nothing but denials stood in the way.
    fn exit(&self) -> Exit {
        match (self.refused, self.denied) {
            (0, _) => Exit::Done,
            (refused, denied) if refused == denied => Exit::Denied,
            _ => Exit::Failure,
        }
    }
}

/// Why an item has no result, as JSON.
pub(crate) fn error_json(error: &ClientError) -> Value {
    let refusal = error.refusal();
    json!({
        "code": refusal.map(|refusal| format!("{:?}", refusal.code)),
        "reason": refusal.map(|refusal| refusal.reason_name.clone()),
        "rule": refusal.and_then(|refusal| refusal.metadata.get("rule")),
        "metadata": refusal.map(|refusal| &refusal.metadata).filter(|metadata| !metadata.is_empty()),
        "message": refusal.map_or_else(|| error.to_string(), |refusal| refusal.message.clone()),
        "remedy": refusal.and_then(|refusal| refusal.remedy()),
        "retry_after_ms": refusal.and_then(|refusal| refusal.retry_after).map(|after| after.as_millis()),
        "request_id": error.request_id().map(|id| id.to_string()),
    })
}

/// A receipt as JSON.
pub(crate) fn receipt_json(receipt: &Receipt) -> Value {
    json!({
        "origin": receipt.origin.as_str(),
        "index": receipt.index.0,
        "leaf_hash": hex(&receipt.leaf.0),
        "log_id": hex(&receipt.log_id.0),
    })
}

/// Lowercase hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// So many bytes of hex digits of either case, and nothing else: no sign, as numbers may have.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; N];
    if !rest.is_empty() || pairs.len() != N {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// A file that receipts are appended to, if one was asked for.
pub(crate) struct Receipts(Option<(PathBuf, File)>);

impl Receipts {
    pub(crate) fn open(path: Option<&PathBuf>) -> Result<Self, Failure> {
        let open = |path: &PathBuf| OpenOptions::new().create(true).append(true).open(path);
        let opened = path.map(|path| open(path).map(|file| (path.clone(), file)).map_err(|e| Failure::file(path, e)));
        opened.transpose().map(Self)
    }

    /// Appends the receipts of the calls that have one.
    pub(crate) fn keep(&mut self, calls: &[CallMade]) -> Result<(), Failure> {
        self.append(calls.iter().filter_map(|call| call.outcome.as_ref().ok()))
    }

    /// Appends receipts.
    pub(crate) fn append<'r>(&mut self, receipts: impl IntoIterator<Item = &'r Receipt>) -> Result<(), Failure> {
        let Some((path, file)) = &mut self.0 else { return Ok(()) };
        let lines: String = receipts.into_iter().map(|receipt| format!("{}\n", receipt_json(receipt))).collect();
        file.write_all(lines.as_bytes()).map_err(|error| Failure::file(path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_digits_are_read_as_they_are_written_and_nothing_else_is() {
        assert_eq!(unhex(&hex(&[0, 0xab, 255])), Some([0, 0xab, 255]));
        for bad in ["", "0", "+a", "0x", "abcd", "é"] {
            assert_eq!(unhex::<1>(bad), None, "{bad}");
        }
    }

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        let mut input = io::Cursor::new(b"one\r\n two \n\nlast".to_vec());
        assert_eq!(read_lines(&mut input).unwrap(), [&b"one"[..], b" two ", b"", b"last"]);
        assert!(read_lines(&mut input).unwrap().is_empty());
    }

    #[test]
    fn batches_hold_what_a_request_may() {
        let mut input = io::Cursor::new(b"x\n".repeat(limits::BATCH_ITEMS_MAX + 1));
        assert_eq!(read_lines(&mut input).unwrap().len(), limits::BATCH_ITEMS_MAX);
        assert_eq!(read_lines(&mut input).unwrap().len(), 1);
    }

    #[test]
    fn a_line_longer_than_a_value_is_refused_and_not_cut() {
        let longest = limits::VALUE_BYTES_MAX;
        let mut input = io::Cursor::new([b"x".repeat(longest), b"\n".to_vec()].concat());
        assert_eq!(read_lines(&mut input).unwrap()[0].len(), longest);
        let mut input = io::Cursor::new(b"x".repeat(longest + 3));
        assert!(read_lines(&mut input).is_err());
    }

    #[test]
    fn only_denials_end_as_a_denial() {
        assert_eq!(Tally::default().exit(), Exit::Done);
        assert_eq!(Tally { refused: 2, denied: 2 }.exit(), Exit::Denied);
        assert_eq!(Tally { refused: 2, denied: 1 }.exit(), Exit::Failure);
    }

    #[test]
    fn a_dash_stands_alone() {
        assert!(Items::open(&["-".to_owned(), "x".to_owned()], "value").is_err());
        assert!(Items::open(&vec!["x".to_owned(); 1001], "value").is_err());
    }
}
