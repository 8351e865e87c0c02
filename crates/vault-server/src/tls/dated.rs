//! Certificates and revocation lists by their times: since when and until when they are good, and when to warn.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustls::pki_types::CertificateDer;
use vault_domain::Millis;
use x509_parser::{
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use super::{TlsError, file};

/// How long before its end a revocation list is warned of, at most.
const LIST_WARNING: Duration = Duration::from_secs(24 * 3600);
/// The part of its time that is the last of whatever is dated: what is renewed every hour is not warned of for a
/// fortnight.
const LAST_PART: u64 = 4;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FileKind {
    /// The server's certificate and its chain.
    Certificate,
    /// The same from the SPIFFE Workload API at this socket.
    WorkloadApi,
    /// An authority of clients.
    ClientCa,
    /// A revocation list of such an authority.
    ClientCrl,
}

impl FileKind {
    /// The key of the configuration that names it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Certificate => "tls.certificate",
            Self::WorkloadApi => "tls.workload_api",
            Self::ClientCa => "tls.client_ca",
            Self::ClientCrl => "tls.client_crl",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Certificate => "the server certificate",
            Self::WorkloadApi => "the certificate of the Workload API",
            Self::ClientCa => "the client CA",
            Self::ClientCrl => "the revocation list",
        }
    }
}

/// A certificate or a list, and its times in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dated {
    pub(crate) kind: FileKind,
    pub(crate) path: PathBuf,
    /// Which one of the file, from 1.
    pub(crate) number: usize,
    /// Since when it is good: `notBefore`, `thisUpdate` (RFC 5280 sections 4.1.2.5 and 5.1.2.4).
    pub(crate) not_before: u64,
    /// Until when: `notAfter`, `nextUpdate`.
    pub(crate) not_after: u64,
}

/// What can be wrong with a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// It is good.
    Good,
    /// Its time has not begun.
    Early,
    /// Its time ends soon.
    EndsSoon,
    /// Its time is over.
    Over,
}

impl Dated {
    /// The times of a file's certificates.
    pub(super) fn of_certificates(
        kind: FileKind,
        path: &Path,
        certificates: &[CertificateDer<'_>],
    ) -> Result<Vec<Self>, TlsError> {
        let of = |(number, der): (usize, &CertificateDer<'_>)| {
            let (_, read) = X509Certificate::from_der(der)
                .map_err(|_| file(kind.what(), path, &"holds a certificate that can't be read"))?;
            let (not_before, not_after) = (seconds(read.validity().not_before), seconds(read.validity().not_after));
            Ok(Self { kind, path: path.to_owned(), number, not_before, not_after })
        };
        (1..).zip(certificates).map(of).collect()
    }

    /// How its time stands at `now`, warned of `warning` before its end.
    pub(crate) fn timing(&self, now: Millis, warning: Duration) -> Timing {
        let now = now.0 / 1000;
        let longest = if self.kind == FileKind::ClientCrl { warning.min(LIST_WARNING) } else { warning };
        let last_part = self.not_after.saturating_sub(self.not_before) / LAST_PART;
        match self.not_after.saturating_sub(now) {
            _ if now < self.not_before => Timing::Early,
            0 => Timing::Over,
            left if left < longest.as_secs().min(last_part) => Timing::EndsSoon,
            _ => Timing::Good,
        }
    }

    /// Which one it is, for people.
    pub(crate) fn name(&self) -> String {
        format!("{}, number {}", self.path.display(), self.number)
    }

    /// What its time means and what to do about it.
    pub(crate) fn text(&self, now: Millis, timing: Timing) -> String {
        let left = span(self.not_after.saturating_sub(now.0 / 1000));
        let age = span((now.0 / 1000).saturating_sub(self.not_before));
        match (timing, self.kind) {
            (Timing::Good, _) => format!("is {age} old and ends in {left}"),
            (Timing::Early, _) => "is not valid yet: look at the clock, and at the file".to_owned(),
            (Timing::EndsSoon, FileKind::ClientCrl) => {
                format!("expires in {left}; then every client is refused: fetch a fresh list")
            }
            (Timing::EndsSoon, _) => format!("expires in {left}: issue a new one"),
            (Timing::Over, FileKind::WorkloadApi) => {
                "has expired: no client accepts it; see why the agent gives no other".to_owned()
            }
            (Timing::Over, FileKind::Certificate) => "has expired: no client accepts it; issue a new one".to_owned(),
            (Timing::Over, FileKind::ClientCa) => {
                "has expired: no client of it is accepted; issue a new one, or take it out".to_owned()
            }
            (Timing::Over, FileKind::ClientCrl) => {
                "has expired: every client of its authority is refused; fetch a fresh list".to_owned()
            }
        }
    }
}

/// A number of seconds for people.
fn span(seconds: u64) -> String {
    match seconds {
        0..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(super) fn seconds(time: ASN1Time) -> u64 {
    u64::try_from(time.timestamp()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn dated(kind: FileKind, from_day: u64, to_day: u64) -> Dated {
        let path = PathBuf::from("a.pem");
        Dated { kind, path, number: 1, not_before: from_day * DAY, not_after: to_day * DAY }
    }

    #[test]
    fn a_certificate_is_warned_of_in_its_last_fortnight() {
        let fortnight = Duration::from_secs(14 * DAY);
        let year = dated(FileKind::Certificate, 10, 375);
        let timing = |seconds: u64| year.timing(Millis(seconds * 1000), fortnight);
        assert_eq!(timing(10 * DAY - 1), Timing::Early);
        assert_eq!(timing(10 * DAY), Timing::Good);
        assert_eq!(timing(361 * DAY), Timing::Good);
        assert_eq!(timing(361 * DAY + 1), Timing::EndsSoon);
        assert_eq!(timing(375 * DAY - 1), Timing::EndsSoon);
        assert_eq!(timing(375 * DAY), Timing::Over);
    }

    #[test]
    fn what_lives_shortly_is_warned_of_in_its_last_quarter_and_a_list_in_its_last_day() {
        let fortnight = Duration::from_secs(14 * DAY);
        for (kind, days, last) in [
            (FileKind::Certificate, 4, DAY),
            (FileKind::ClientCa, 40, 10 * DAY),
            (FileKind::ClientCrl, 2, DAY / 2),
            (FileKind::ClientCrl, 30, DAY),
        ] {
            let dated = dated(kind, 0, days);
            let timing = |left: u64| dated.timing(Millis((days * DAY - left) * 1000), fortnight);
            assert_eq!((timing(last), timing(last - 1)), (Timing::Good, Timing::EndsSoon), "{kind:?} {days}");
        }
    }
}
