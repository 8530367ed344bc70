//! The secrets in links, written as the old proxies write them. This must not use our own code for links: it is what that is
//! compared with.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

/// A secret for fake TLS: ee, the key, the host name.
pub(super) fn tls(secret: &str, domain: &str) -> String {
    format!("ee{secret}{}", HEXLOWER.encode(domain.as_bytes()))
}

/// A secret for the padded framing: dd, the key.
pub(super) fn secure(secret: &str) -> String {
    format!("dd{secret}")
}

/// The secret for a host name that the Erlang proxy derives from one in lower-case hexadecimal.
pub(super) fn per_sni(secret: &str, salt: &str, domain: &str) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{salt}{secret}{domain}").as_bytes());
    HEXLOWER.encode(hash.as_ref()).chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_written_as_others_write_them() {
        let secret = "8f1d5b0c4e3a49719c2b7d60a5e4f312";
        assert_eq!(tls(secret, "a.b"), "ee8f1d5b0c4e3a49719c2b7d60a5e4f312612e62");
        assert_eq!(secure(secret), "dd8f1d5b0c4e3a49719c2b7d60a5e4f312");
        // printf 'salt%sa.b' 8f1d… | sha256sum
        assert_eq!(per_sni(secret, "salt", "a.b"), "b6c9bba59a8934098982dcfa468a34f0");
    }
}
