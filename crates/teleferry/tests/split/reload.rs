//! A reload of half a proxy takes all of the new settings, or nothing of them.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use teleferry::config::{BackUrl, CoverHost, Front, Role, Snapshot, TableKind, TableSettings, Tls};
use teleferry::control::ReloadError;
use teleferry::identity::authority::passing;
use teleferry::identity::{Credentials, Flaw};
use teleferry::server::{Server, StartError};

use crate::common::{settings, telegram};

/// The first of January 2026.
const NOW: i64 = 1_767_225_600;

fn front(credentials: Credentials) -> Role {
    Role::Front(Front {
        // Nobody listens there.
        backs: vec![BackUrl(CoverHost { host: "127.0.0.1".to_owned(), port: 1 })],
        token: None,
        token_file: None,
        padding: true,
        tls: Tls { credentials, ..Tls::default() },
    })
}

#[tokio::test]
async fn certificates_that_cannot_be_used_change_nothing() {
    let telegram = telegram();
    let [_, good] = passing("127.0.0.1", "front-1", NOW).expect("certificates");
    let before = Snapshot { role: front(good.clone()), ..settings(&telegram) };
    let server = Server::start(Arc::new(before.clone())).expect("it starts");

    let mut after = before.clone();
    after.limits.memory = 1 << 20;
    after.server.max_connections = 1;
    let table = TableSettings {
        kind: TableKind::Network,
        entries: Vec::new(),
        source: None,
        refresh: std::time::Duration::from_secs(3600),
    };
    after.tables.insert("new".to_owned(), table);
    // What the settings are read by finds it; should it ever miss something, this is the last one to.
    let mut broken = good.clone();
    broken.own.as_mut().expect("there").key = Arc::new(PrivateKeyDer::Pkcs8(vec![0x30, 3, 2, 1, 0].into()));
    let refused = server.reload(Snapshot { role: front(broken), ..after.clone() }).await;
    assert!(
        matches!(refused, Err(ReloadError::Open(StartError::Identity(Flaw::Tls(_) | Flaw::KeyUnusable)))),
        "{refused:?}"
    );
    assert_eq!(*server.snapshot(), before);
    assert_eq!(server.tables().sizes().len(), 0, "the tables that were to come have not");

    // With certificates that fit the very same is taken up.
    let [_, renewed] = passing("127.0.0.1", "front-1", NOW).expect("certificates");
    let after = Snapshot { role: front(renewed), ..after };
    let report = server.reload(after.clone()).await.expect("taken up");
    assert!(!report.changes.is_empty());
    assert_eq!(*server.snapshot(), after);
    assert_eq!(server.tables().sizes().len(), 1);
}
