//! FF1 against the official vectors, against the standard written down once more, and against another implementation.

mod limits;
mod properties;
mod reference;
mod vectors;

use aes::{
    Aes128Enc, Aes192Enc, Aes256Enc,
    cipher::{BlockCipherEncrypt, KeyInit, consts::U16},
};

use super::{Domain, Ff1Error, Ff1Key, Mark, Numeral, prepare};
use crate::Key256;

/// The two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Encrypt,
    Decrypt,
}

/// One text by a key of any size that AES has: 256 bits through the public door, the others just behind it.
fn crypt<N: Numeral>(way: Way, key: &[u8], domain: &Domain, tweak: &[u8], text: &[N]) -> Result<Vec<N>, Ff1Error> {
    let mut text = text.to_vec();
    match key.len() {
        16 => behind(way, &Aes128Enc::new_from_slice(key).unwrap(), domain, tweak, &mut text)?,
        24 => behind(way, &Aes192Enc::new_from_slice(key).unwrap(), domain, tweak, &mut text)?,
        _ => {
            let key = Ff1Key::new(&Key256::from_bytes(key.try_into().unwrap()));
            let tweak = key.tweak(domain, tweak)?;
            match way {
                Way::Encrypt => key.encrypt(domain, &tweak, &mut text)?,
                Way::Decrypt => key.decrypt(domain, &tweak, &mut text)?,
            }
        }
    }
    Ok(text)
}

fn behind<C, N>(way: Way, cipher: &C, domain: &Domain, tweak: &[u8], text: &mut [N]) -> Result<(), Ff1Error>
where
    C: BlockCipherEncrypt<BlockSize = U16>,
    N: Numeral,
{
    let tweak = prepare(cipher, Mark([0; 8]), domain, tweak)?;
    domain.check(text)?;
    match way {
        Way::Encrypt => domain.one::<_, _, false>(cipher, tweak.base, text),
        Way::Decrypt => domain.one::<_, _, true>(cipher, tweak.base, text),
    }
    Ok(())
}

/// The cipher of a 256-bit key, for the reference.
fn aes256(key: &[u8; 32]) -> Aes256Enc {
    Aes256Enc::new(key.into())
}
