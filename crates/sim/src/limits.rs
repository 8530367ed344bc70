//! The process's own limits.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the number of files that this process may have open as far as it may go, and gives it; `None`: there is no
/// limit. Every connection is one.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let mut raised = limit;
    raised.current = limit.maximum;
    if setrlimit(Resource::Nofile, raised).is_ok() { raised.current } else { limit.current }
}
