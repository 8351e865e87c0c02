//! The part of an entry that concerns people: who asked, for whom, from where, and with what reference.
//!
//! In the log of a region it is sealed for its tenant; in the log of a node, which knows no tenants, it stands in the
//! clear. How it is sealed is not this crate's business: see [`EntrySealer`].
//!
//! # Layout of the body, versions 1 and 2
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version: 2 if the entry is about something beside data, else 1 |
//! | text8 | tenant; empty for none |
//! | 2, n | length and principal; empty for none |
//! | text8 | issuer; empty for none |
//! | 32 | SHA-256 of the client certificate; zeros for none |
//! | text8 | source: an IP address in its usual text form (RFC 5952 for version 6); empty for none |
//! | text8 | reference; empty for none |
//! | 1, 16 | 1 and the subject id, or 0 |
//! | 1, 8 | 1 and the number of the parent record, or 0 |
//! | 1 | version 2 alone: 1 for a difference, 2 for a caller, 3 for a pruning |
//! | 32 | of a difference: its hash, see [`RulesDifference`] |
//! | 2, n | of a caller: length and principal, not empty |
//! | text8 | of a pruning: the region whose log it is of, or `node` |
//! | 8, 8 | of a pruning: the minimum index before and after, rising multiples of 256 |
//! | 8, 32 | of a pruning: size, at least the minimum index after, and root of the archive's tree |

use std::{fmt, io::Write, net::IpAddr};

use vault_domain::{
    KeyVersion, PrincipalId, RecordNumber, Reference, Region, RulesDifference, SubjectId, Tenant, limits,
};
use zeroize::Zeroizing;

use super::{
    ids::{CertificateSha256, EntrySalt, Issuer, PrincipalTag, TenantTag},
    read_name,
};
use crate::{
    bytes::{Reader, put_bytes16, put_text8},
    error::LedgerError,
    tree::{TILE_HASHES, TreeHash, TreeHead, TreeSize},
};

/// The longest people body: every field at its limit.
pub const PEOPLE_BYTES_MAX: usize = 1
    + (1 + limits::NAME_BYTES_MAX)
    + (2 + limits::PRINCIPAL_BYTES_MAX)
    + (1 + 255)
    + 32
    + (1 + 45)
    + (1 + limits::REFERENCE_BYTES_MAX)
    + (1 + 16)
    + (1 + 8)
    + 1
    + (2 + limits::PRINCIPAL_BYTES_MAX);
/// The longest ciphertext of a people part: room for the longest body, its tag, and some padding.
pub const CIPHERTEXT_BYTES_MAX: usize = 1024;
/// The tag that every ciphertext ends with.
const TAG_BYTES: usize = 16;

const BODY_VERSION: u8 = 1;
/// The version of a body with an [`Matter`].
const ABOUT_VERSION: u8 = 2;
const DIFFERENCE: u8 = 1;
const CALLER: u8 = 2;
const PRUNING: u8 = 3;
/// What the log of a node is called; no region can be called so.
const NODE: &str = "node";

/// What an entry is about, beside data.
#[derive(Clone, PartialEq, Eq)]
pub enum Matter {
    /// The rules that were exchanged: of entries of the action `apply_policies` in the log of a node.
    Difference(RulesDifference),
    /// The caller that a question was about, if it was not who asked.
    Caller(PrincipalId),
    /// Entries that were taken from a log: of entries of the action `prune_access_log`.
    Pruning(Pruning),
}

/// Which entries were taken from a log, and where they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruning {
    /// The region whose log it was; `None` for the node's.
    pub log: Option<Region>,
    /// The minimum index before: the first entry that was taken.
    pub from: u64,
    /// The minimum index from then on: the first entry that stayed.
    pub until: u64,
    /// The tree of the archive that holds what was taken.
    pub archive: TreeHead,
}

impl Pruning {
    /// Whether it is of the log with this name: a region's, or `node`.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        self.log_name() == name
    }

    /// The name of the log: a region's, or `node`.
    #[must_use]
    pub fn log_name(&self) -> &str {
        self.log.as_ref().map_or(NODE, Region::as_str)
    }
}

/// Who asked, for whom, from where.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct People {
    /// The tenant of the principal.
    pub tenant: Option<Tenant>,
    /// Who asked.
    pub principal: Option<PrincipalId>,
    /// Who vouched for the principal.
    pub issuer: Option<Issuer>,
    /// The certificate that the call came with.
    pub certificate: Option<CertificateSha256>,
    /// The address that the call came from.
    pub source: Option<IpAddr>,
    /// The caller's free reference.
    pub reference: Option<Reference>,
    /// The data subject that the call was about, if it was about one.
    pub subject: Option<SubjectId>,
    /// The record that the new ones descend from.
    pub parent: Option<RecordNumber>,
    /// What it is about, beside data.
    pub about: Option<Matter>,
}

impl People {
    /// The difference of the rules that were exchanged, if the entry is about that.
    #[must_use]
    pub fn difference(&self) -> Option<RulesDifference> {
        match self.about {
            Some(Matter::Difference(difference)) => Some(difference),
            Some(Matter::Caller(_) | Matter::Pruning(_)) | None => None,
        }
    }

    /// The pruning that the entry is about, if it is about one.
    #[must_use]
    pub fn pruning(&self) -> Option<&Pruning> {
        match &self.about {
            Some(Matter::Pruning(pruning)) => Some(pruning),
            Some(Matter::Caller(_) | Matter::Difference(_)) | None => None,
        }
    }

    /// Writes the body.
    ///
    /// # Errors
    /// Never with the types as they are; they could come to allow more than the layout.
    pub fn encode(&self) -> Result<Vec<u8>, LedgerError> {
        let mut out = Vec::with_capacity(192);
        out.push(if self.about.is_some() { ABOUT_VERSION } else { BODY_VERSION });
        put_text8(&mut out, self.tenant.as_ref().map_or("", |name| name.as_str()), "tenant")?;
        put_bytes16(&mut out, self.principal.as_ref().map_or("", |id| id.as_str()).as_bytes(), "principal")?;
        put_text8(&mut out, self.issuer.as_ref().map_or("", |issuer| issuer.as_str()), "issuer")?;
        out.extend_from_slice(&self.certificate.map_or([0; 32], |hash| hash.get()));
        put_source(&mut out, self.source)?;
        put_text8(&mut out, self.reference.as_ref().map_or("", |text| text.as_str()), "reference")?;
        out.push(self.subject.is_some().into());
        out.extend(self.subject.iter().flat_map(|subject| subject.0));
        out.push(self.parent.is_some().into());
        out.extend(self.parent.iter().flat_map(|parent| parent.get().to_be_bytes()));
        match &self.about {
            None => {}
            Some(Matter::Difference(difference)) => {
                out.push(DIFFERENCE);
                out.extend(difference.0);
            }
            Some(Matter::Caller(caller)) => {
                out.push(CALLER);
                put_bytes16(&mut out, caller.as_str().as_bytes(), "caller")?;
            }
            Some(Matter::Pruning(pruning)) => {
                let Pruning { from, until, archive, .. } = pruning;
                out.push(PRUNING);
                put_text8(&mut out, pruning.log_name(), "pruned log")?;
                out.extend([*from, *until, archive.size.0].iter().flat_map(|number| number.to_be_bytes()));
                out.extend(archive.root.0);
            }
        }
        Ok(out)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// When a byte is missing, left over or not canonical, or the version is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        let mut from = Reader::new("the people part of an entry", bytes);
        let has_about = from.version_of(&[BODY_VERSION, ABOUT_VERSION])? == ABOUT_VERSION;
        let people = Self {
            tenant: read_name(from.text8("tenant")?, Tenant::parse, "tenant")?,
            principal: read_name(from.text16("principal")?, PrincipalId::parse, "principal")?,
            issuer: read_name(from.text8("issuer")?, Issuer::parse, "issuer")?,
            certificate: CertificateSha256::new(from.array()?),
            source: read_name(from.text8("source")?, parse_source, "source")?,
            reference: read_name(from.text8("reference")?, Reference::parse, "reference")?,
            subject: if from.flag("has subject")? { Some(SubjectId(from.array()?)) } else { None },
            parent: if from.flag("has parent")? { Some(read_parent(&mut from)?) } else { None },
            about: if has_about { Some(read_about(&mut from)?) } else { None },
        };
        from.finish()?;
        Ok(people)
    }
}

/// Source and reference of a body, as they stand there.
pub(crate) fn source_and_reference(body: &[u8]) -> Result<(&str, &str), LedgerError> {
    let mut from = Reader::new("the people part of an entry", body);
    from.version_of(&[BODY_VERSION, ABOUT_VERSION])?;
    // Tenant, principal, issuer and certificate.
    let tenant = from.u8()?;
    from.take(tenant.into())?;
    let principal = from.u16()?;
    from.take(principal.into())?;
    let issuer = from.u8()?;
    from.take(usize::from(issuer) + 32)?;
    Ok((from.text8("source")?, from.text8("reference")?))
}

impl fmt::Debug for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Matter(..)")
    }
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("People(..)")
    }
}

fn put_source(out: &mut Vec<u8>, source: Option<IpAddr>) -> Result<(), LedgerError> {
    const INVALID: LedgerError = LedgerError::FieldInvalid { field: "source" };
    let length_at = out.len();
    out.push(0);
    if let Some(source) = source {
        write!(out, "{source}").map_err(|_| INVALID)?;
    }
    let length = u8::try_from(out.len() - length_at - 1).map_err(|_| INVALID)?;
    if let Some(field) = out.get_mut(length_at) {
        *field = length;
    }
    Ok(())
}

/// The address, if `text` is the form in which it is written.
fn parse_source(text: &str) -> Result<IpAddr, LedgerError> {
    let source: Option<IpAddr> = text.parse().ok();
    source.filter(|source| source.to_string() == text).ok_or(LedgerError::FieldInvalid { field: "source" })
}

fn read_parent(from: &mut Reader<'_>) -> Result<RecordNumber, LedgerError> {
    RecordNumber::new(from.u64()?).ok_or(LedgerError::FieldInvalid { field: "parent" })
}

fn read_about(from: &mut Reader<'_>) -> Result<Matter, LedgerError> {
    match from.u8()? {
        DIFFERENCE => Ok(Matter::Difference(RulesDifference(from.array()?))),
        CALLER => {
            let caller = read_name(from.text16("caller")?, PrincipalId::parse, "caller")?;
            caller.map(Matter::Caller).ok_or(LedgerError::FieldInvalid { field: "caller" })
        }
        PRUNING => read_pruning(from).map(Matter::Pruning),
        _ => Err(LedgerError::FieldInvalid { field: "about" }),
    }
}

fn read_pruning(reader: &mut Reader<'_>) -> Result<Pruning, LedgerError> {
    let invalid = |field| LedgerError::FieldInvalid { field };
    let log = match reader.text8("pruned log")? {
        NODE => None,
        name => Some(Region::parse(name).map_err(|_| invalid("pruned log"))?),
    };
    let (from, until, size) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let archive = TreeHead { size: TreeSize(size), root: TreeHash(reader.array()?) };
    let is_bound = |index: u64| index.is_multiple_of(TILE_HASHES.into());
    let fits = is_bound(from) && is_bound(until) && from < until && until <= size;
    if fits { Ok(Pruning { log, from, until, archive }) } else { Err(invalid("pruned entries")) }
}

/// The people part of an entry, in one of its three forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealedPart {
    /// There is none: the entry concerns the vault itself.
    None,
    /// Sealed for a tenant.
    Sealed(SealedPeople),
    /// In the clear, in the log of a node, which is for operators alone.
    Clear(Box<People>),
}

/// A people body, sealed, with what is needed to find and to open it. The header alone selects the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPeople<C = Vec<u8>> {
    /// Names the tenant to those who hold the key of the tag.
    pub tenant_tag: TenantTag,
    /// Names the principal likewise.
    pub principal_tag: PrincipalTag,
    /// The version of the region's sealing key.
    pub key_version: KeyVersion,
    /// The epoch of the sealing key.
    pub epoch_id: [u8; 8],
    /// The nonce.
    pub nonce: [u8; 12],
    /// The sealed body with its 16-byte tag.
    pub ciphertext: C,
}

/// A sealed part where it lies.
pub type PeopleSlice<'a> = SealedPeople<&'a [u8]>;

impl<C: AsRef<[u8]>> SealedPeople<C> {
    pub(super) fn check_length(&self) -> Result<(), LedgerError> {
        let valid = (TAG_BYTES..=CIPHERTEXT_BYTES_MAX).contains(&self.ciphertext.as_ref().len());
        if valid { Ok(()) } else { Err(LedgerError::FieldInvalid { field: "ciphertext" }) }
    }

    /// The same with the ciphertext where it lies.
    #[must_use]
    pub fn as_slice(&self) -> PeopleSlice<'_> {
        let Self { tenant_tag, principal_tag, key_version, epoch_id, nonce, ref ciphertext } = *self;
        let ciphertext = ciphertext.as_ref();
        SealedPeople { tenant_tag, principal_tag, key_version, epoch_id, nonce, ciphertext }
    }
}

impl<'a> PeopleSlice<'a> {
    /// Reads what follows upon the tags and the form.
    pub(super) fn read(
        (tenant_tag, principal_tag): (TenantTag, PrincipalTag),
        from: &mut Reader<'a>,
    ) -> Result<Self, LedgerError> {
        let key_version = KeyVersion(from.u32()?);
        let (epoch_id, nonce) = (from.array()?, from.array()?);
        let length = from.u16()?.into();
        let ciphertext = from.take(length)?;
        let sealed = Self { tenant_tag, principal_tag, key_version, epoch_id, nonce, ciphertext };
        sealed.check_length()?;
        Ok(sealed)
    }

    pub(super) fn into_owned(self) -> SealedPeople {
        let Self { tenant_tag, principal_tag, key_version, epoch_id, nonce, ciphertext } = self;
        SealedPeople { tenant_tag, principal_tag, key_version, epoch_id, nonce, ciphertext: ciphertext.to_vec() }
    }
}

/// Seals people parts. Implementations authenticate, beside the body, the tenant, the salt and both tags, so that no
/// part can be moved to another entry or tenant.
pub trait EntrySealer: Send + Sync {
    /// Why a part could not be sealed.
    type Error;

    /// Seals `people` for `tenant`, as part of the entry with this salt.
    ///
    /// # Errors
    /// When there is no key or no randomness to seal with.
    fn seal(&self, tenant: &Tenant, salt: &EntrySalt, people: &People) -> Result<SealedPeople, Self::Error>;
}

/// Opens people parts.
pub trait EntryOpener: Send + Sync {
    /// Why a part could not be opened.
    type Error;

    /// Opens the part of the entry with this salt for `tenant`, and gives its body ([`People::decode`]).
    ///
    /// # Errors
    /// When the part belongs to another tenant, is damaged, or its key is gone.
    fn open_body(
        &self,
        tenant: &Tenant,
        salt: &EntrySalt,
        part: &PeopleSlice<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Self::Error>;

    /// Opens the part of the entry with this salt for `tenant`.
    ///
    /// # Errors
    /// When the part belongs to another tenant, is damaged, or its key is gone.
    fn open(&self, tenant: &Tenant, salt: &EntrySalt, part: &SealedPeople) -> Result<People, Self::Error>
    where
        Self::Error: From<LedgerError>,
    {
        Ok(People::decode(&self.open_body(tenant, salt, &part.as_slice())?)?)
    }
}
