//! Where the client's access token comes from, asked for each call anew.

use std::{
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use tonic::metadata::{Ascii, MetadataValue};
use zeroize::Zeroizing;

use crate::error::ClientError;

/// The longest token that is sent, as the vault has it.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The value of an `authorization` header, `Bearer` and a token: shown by nothing.
pub type Authorization = MetadataValue<Ascii>;

/// Where an access token comes from. Implement it to fetch tokens from an issuer; it is asked once for each attempt of
/// each call, so it should answer from memory and fetch beforehand.
pub trait TokenSource: Send + Sync {
    /// The header of a token that is good now.
    ///
    /// # Errors
    /// When there is none: the call is not sent.
    fn authorization(&self) -> Result<Authorization, ClientError>;
}

/// Makes the header of a token.
///
/// # Errors
/// When the text can't be one. It is not repeated.
pub fn bearer(token: &str) -> Result<Authorization, ClientError> {
    let is_token = (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    let text = Zeroizing::new(format!("Bearer {token}"));
    let header = is_token.then(|| Authorization::try_from(text.as_str()).ok()).flatten();
    let problem = "must be one word of at most 8192 visible ASCII characters";
    let mut header = header.ok_or(ClientError::configuration("the access token", problem))?;
    header.set_sensitive(true);
    Ok(header)
}

/// A token that stays the same.
pub struct StaticToken(Authorization);

impl StaticToken {
    /// A source of this token alone.
    ///
    /// # Errors
    /// When it can't be one.
    pub fn new(token: &str) -> Result<Self, ClientError> {
        bearer(token).map(Self)
    }
}

impl TokenSource for StaticToken {
    fn authorization(&self) -> Result<Authorization, ClientError> {
        Ok(self.0.clone())
    }
}

/// A token in a file that somebody else keeps fresh, such as a sidecar; read again when the file changes.
pub struct TokenFile {
    path: PathBuf,
    held: Mutex<Option<(SystemTime, u64, Authorization)>>,
}

impl TokenFile {
    /// A source of the token in this file.
    ///
    /// # Errors
    /// When there is no token in it now.
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        let source = Self { path: path.to_owned(), held: Mutex::default() };
        source.authorization()?;
        Ok(source)
    }

    fn read(&self) -> std::io::Result<Zeroizing<String>> {
        let mut text = Zeroizing::new(String::with_capacity(TOKEN_BYTES_MAX + 2));
        let most = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(2);
        fs::File::open(&self.path)?.take(most).read_to_string(&mut text)?;
        Ok(text)
    }
}

impl TokenSource for TokenFile {
    fn authorization(&self) -> Result<Authorization, ClientError> {
        let fault = |error: std::io::Error| {
            ClientError::configuration("the file of the access token", format!("{}: {error}", self.path.display()))
        };
        let metadata = fs::metadata(&self.path).map_err(fault)?;
        let (modified, length) = (metadata.modified().map_err(fault)?, metadata.len());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, of, header)) = &*held
            && (*at, *of) == (modified, length)
        {
            return Ok(header.clone());
        }
        let header = bearer(self.read().map_err(fault)?.trim())?;
        *held = Some((modified, length, header.clone()));
        Ok(header)
    }
}

impl fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticToken(..)")
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("path", &self.path).finish_non_exhaustive()
    }
}
