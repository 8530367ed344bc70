//! The suite finds what it is there to find.

use std::path::Path;
use std::process::Command;

#[test]
fn the_suite_tells_every_flaw_and_no_faultless_relay() {
    if !["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
        .iter()
        .any(|path| Path::new(path).exists())
    {
        eprintln!("skipped: there is no nginx on this machine (Debian's package: nginx-light)");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_teleferry-probe")).arg("defects").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.lines().filter(|line| line.starts_with("right")).count() >= 12, "{said}");
}
