//! The server's side of the key exchange: `resPQ`, `server_DH_params_ok`, `dh_gen_ok`.

use std::sync::LazyLock;
use std::time::Duration;

use num_bigint::BigUint;
use sha1::{Digest, Sha1};

use super::cipher::{AuthKey, Ige, part};
use super::rsa::{self, RsaKey};
use super::tl::{self, Reader, Write as _};
use crate::entropy;

pub(super) const REQ_PQ: u32 = 0x6046_9778;
pub(super) const REQ_PQ_MULTI: u32 = 0xbe7e_8ef1;
pub(super) const REQ_DH_PARAMS: u32 = 0xd712_e4be;
pub(super) const SET_CLIENT_DH_PARAMS: u32 = 0xf504_5f1f;
pub(super) const RES_PQ: u32 = 0x0516_2463;
pub(super) const SERVER_DH_PARAMS_OK: u32 = 0xd0e8_075c;
pub(super) const SERVER_DH_INNER_DATA: u32 = 0xb589_0dba;
pub(super) const CLIENT_DH_INNER_DATA: u32 = 0x6643_b654;
pub(super) const DH_GEN_OK: u32 = 0x3bcb_f734;
/// The four forms of the data that the client encrypts with the RSA key; what they add to the first is in `form`.
pub(super) const P_Q_INNER_DATA: u32 = 0x83c9_5aec;
pub(super) const P_Q_INNER_DATA_DC: u32 = 0xa9f5_5f95;
pub(super) const P_Q_INNER_DATA_TEMP: u32 = 0x3c6a_84d4;
pub(super) const P_Q_INNER_DATA_TEMP_DC: u32 = 0x56fd_df88;

/// Two primes, the smaller first, whose product the client has to factorise.
pub(super) const P: u32 = 0x494c_553b;
pub(super) const Q: u32 = 0x5391_1073;
/// The generator that goes with the prime.
pub(super) const G: u32 = 3;

/// Telegram's prime of 2048 bits, which clients know.
pub(super) static PRIME: LazyLock<BigUint> = LazyLock::new(|| {
    rsa::number(
        "c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4db
         fa336f6e0ac925139543aed44cce7c3720fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64
         2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4a4a695811051907e162753b56b0f6b41
         0dba74d8a84b2a14b3144e0ef1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4
         e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf
         6f4fadf034b10403119cd8e3b92fcc5b",
    )
});

/// One key exchange. It goes on from wherever it was; a new `req_pq` begins it again.
pub(crate) struct Exchange {
    stage: Stage,
}

enum Stage {
    Begun,
    Asked(Nonces),
    Offered { nonces: Nonces, new_nonce: [u8; 32], secret: BigUint },
}

/// What every message of one exchange repeats.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Nonces {
    client: [u8; 16],
    server: [u8; 16],
}

/// What one message of the client leads to. The bodies are of unencrypted messages.
pub(crate) enum Step {
    /// `resPQ`.
    ResPq(Vec<u8>),
    /// `server_DH_params_ok`.
    Offer(Vec<u8>),
    /// `dh_gen_ok`.
    Made { body: Vec<u8>, key: AuthKey, salt: u64 },
}

impl Exchange {
    pub(crate) const fn new() -> Self {
        Self { stage: Stage::Begun }
    }

    /// Takes the body of an unencrypted message. `None`: it makes no sense here. Some milliseconds of computing.
    pub(crate) fn step(&mut self, rsa: &RsaKey, body: &[u8], now: Duration) -> Option<Step> {
        let mut body = Reader::new(body);
        match body.u32()? {
            REQ_PQ | REQ_PQ_MULTI => self.begin(rsa, body),
            REQ_DH_PARAMS => self.offer(rsa, body, now),
            SET_CLIENT_DH_PARAMS => self.finish(body),
            _ => None,
        }
    }

    fn begin(&mut self, rsa: &RsaKey, mut body: Reader<'_>) -> Option<Step> {
        let nonces = Nonces { client: body.array()?, server: entropy::bytes() };
        let mut answer = nonces.answer(RES_PQ);
        answer.bytes(&(u64::from(P) * u64::from(Q)).to_be_bytes());
        answer.u32(tl::VECTOR);
        answer.u32(1);
        answer.u64(rsa.fingerprint());
        self.stage = Stage::Asked(nonces);
        Some(Step::ResPq(answer))
    }

    fn offer(&mut self, rsa: &RsaKey, mut body: Reader<'_>, now: Duration) -> Option<Step> {
        let Stage::Asked(nonces) = &self.stage else { return None };
        let nonces = *nonces;
        let right = Nonces::read(&mut body)? == nonces
            && body.bytes()? == P.to_be_bytes()
            && body.bytes()? == Q.to_be_bytes()
            && body.u64()? == rsa.fingerprint();
        let decrypted = right.then(|| body.bytes()?.try_into().ok().map(|block| rsa.decrypt(block)))??;
        let new_nonce = match decrypted.rsa_pad().and_then(|data| inner_data(&data, nonces)) {
            Some((new_nonce, _)) => new_nonce,
            None => {
                let data = decrypted.sha1_padded(|data| Some(inner_data(data, nonces)?.1))?;
                inner_data(data, nonces)?.0
            }
        };
        let secret = BigUint::from_bytes_be(&entropy::bytes::<256>());
        let encrypted = encrypted_offer(nonces, &new_nonce, &secret, now);
        let mut answer = nonces.answer(SERVER_DH_PARAMS_OK);
        answer.bytes(&encrypted);
        self.stage = Stage::Offered { nonces, new_nonce, secret };
        Some(Step::Offer(answer))
    }

    fn finish(&mut self, mut body: Reader<'_>) -> Option<Step> {
        let Stage::Offered { nonces, new_nonce, secret } = &self.stage else { return None };
        if Nonces::read(&mut body)? != *nonces {
            return None;
        }
        let g_b = opened_answer(*nonces, new_nonce, body.bytes()?)?;
        let key = AuthKey::new(rsa::to_bytes(&g_b.modpow(secret, &PRIME)));
        let mut answer = nonces.answer(DH_GEN_OK);
        answer.extend(new_nonce_hash(new_nonce, &key));
        let salt = u64::from_le_bytes(part(new_nonce, 0)) ^ u64::from_le_bytes(part(&nonces.server, 0));
        self.stage = Stage::Begun;
        Some(Step::Made { body: answer, key, salt })
    }
}

impl Nonces {
    fn read(body: &mut Reader<'_>) -> Option<Self> {
        Some(Self { client: body.array()?, server: body.array()? })
    }

    fn answer(&self, constructor: u32) -> Vec<u8> {
        let mut answer = Vec::with_capacity(700);
        answer.u32(constructor);
        answer.extend(self.client);
        answer.extend(self.server);
        answer
    }
}

/// The new nonce in the data that the client encrypted with the RSA key, and the length of that data.
fn inner_data(data: &[u8], nonces: Nonces) -> Option<([u8; 32], usize)> {
    let mut reader = Reader::new(data);
    let more_words = match reader.u32()? {
        P_Q_INNER_DATA => 0,
        P_Q_INNER_DATA_DC | P_Q_INNER_DATA_TEMP => 1,
        P_Q_INNER_DATA_TEMP_DC => 2,
        _ => return None,
    };
    let right = reader.bytes()? == (u64::from(P) * u64::from(Q)).to_be_bytes()
        && reader.bytes()? == P.to_be_bytes()
        && reader.bytes()? == Q.to_be_bytes()
        && Nonces::read(&mut reader)? == nonces;
    let new_nonce = right.then(|| reader.array())??;
    reader.take(more_words * 4)?;
    Some((new_nonce, data.len() - reader.rest().len()))
}

/// `server_DH_inner_data`, encrypted with what both sides know by now.
fn encrypted_offer(nonces: Nonces, new_nonce: &[u8; 32], secret: &BigUint, now: Duration) -> Vec<u8> {
    let mut inner = nonces.answer(SERVER_DH_INNER_DATA);
    inner.u32(G);
    inner.bytes(&PRIME.to_bytes_be());
    inner.bytes(&rsa::to_bytes(&BigUint::from(G).modpow(secret, &PRIME)));
    inner.u32(now.as_secs() as u32);
    sealed(&temporary_cipher(&nonces.server, new_nonce), &inner)
}

/// The client's public number, as encrypted `client_DH_inner_data`; `None` when it is not one, or a weak one.
fn opened_answer(nonces: Nonces, new_nonce: &[u8; 32], encrypted: &[u8]) -> Option<BigUint> {
    let inner = opened(&temporary_cipher(&nonces.server, new_nonce), encrypted, |data| {
        let mut reader = Reader::new(data);
        reader.take(4 + 16 + 16 + 8)?;
        reader.bytes()?;
        Some(data.len() - reader.rest().len())
    })?;
    let mut reader = Reader::new(&inner);
    let right = reader.u32()? == CLIENT_DH_INNER_DATA && Nonces::read(&mut reader)? == nonces;
    let _retry_id = right.then(|| reader.u64())??;
    let g_b = BigUint::from_bytes_be(reader.bytes()?);
    let least = BigUint::from(1u8) << (2048 - 64);
    (g_b > least && g_b < &*PRIME - least).then_some(g_b)
}

/// The cipher of the second half of the exchange.
pub(super) fn temporary_cipher(server_nonce: &[u8; 16], new_nonce: &[u8; 32]) -> Ige {
    let sha1 = |a: &[u8], b: &[u8]| Sha1::new().chain_update(a).chain_update(b).finalize();
    let (new_server, server_new) = (sha1(new_nonce, server_nonce), sha1(server_nonce, new_nonce));
    let new_new = sha1(new_nonce, new_nonce);
    let (mut key, mut iv) = ([0; 32], [0; 32]);
    key[..20].copy_from_slice(&new_server);
    key[20..].copy_from_slice(&server_new[..12]);
    iv[..8].copy_from_slice(&server_new[12..]);
    iv[8..28].copy_from_slice(&new_new);
    iv[28..].copy_from_slice(&new_nonce[..4]);
    Ige::new(key, iv)
}

/// Digest, data and random padding, encrypted.
pub(super) fn sealed(cipher: &Ige, data: &[u8]) -> Vec<u8> {
    let mut sealed = Sha1::digest(data).to_vec();
    sealed.extend_from_slice(data);
    let padding = sealed.len().next_multiple_of(16) - sealed.len();
    sealed.extend_from_slice(&entropy::bytes::<15>()[..padding]);
    cipher.encrypt(&mut sealed);
    sealed
}

/// The data in what [`sealed`] gives. `len_of` tells it from the padding.
pub(super) fn opened(
    cipher: &Ige,
    sealed: &[u8],
    len_of: impl FnOnce(&[u8]) -> Option<usize>,
) -> Option<Vec<u8>> {
    let mut opened = sealed.to_vec();
    cipher.decrypt(&mut opened);
    let (digest, data) = opened.split_first_chunk::<20>()?;
    let data = data.get(..len_of(data)?)?;
    (sealed.len().is_multiple_of(16) && Sha1::digest(data)[..] == *digest).then(|| data.to_vec())
}

/// What proves to the client that the server has the same key.
pub(super) fn new_nonce_hash(new_nonce: &[u8; 32], key: &AuthKey) -> [u8; 16] {
    const OK: u8 = 1;
    let digest = Sha1::new().chain_update(new_nonce).chain_update([OK]).chain_update(key.aux_hash());
    part(&digest.finalize(), 4)
}
