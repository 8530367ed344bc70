//! How fast a trunk's socket is let go.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use rustix::net::sockopt::set_tcp_congestion;

/// What every system has and lets everybody use, and what sends as the window allows.
const UNPACED: &str = "reno";

/// A trunk to this machine, to a tunnel's end or a balancer, is not paced. Who paces, as BBR does, sets a timer for every 64
/// KiB or less: over loopback that took a quarter of both halves' time in a download, and there is nothing to be gained. What
/// leaves the machine is sent as the system says.
pub(crate) fn unpace_at_home(socket: BorrowedFd<'_>, peer: Option<SocketAddr>) {
    if peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
        // It only costs more when it stays as it was.
        let _ = set_tcp_congestion(socket, UNPACED);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use rustix::net::sockopt::tcp_congestion;

    use super::*;

    #[test]
    fn what_stays_at_home_is_not_paced_and_what_leaves_is_as_the_system_says() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let socket = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        let usual = tcp_congestion(&socket).expect("a name");
        unpace_at_home(socket.as_fd(), None);
        unpace_at_home(socket.as_fd(), Some("192.0.2.1:443".parse().expect("an address")));
        assert_eq!(tcp_congestion(&socket).expect("a name"), usual);
        for home in ["127.0.0.1:443", "[::1]:443", "[::ffff:127.0.0.1]:443"] {
            set_tcp_congestion(&socket, &usual).expect("set");
            unpace_at_home(socket.as_fd(), Some(home.parse().expect("an address")));
            assert_eq!(tcp_congestion(&socket).expect("a name"), UNPACED, "{home}");
        }
    }
}
