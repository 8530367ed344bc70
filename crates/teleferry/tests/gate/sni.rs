//! Secrets that depend on the host name.

use teleferry_proto::accept::Stranger;
use teleferry_proto::per_sni;
use teleferry_proto::secret::SecretKey;
use teleferry_sim::client::Options;

use super::stage::{Stage, padded, tls, tls_for};
use crate::common::{key, wrong_key};

const SALT: &str = "a salt of our own";

async fn stage() -> Stage {
    Stage::new(|snapshot| snapshot.sni_secrets.salt = Some(SALT.to_owned())).await
}

/// A client whose hello names `sent`, with the secret for `name`.
fn client(sent: &str, base: &SecretKey, name: &str) -> Options {
    Options { key: Some(per_sni::derive(base, SALT, name.as_bytes())), ..tls_for(sent) }
}

/// the secret for a name proves a client that names it, and keys its stream.
#[tokio::test]
async fn a_19_the_secret_for_a_name_works_with_that_name() {
    let stage = stage().await;
    stage.enter(&client("alice.example.com", &key(), "alice.example.com"), 1).await;
    stage.enter(&client("Alice.Example.com", &key(), "alice.example.com"), 1).await;
    stage.is_visitor(&client("bob.example.com", &key(), "alice.example.com"), 1).await;
    stage.is_visitor(&client("alice.example.com", &wrong_key(), "alice.example.com"), 1).await;
    stage.strangers(&[(Stranger::TlsDigest, 2)]).await;
}

/// the base secret does not, and neither does a hello without a name. Without fake TLS nothing changes.
#[tokio::test]
async fn a_20_the_base_secret_does_not_work() {
    let stage = stage().await;
    stage.is_visitor(&tls(), 1).await;
    stage.strangers(&[(Stranger::TlsDigest, 1)]).await;
    stage.enter(&padded(), 1).await;
}

/// The stream behind the hello is keyed by the same secret, not by the base.
#[tokio::test]
async fn rules_see_the_name_and_the_base_secrets_name() {
    let stage = Stage::new(|snapshot| {
        snapshot.sni_secrets.salt = Some(SALT.to_owned());
        snapshot.policies = vec![teleferry::config::Policy {
            rule: teleferry::config::Rule::MaxConnections {
                keys: vec![teleferry::config::PolicyKey::Secret],
                limit: 1,
            },
            listeners: None,
        }];
    })
    .await;
    let _first = stage.enter(&client("a.example", &key(), "a.example"), 1).await;
    stage.is_visitor(&client("b.example", &key(), "b.example"), 1).await;
    stage.strangers(&[(Stranger::Policy, 1)]).await;
}
