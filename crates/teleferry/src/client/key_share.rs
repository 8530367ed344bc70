//! The server's genuine half of the key exchange. Nobody uses the shared secret; but a key that is none can be told from
//! a real one after a few connections.

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};
use teleferry_proto::fake_tls::server_hello::{KeyShare, MLKEM_CIPHERTEXT_LEN, MLKEM_KEY_LEN, Offer};

/// Makes the share that answers an offer. A hybrid offer whose key is none is answered with X25519 alone.
///
/// # Errors
/// The library failed, which it does only without randomness.
pub(super) fn make(offer: Offer<'_>) -> Result<KeyShare, Unspecified> {
    let public = x25519_public()?;
    let hybrid = match offer {
        Offer::Hybrid(key) => encapsulate(key).ok(),
        Offer::X25519 => None,
    };
    Ok(hybrid.map_or(KeyShare::X25519(public), |ciphertext| KeyShare::Hybrid(ciphertext, public)))
}

/// A genuine public key, a new one each time.
///
/// # Errors
/// The library failed, which it does only without randomness.
pub(crate) fn x25519_public() -> Result<[u8; 32], Unspecified> {
    let key = PrivateKey::generate(&X25519)?;
    key.compute_public_key()?.as_ref().try_into().map_err(|_| Unspecified)
}

fn encapsulate(key: &[u8; MLKEM_KEY_LEN]) -> Result<Box<[u8; MLKEM_CIPHERTEXT_LEN]>, Unspecified> {
    let key = EncapsulationKey::new(&ML_KEM_768, key).map_err(|_| Unspecified)?;
    let (ciphertext, _secret) = key.encapsulate()?;
    Box::<[u8]>::from(ciphertext.as_ref()).try_into().map_err(|_| Unspecified)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::agreement::{UnparsedPublicKey, agree};
    use aws_lc_rs::kem::DecapsulationKey;

    use super::*;

    fn is_point(key: &[u8; 32]) -> bool {
        let ours = PrivateKey::generate(&X25519).expect("key");
        key[31] & 0x80 == 0
            && agree(&ours, UnparsedPublicKey::new(&X25519, key), Unspecified, |_| Ok(())).is_ok()
    }

    #[test]
    fn shares_are_genuine() {
        let client = DecapsulationKey::generate(&ML_KEM_768).expect("key");
        let public = client.encapsulation_key().expect("key").key_bytes().expect("bytes");
        let offered = public.as_ref().try_into().expect("length");
        let KeyShare::Hybrid(ciphertext, x25519) = make(Offer::Hybrid(offered)).expect("share") else {
            panic!("not hybrid");
        };
        assert!(client.decapsulate(ciphertext.as_slice().into()).is_ok());
        assert!(is_point(&x25519));
        let KeyShare::X25519(alone) = make(Offer::X25519).expect("share") else { panic!("hybrid") };
        assert!(is_point(&alone));
        assert_ne!(alone, x25519, "a new key each time");
    }

    #[test]
    fn a_key_that_is_none_gets_x25519_alone() {
        // Every coefficient is 4095, above the modulus.
        let share = make(Offer::Hybrid(&[0xff; MLKEM_KEY_LEN])).expect("share");
        assert!(matches!(share, KeyShare::X25519(_)));
    }
}
