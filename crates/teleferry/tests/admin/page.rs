//! The page for people, without a browser.

use crate::common::telegram;
use crate::program::{Program, SECRET};

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere_and_holds_no_secret() {
    let telegram = telegram();
    let program = Program::with_token(&telegram.addresses());
    let page = program.get("/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    assert!(page.head.contains("content-security-policy: default-src 'none';"), "{}", page.head);
    for outside in ["http://", "https://", "//cdn", "src=\"", "@import", "url("] {
        let found = page.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(outside), "{outside}");
    }
    assert!(!page.body.contains(SECRET));
    assert_eq!(program.get("/api/v1/history").json().as_array().map(Vec::len), Some(1), "one at the start");
}
