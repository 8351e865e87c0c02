//! One witness, asked to cosign one checkpoint (c2sp.org/tlog-witness, `add-checkpoint`).

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use vault_engine::{AddCheckpoint, Note, OutsideLog, SignedCheckpoint, TreeSize, WitnessKey};

use crate::http_client::Endpoint;

/// How long the whole of it may take, a second question included.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest answer that is read: many cosignatures, as those of witnesses with several keys.
const ANSWER_BYTES_MAX: usize = 32 * 1024;
/// Questions for one checkpoint: the first may be told where the witness is, the second may be overtaken.
const QUESTIONS_MAX: usize = 3;

/// A witness that takes checkpoints.
pub(super) struct Witness {
    pub(super) name: String,
    pub(super) key: WitnessKey,
    pub(super) endpoint: Endpoint,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It cosigned: its signature line, without a newline.
    Cosigned(String),
    /// It has cosigned a longer log of this name: this one is an old copy, or another history.
    Ahead(u64),
    /// It does not take this log for the one that it knows.
    Contradicted,
    /// It gave no cosignature, for another reason.
    Failed(String),
}

impl Witness {
    /// Asks it to cosign. `known` is how far it was of this log, as far as is known, and is set to what it says.
    pub(super) async fn ask(&self, log: &OutsideLog, newest: &SignedCheckpoint, known: &mut u64) -> Outcome {
        match tokio::time::timeout(DEADLINE, self.converse(log, newest, known)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(problem)) => Outcome::Failed(problem),
            Err(_) => Outcome::Failed(format!("no answer within {} s", DEADLINE.as_secs())),
        }
    }

    async fn converse(&self, log: &OutsideLog, newest: &SignedCheckpoint, known: &mut u64) -> Result<Outcome, String> {
        if *known > newest.size {
            *known = 0;
        }
        for _ in 0..QUESTIONS_MAX {
            // Every log begins with the empty one: nothing is to be proved.
            let proof = match *known {
                0 => Vec::new(),
                old => log.prove_growth(old, newest.size).await.map_err(|error| error.reason().text().to_owned())?,
            };
            let request = AddCheckpoint { old: TreeSize(*known), proof, checkpoint: newest.note.clone() };
            let (status, body) = self.post(request.text()).await?;
            match status {
                StatusCode::OK => {
                    let line = self.cosignature(&newest.note, body)?;
                    *known = newest.size;
                    return Ok(Outcome::Cosigned(line));
                }
                StatusCode::CONFLICT => match size(&body) {
                    Some(size) if size > newest.size => return Ok(Outcome::Ahead(size)),
                    Some(size) if size != *known => *known = size,
                    // It was asked from where it is: it has another root for the same size.
                    _ if *known == newest.size => return Ok(Outcome::Contradicted),
                    _ => return Err("it answered 409 without the size that it is at".to_owned()),
                },
                StatusCode::UNPROCESSABLE_ENTITY => return Ok(Outcome::Contradicted),
                status => return Err(refusal(status)),
            }
        }
        Err("it is told of other checkpoints of this log meanwhile".to_owned())
    }

    async fn post(&self, body: String) -> Result<(StatusCode, Vec<u8>), String> {
        let path = format!("{}/add-checkpoint", self.endpoint.path().trim_end_matches('/'));
        let request = Request::post(path).header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
        self.endpoint.ask(request, Bytes::from(body), ANSWER_BYTES_MAX).await
    }

    /// The witness's line in its answer, once its signature is checked. Lines of others are passed over.
    fn cosignature(&self, note: &str, answer: Vec<u8>) -> Result<String, String> {
        let malformed = "its answer holds no signature lines";
        let answer = String::from_utf8(answer).map_err(|_| malformed)?;
        let cosigned = format!("{note}{answer}");
        let cosigned = Note::parse(&cosigned).map_err(|_| malformed)?;
        self.key.verify(&cosigned).map(|cosignature| cosignature.line).map_err(|error| error.to_string())
    }
}

/// What an answer means that is neither of the good ones.
fn refusal(status: StatusCode) -> String {
    let why = match status {
        StatusCode::BAD_REQUEST => "it does not understand the request",
        StatusCode::FORBIDDEN => "it knows the log by another key: give it this log's verifier key",
        StatusCode::NOT_FOUND => "it does not know the log, or has another address: give it this log's verifier key",
        _ => "redirects are not followed",
    };
    format!("it answered {}: {why}", status.as_u16())
}

/// The size that an answer states: decimal, with a newline.
fn size(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
