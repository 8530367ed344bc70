//! The server's half of the key exchange. Nobody uses the shared secret; but a half that is none can be told from a real one
//! after a few connections.

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::error::Unspecified;
use teleferry_proto::fake_tls::ml_kem;
use teleferry_proto::fake_tls::server_hello::{KeyShare, Offer};

use crate::entropy;

/// Makes the share that answers an offer. A hybrid offer whose key is none is answered with X25519 alone.
///
/// # Errors
/// The library failed, which it does only without randomness.
pub(super) fn make(offer: Offer<'_>) -> Result<KeyShare, Unspecified> {
    let public = x25519_public()?;
    Ok(match offer {
        Offer::Hybrid(key) if ml_kem::is_key(key) => {
            KeyShare::Hybrid(ml_kem::ciphertext(&entropy::array()), public)
        }
        _ => KeyShare::X25519(public),
    })
}

/// A genuine public key, a new one each time.
///
/// # Errors
/// The library failed, which it does only without randomness.
pub(crate) fn x25519_public() -> Result<[u8; 32], Unspecified> {
    let key = PrivateKey::generate(&X25519)?;
    key.compute_public_key()?.as_ref().try_into().map_err(|_| Unspecified)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::agreement::{UnparsedPublicKey, agree};
    use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_768};
    use teleferry_proto::fake_tls::server_hello::{MLKEM_CIPHERTEXT_LEN, MLKEM_KEY_LEN};

    use super::*;

    fn is_point(key: &[u8; 32]) -> bool {
        let ours = PrivateKey::generate(&X25519).expect("key");
        key[31] & 0x80 == 0
            && agree(&ours, UnparsedPublicKey::new(&X25519, key), Unspecified, |_| Ok(())).is_ok()
    }

    fn key() -> [u8; MLKEM_KEY_LEN] {
        let client = DecapsulationKey::generate(&ML_KEM_768).expect("key");
        let public = client.encapsulation_key().expect("key").key_bytes().expect("bytes");
        public.as_ref().try_into().expect("length")
    }

    /// The share of values in twenty ciphertexts that stand for four numbers and not for three.
    fn fours(mut ciphertext: impl FnMut() -> Vec<u8>) -> f64 {
        let stands_for_four = |value: u64| {
            let first = |value: u64| (value * 3329 - 1664).div_ceil(1024);
            // 0 has two numbers, and one from the other end.
            value != 0 && first(value + 1) - first(value) == 4
        };
        let mut found = (0, 0);
        for _ in 0..20 {
            let ciphertext = ciphertext();
            for five in ciphertext[..960].as_chunks::<5>().0 {
                let mut bytes = [0; 8];
                bytes[..5].copy_from_slice(five);
                let four = u64::from_le_bytes(bytes);
                for value in (0..4).map(|place| four >> (10 * place) & 0x3ff) {
                    found.0 += u32::from(stands_for_four(value));
                    found.1 += 1;
                }
            }
        }
        f64::from(found.0) / f64::from(found.1)
    }

    /// 0.309 of a genuine one's and 0.251 of random bytes; the border is seven standard deviations from both.
    #[test]
    fn ciphertexts_look_genuine_and_random_bytes_would_not() {
        let key = key();
        let ours = || match make(Offer::Hybrid(&key)).expect("share") {
            KeyShare::Hybrid(ciphertext, _) => ciphertext.to_vec(),
            KeyShare::X25519(_) => panic!("not hybrid"),
        };
        let genuine = || {
            let key = EncapsulationKey::new(&ML_KEM_768, &key).expect("key");
            key.encapsulate().expect("ciphertext").0.as_ref().to_vec()
        };
        let random = || entropy::array::<MLKEM_CIPHERTEXT_LEN>().to_vec();
        let (ours, genuine, random) = (fours(ours), fours(genuine), fours(random));
        assert!(ours > 0.28 && genuine > 0.28 && random < 0.28, "{ours} {genuine} {random}");
    }

    #[test]
    fn public_keys_are_genuine_and_new_each_time() {
        let publics = [Offer::X25519, Offer::X25519].map(|offer| match make(offer).expect("share") {
            KeyShare::X25519(public) => public,
            KeyShare::Hybrid(..) => panic!("hybrid"),
        });
        assert!(publics.iter().all(is_point));
        assert_ne!(publics[0], publics[1]);
    }

    #[test]
    fn a_key_that_is_none_gets_x25519_alone() {
        // Every coefficient is 4095, above the modulus.
        let share = make(Offer::Hybrid(&[0xff; MLKEM_KEY_LEN])).expect("share");
        assert!(matches!(share, KeyShare::X25519(_)));
    }
}
